"""History read into a log and detectors of its own: what a monitor would have said of a time before it was there.

A backfill has a store of its own, `backfills/<id>.sqlite`, and nothing of it reaches the live one: no pane, no alarm, no message. Its
id follows from what is read and how, so that the same command goes on where it was interrupted. Offsets that the live log holds, or
will, are left out.
"""

from __future__ import annotations

import fcntl
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from service.artefacts import replace_text
from service.controller import Controller
from service.errors import ArtefactError, ConflictError, NotFoundError
from service.ports import Source, Store
from service.records import Backfill, BackfillState, Pane, Partition, Position, Stretch, stable_id
from service.replay import MOST_LETTERS, replay, report
from service.watched import WatchedMonitor
from service.worker import Worker

_BATCH, _LOOKED_THROUGH = 512, 50_000
"""Entries of the live log that are read at once, and in all."""

MOST_ALARMS = 1_000
"""That a backfill's document lists."""

SAVED_EVERY = 2.0
"""Seconds between two notes of how far it is."""


@dataclass(frozen=True, slots=True)
class TopicSpan:
    """Records of a topic, by its own times; all of its partitions where none is named."""

    topic: str
    partitions: tuple[int, ...]
    since: float
    until: float


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What carries one backfill out; `store` is its own."""

    worker: Worker
    controller: Controller
    source: Source
    store: Store


def plan(  # noqa: PLR0913 - what tells one backfill from another
    monitor: str,
    source: str,
    stretches: Sequence[Stretch],
    *,
    made_by: tuple[int, int],
    now: float,
    since: float | None = None,
    until: float | None = None,
) -> Backfill:
    """A backfill that is to be made; `made_by` is (reference version, version of what shapes the monitor's panes)."""
    named = [str(stretch.partition) for stretch in stretches]
    key = stable_id("backfill", monitor, source, *named, since, until, *made_by)
    return Backfill(key, monitor, source, since, until, made_by[0], tuple(stretches), now, now)


def cut(stretches: Iterable[Stretch], held: Mapping[Partition, int]) -> tuple[Stretch, ...]:
    """Without what lies at or after the offset from which on the live state holds a partition."""
    return tuple(_cut(stretch, held.get(stretch.partition, stretch.end)) for stretch in stretches)


def held(store: Store, monitor: WatchedMonitor) -> Mapping[Partition, int]:
    """From which offset on the live log holds the monitor's samples, or will: its first pane's. What was read before there was a
    reference is in no pane. Where panes have gone, or requests wait that lie before any, from the partition's start on."""
    name = monitor.settings.name
    positions = store.positions()  # first: whatever is committed meanwhile lies after them
    begins, _ = store.log_start(name)
    panes = None if begins or monitor.joins else _first_panes(store, name)
    if panes is None:
        return {at.partition: at.start for at in positions}
    return {at.partition: min(at.offset, panes.get(at.partition, at.offset)) for at in positions}


def _first_panes(store: Store, monitor: str) -> Mapping[Partition, int] | None:
    """Of each partition the first offset that a pane begins at; None where there are too many to look through."""
    firsts: dict[Partition, int] = {}
    after = 0
    while after < _LOOKED_THROUGH and (entries := store.entries(monitor, after, _BATCH)):
        _note_firsts(firsts, (entry for entry in entries if isinstance(entry, Pane)))
        after = entries[-1].sequence
    _note_firsts(firsts, store.open_panes(monitor))
    return firsts if after < _LOOKED_THROUGH else None


def _note_firsts(firsts: dict[Partition, int], panes: Iterable[Pane]) -> None:
    for pane in panes:
        partition, first = pane.key.partition, pane.key.first_offset
        firsts[partition] = min(first, firsts.get(partition, first))


def _cut(stretch: Stretch, start: int) -> Stretch:
    end = max(stretch.first, min(stretch.end, start))
    return replace(stretch, end=end, left_out=stretch.end - end)


class Backfills:
    """The backfills of an installation, a document and a store each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "backfills"

    def store_path(self, backfill: Backfill) -> Path:
        """Where its store lies."""
        return self._directory / f"{backfill.id}.sqlite"

    def of(self, monitor: str, *, now: float) -> Sequence[Backfill]:
        """The monitor's, newest first."""
        found = [_read(path) for path in self._directory.glob("*.json")]
        mine = [backfill.seen(now=now) for backfill in found if backfill.monitor == monitor]
        return sorted(mine, key=lambda backfill: (-backfill.created, backfill.id))

    def get(self, id: str, *, now: float) -> Backfill:
        """By its id or the beginning of it."""
        found = [path for path in self._directory.glob("*.json") if path.stem.startswith(id)] if id else []
        if len(found) != 1:
            why = f"{len(found)} begin so; give more of it" if found else "`driftgate backfill list` names them"
            raise NotFoundError(f"no backfill {id!r:.80}: {why}")
        return _read(found[0]).seen(now=now)

    @contextmanager
    def taken_up(self, planned: Backfill) -> Iterator[Backfill]:
        """The backfill, as far as it has come, for nobody else to carry on meanwhile."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / f"{planned.id}.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConflictError(f"backfill {planned.id} is being carried out by another process") from error
            path = self._path(planned)
            yield _read(path) if path.is_file() else planned

    def save(self, backfill: Backfill) -> None:
        """How far it is."""
        replace_text(self._path(backfill), msgspec.json.format(msgspec.json.encode(backfill), indent=2).decode() + "\n")

    def retell(self, backfill: Backfill, store: Store) -> None:
        """Shows of alarms what its store shows by now: samples may have been let go of. One that is being made does so in the end."""
        alarms = _alarms(store, backfill.monitor)[:MOST_ALARMS]
        if backfill.alarms and backfill.state is not BackfillState.RUNNING and alarms != backfill.alarms:
            self.save(replace(backfill, alarms=alarms))

    def _path(self, backfill: Backfill) -> Path:
        return self._directory / f"{backfill.id}.json"


def carry_out(
    backfill: Backfill,
    parts: Parts,
    backfills: Backfills,
    *,
    clock: Callable[[], float],
    progress: Callable[[Backfill], None] = lambda _: None,
) -> Backfill:
    """Reads on to the end; one that is interrupted says so, and goes on from there the next time."""
    latest = _advanced(backfill, parts, BackfillState.RUNNING, now=clock())

    def note(_: int) -> None:
        nonlocal latest
        latest = _advanced(latest, parts, BackfillState.RUNNING, now=latest.updated)
        if (now := clock()) - latest.updated >= SAVED_EVERY:
            latest = replace(latest, updated=now)
            backfills.save(latest)
        progress(latest)

    state = BackfillState.INTERRUPTED
    backfills.save(latest)
    try:
        replay(parts.worker, parts.controller, parts.source, parts.store, progress=note, timeout=1.0)
        state = BackfillState.DONE
    finally:
        latest = _advanced(latest, parts, state, now=clock())
        backfills.save(latest)
    return latest


def _advanced(backfill: Backfill, parts: Parts, state: BackfillState, *, now: float) -> Backfill:
    """The backfill with the figures of its store; letters and alarms only where they stand for long."""
    positions = {position.partition: position for position in parts.store.positions()}
    read = sum(_read_of(stretch, positions.get(stretch.partition)) for stretch in backfill.stretches)
    lost = sum(position.lost for position in positions.values())
    latest = replace(backfill, state=state, updated=now, read=read, lost=lost, samples=parts.store.samples_taken(backfill.monitor))
    if state is BackfillState.RUNNING:
        return latest
    alarms = _alarms(parts.store, backfill.monitor)
    reasons = Counter(letter.rejected.reason for letter in parts.store.dead_letters(limit=MOST_LETTERS))
    latest = replace(latest, raised=len(alarms), alarms=alarms[:MOST_ALARMS])
    return replace(latest, dead_letters=dict(sorted(reasons.items())))


def _alarms(store: Store, monitor: str) -> tuple[Mapping[str, Any], ...]:
    """As they are kept."""
    document: list[Mapping[str, Any]] = msgspec.to_builtins(report(store, monitor, ())["alarms"])
    return tuple(document)


def _read_of(stretch: Stretch, position: Position | None) -> int:
    return 0 if position is None else max(0, position.offset - stretch.first)


def _read(path: Path) -> Backfill:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Backfill)
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path}: not a backfill that can be read ({error}); remove it and the store beside it") from error
