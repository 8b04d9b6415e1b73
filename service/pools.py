"""What a monitor keeps of its stream, in figures: how full, how old, how much of the traffic it stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.ports import Store
from service.records import SEGMENT, Reserved
from service.reserve import Room
from service.settings import PoolSettings


@dataclass(frozen=True, slots=True)
class PartFigures:
    """One part of a reserve."""

    part: str
    rows: int
    room: int | None
    """None for a segment: all of them share one room."""
    samples: int
    """Near-duplicates that the rows stand for, themselves included."""
    labelled: int
    oldest: float
    newest: float
    novelty: float
    """Median percentile among the reference's own."""


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """The recent samples and the reserve of a monitor."""

    monitor: str
    recent_room: int
    recent_begins: float
    """The time from which on every sample is kept; 0 where none has gone yet."""
    reserve_room: int
    half_life_days: float
    rows: int
    samples: int
    parts: tuple[PartFigures, ...]
    versions: Mapping[int, int]
    """Reference version → rows that were taken under it."""


def pool_figures(store: Store, monitor: str, settings: PoolSettings) -> PoolFigures:
    """Of what is kept now."""
    rows, members = store.reserve(monitor), dict[str, list[Reserved]]()
    for each in rows:
        for part in each.keys:
            members.setdefault(part, []).append(each)
    order = sorted(members, key=lambda part: (part.startswith(SEGMENT), part))
    room = Room.of(settings, [part for part in order if part.startswith(SEGMENT)]).parts
    versions = Counter(each.row.reference_version for each in rows)
    return PoolFigures(
        monitor=monitor,
        recent_room=settings.rows,
        recent_begins=store.pool_begins(monitor),
        reserve_room=settings.reserve_rows,
        half_life_days=settings.half_life_days,
        rows=len(rows),
        samples=sum(each.count for each in rows),
        parts=tuple(_part(part, members[part], None if part.startswith(SEGMENT) else room.get(part)) for part in order),
        versions=dict(sorted(versions.items())),
    )


def _part(part: str, members: Sequence[Reserved], room: int | None) -> PartFigures:
    times = [each.row.time for each in members]
    labelled = sum(each.row.label is not None for each in members)
    novelty = float(np.median([each.row.novelty for each in members]))
    return PartFigures(part, len(members), room, sum(each.count for each in members), labelled, min(times), max(times), novelty)
