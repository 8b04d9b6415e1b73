"""From a drift alarm to the samples that are worth an annotator's time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.selection.novel import Pick, Pool, select
from service.records import Alarm, Candidate, Pooled, belongs
from service.reference_rows import sureness

MAX_TEXT = 4_000
"""Characters of a text that go to an annotator."""


def propose(
    alarm: Alarm,
    pooled: Sequence[Pooled],
    reference: NDArray[np.float32],
    *,
    segment_values: Mapping[str, tuple[str, ...]],
    budget: int,
    rng: np.random.Generator,
) -> tuple[Candidate, ...]:
    """Candidates of the alarm's stream from its window on, most valuable first; `reference` are its (m, d) embeddings.

    Rows of another reference version and rows that are labelled already are left out. There may be fewer than `budget`,
    none too: only what is new and in company is worth asking for. Later calls see more of a young drift.
    """
    rows = [row for row in pooled if eligible(row, alarm, segment_values)]
    if not rows:
        return ()
    pool = Pool(
        np.stack([row.embedding for row in rows]).astype(np.float32),
        np.array([row.novelty for row in rows], np.float32),
        reference,
        np.array([sureness(row.output) for row in rows], np.float32),
    )
    return tuple(_candidate(rows[pick.row], pick, alarm.segment) for pick in select(pool, budget=budget, rng=rng).picks)


def eligible(row: Pooled, alarm: Alarm, segment_values: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether the row is of the alarm's traffic and not labelled yet."""
    recent = row.time >= alarm.window_start and row.reference_version == alarm.reference_version
    return recent and row.label is None and belongs(row.segments, alarm.segment, segment_values)


def _candidate(row: Pooled, pick: Pick, segment: str) -> Candidate:
    return Candidate(
        id=row.id,
        reason=pick.reason,
        risk=pick.risk,
        segment=segment,
        text=row.payload[:MAX_TEXT] if isinstance(row.payload, str) else "",
        predicted=row.output.label if row.output else None,
        weight=pick.count,
    )
