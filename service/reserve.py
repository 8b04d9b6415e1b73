"""The reserve of a monitor: samples of its stream that stay longer than the recent ones, so that rare and failing mass is not lost.

It has parts, each a weighted sample that forgets: *uniform*; *drift*, where a sample's weight grows with its novelty and with a label at
hand that contradicts the model; one for each segment; and *failure*, which labels and marks fill, by loss. A sample's key in a part
follows from the monitor's name, its id, weight and time alone, and the store keeps the largest of each part: so records that come again,
in other batches, orders or partitions, leave the same rows (exactly so, until a part's room or half-life changes).

Near-duplicates that a worker lets in one after the other become one row, with their count and their largest keys, so that a storm of
retries takes the room of one. Which row of such a group stands for it does depend on batches and workers, and where two workers let
one in each, a group has two rows until a reader merges them: what is exact then is which groups are in, but for the few
rows at the end of a part whose room the second ones took. Counts are of samples that would have come in themselves.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.reservoir import LOG_2, hashes, sampling_keys
from detectors.selection.kernel import directions
from detectors.summarizer import Described
from service.describing import Replies, Taken
from service.ports import Progress
from service.records import DRIFT, FAILURE, OTHER, SEGMENT, UNIFORM, Pooled, Reservation, Reserved, ReservedPart
from service.records.erasure import forgotten_id
from service.settings import MonitorSettings, PoolSettings
from service.watched import WatchedMonitor

_DRIFT_SHARE, _FAILURE_SHARE, _SEGMENT_SHARE = 0.3, 0.2, 0.2
"""Of the rows; the uniform part has the rest."""

_SALTS: Mapping[str, int] = {UNIFORM: 1, DRIFT: 2, SEGMENT: 3, FAILURE: 4}

_DRAWN = np.array([[_SALTS[part]] for part in (UNIFORM, DRIFT, SEGMENT)], np.uint64)
"""Those of the parts that are drawn from the stream."""

_MOST_NOVEL = 100.0
"""Weight in the drift part of what no reference row is as new as; a sample of middling novelty has 2."""

_CONTRADICTED = 10.0
"""Times as much weight has a sample whose label contradicts the model."""

_LOOK_SAMPLES, _LOOK_ROWS = 4_096, 512
"""Samples and rows let in after which it is seen anew what a row must beat."""

_REMEMBERED = 128
"""Rows let in last that new ones are held against."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many rows each part of a reserve has, and how fast it forgets."""

    parts: Mapping[str, int]
    half_life: float
    """Seconds."""

    @classmethod
    def of(cls, pool: PoolSettings, segments: Collection[str] = ()) -> Room:
        """`segments`: their parts. They share one room, so that the whole is bounded however many there are."""
        drift, failure, shared = (int(share * pool.reserve_rows) for share in (_DRIFT_SHARE, _FAILURE_SHARE, _SEGMENT_SHARE))
        uniform = pool.reserve_rows - drift - failure - (shared if segments else 0)
        each = dict.fromkeys(segments, shared // max(len(segments), 1))
        return cls({UNIFORM: uniform, DRIFT: drift, FAILURE: failure, **each}, pool.half_life_days * 86_400.0)


def part_of(segment: str) -> str:
    """A segment's part."""
    return f"{SEGMENT}:{segment}"


def failed(settings: MonitorSettings, rows: Sequence[Pooled], losses: Sequence[float], *, now: float) -> Reservation:
    """Samples on which the model fails on their way into that part; the dearer, the longer they stay. losses : above 0."""
    room, times = Room.of(settings.pool), [min(row.time, now) for row in rows]
    age, weight = np.array(times, np.float64) * (LOG_2 / room.half_life), np.maximum(np.array(losses, np.float64), 1e-9)
    keys = sampling_keys(hashes(settings.name, [row.id for row in rows]), _SALTS[FAILURE], weight=weight, age=age)
    reserved = (Reserved(row, {FAILURE: float(key)}, at) for row, key, at in zip(rows, keys, times, strict=True))
    return Reservation(settings.name, tuple(reserved), {FAILURE: room.parts[FAILURE]}, room.half_life)


def _joined(leader: Reserved, other: Reserved) -> Reserved:
    keys = {part: max(leader.keys.get(part, -math.inf), other.keys.get(part, -math.inf)) for part in {**leader.keys, **other.keys}}
    return replace(leader, keys=keys, at=max(leader.at, other.at), count=leader.count + other.count)


class Admission:
    """Which samples of a worker's monitors go on to their reserves: those that beat what is known to be there.

    What is known may be old: then more go on, and the store lets go of them at once.
    """

    def __init__(self) -> None:
        self._gates: dict[str, _Gate] = {}
        self._forgotten: frozenset[str] = frozenset()

    def remember(self, forgotten: frozenset[str]) -> None:
        """What nobody may take again."""
        self._forgotten = forgotten

    def refuses(self, monitor: str, sample: str) -> bool:
        """Whether the sample was forgotten."""
        return bool(self._forgotten) and forgotten_id(monitor, sample) in self._forgotten

    def look(self, store: Progress, monitors: Iterable[WatchedMonitor]) -> None:
        """Sees what a row of these monitors must beat, where that was long ago."""
        for monitor in monitors:
            gate = self._gate(monitor)
            if gate.stale:
                gate.look(store.reserve_parts(monitor.settings.name))

    def offer(
        self, monitor: WatchedMonitor, taken: Sequence[Taken], pooled: Sequence[Pooled], replies: Replies, described: Described
    ) -> Iterator[Reservation]:
        """Of a batch's samples those that go on; nothing where nothing changes."""
        gate = self._gate(monitor)
        gate.passed += len(taken)
        keys = {} if gate.closed else gate.keys(taken, _weights(monitor, taken, replies, described))
        if keys or gate.overfull:
            rows = gate.distinct([Reserved(pooled[row], found, _since(taken[row])) for row, found in keys.items()])
            parts = gate.overfull | {part: gate.room.parts[part] for each in rows for part in each.keys}
            gate.admitted, gate.overfull = gate.admitted + len(rows), {}
            yield Reservation(monitor.settings.name, rows, parts, gate.room.half_life)

    def _gate(self, monitor: WatchedMonitor) -> _Gate:
        gate = self._gates.get(monitor.settings.name)
        if gate is None or gate.monitor is not monitor:
            gate = self._gates[monitor.settings.name] = _Gate(monitor)
        return gate


class _Gate:
    """What a row of one monitor must beat, and what it must not repeat."""

    def __init__(self, monitor: WatchedMonitor) -> None:
        tags = monitor.rules.tags if monitor.rules else {}
        self._parts = {tag: [part_of(segment) for segment in (*values.values(), f"{tag}={OTHER}")] for tag, values in tags.items()}
        self._places = {tag: {value: place for place, value in enumerate(values)} for tag, values in tags.items()}
        self.monitor = monitor
        self.room = Room.of(monitor.settings.pool, [part for parts in self._parts.values() for part in parts])
        self._floors: dict[str, float] = {}
        self._segment_floors: dict[str, NDArray[np.float64]] = {}
        self.overfull: dict[str, int] = {}
        """Parts that have more rows than room, and how much room that is."""
        self._near = _Near()
        self.look({})
        self.passed, self.admitted = _LOOK_SAMPLES, 0

    @property
    def closed(self) -> bool:
        """Where nothing is kept."""
        return self.monitor.settings.pool.reserve_rows == 0

    @property
    def stale(self) -> bool:
        """Whether what a row must beat was seen long ago."""
        return self.passed >= _LOOK_SAMPLES or self.admitted >= _LOOK_ROWS

    def look(self, parts: Mapping[str, ReservedPart]) -> None:
        """Takes in how full the parts are. Keys of another half-life say nothing: the next commit turns them into this one's."""
        self.passed = self.admitted = 0
        aged = {name: part.half_life == self.room.half_life for name, part in parts.items()}
        full = {name: part.least for name, part in parts.items() if aged[name] and part.rows >= self.room.parts.get(name, 0)}
        self._floors = {name: full.get(name, -math.inf) if room else math.inf for name, room in self.room.parts.items()}
        self._segment_floors = {tag: np.array([self._floors[part] for part in own]) for tag, own in self._parts.items()}
        room = {name: self.room.parts.get(name, 0) for name in parts}
        self.overfull = {name: most for name, most in room.items() if parts[name].rows > most or not aged[name]}

    def keys(self, taken: Sequence[Taken], weight: NDArray[np.float64]) -> dict[int, dict[str, float]]:
        """Place in the batch → part → key, of all that beat what is there. weight : (n,) in the drift part."""
        samples, found = [each.sample for each in taken], dict[int, dict[str, float]]()
        age = np.fmin([each.time for each in samples], [each.time for each in taken]) * (LOG_2 / self.room.half_life)
        hashed = hashes(self.monitor.settings.name, [each.id for each in samples])
        uniform, drift, keys = sampling_keys(hashed, _DRAWN, age=age)
        for part, ranks in ((UNIFORM, uniform), (DRIFT, drift + np.log(weight))):
            beating = np.flatnonzero(ranks > self._floors[part])
            for row, key in zip(beating.tolist(), ranks[beating].tolist(), strict=True):
                found.setdefault(row, {})[part] = key
        for tag, parts in self._parts.items():
            places, other = self._places[tag], len(parts) - 1
            own = [places.get(each.segments.get(tag, OTHER), other) for each in samples]
            beating = np.flatnonzero(keys > self._segment_floors[tag][own])
            for row, key in zip(beating.tolist(), keys[beating].tolist(), strict=True):
                found.setdefault(row, {})[parts[own[row]]] = key
        return found

    def distinct(self, rows: Sequence[Reserved]) -> tuple[Reserved, ...]:
        """Near-duplicates as one row: of those let in before as a twin of theirs, of each other as the first of them."""
        reference = self.monitor.reference
        if reference is None or not rows:
            return tuple(rows)
        unit = directions(np.array([each.row.embedding for each in rows], np.float32), reference.summarizer.centre)
        return self._near.distinct(rows, unit, reference.duplicate)


class _Near:
    """The rows let in last, for telling what repeats them."""

    def __init__(self) -> None:
        self._known: list[tuple[str, Mapping[str, str], str | None]] = []
        """Id, and what a near-duplicate must agree in: segments and label."""
        self._units = np.empty((0, 1), np.float32)

    def distinct(self, rows: Sequence[Reserved], unit: NDArray[np.float32], limit: float) -> tuple[Reserved, ...]:
        """Rows (n) with their directions (n, d): those that repeat one before as its twin, those that repeat each other as one."""
        before, known = len(self._known), [*self._known, *((each.row.id, each.row.segments, each.row.label) for each in rows)]
        units = np.concatenate([self._units, unit]) if before else unit
        alike = unit @ units.T >= limit
        np.fill_diagonal(alike[:, before:], False)
        repeating = np.flatnonzero((alike & np.tri(len(rows), len(units), before - 1, bool)).any(1)).tolist() if alike.any() else []
        found = dict(enumerate(rows, start=before))
        for row in repeating:
            own, earlier = before + row, np.flatnonzero(alike[row, : before + row]).tolist()
            leader = next((at for at in earlier if (at < before or at in found) and known[at][1:] == known[own][1:]), None)
            if leader is not None:
                each = found.pop(own)
                found[leader] = _joined(found[leader], each) if leader in found else replace(each, twin=known[leader][0])
        kept = [*(at for at in range(before) if at not in found), *found][-_REMEMBERED:]
        self._known, self._units = [known[at] for at in kept], units[kept]
        return tuple(found.values())


def _since(taken: Taken) -> float:
    """A sample that claims to come from the future ages from when it came; in this order a NaN changes nothing."""
    return min(taken.time, taken.sample.time)


def _weights(monitor: WatchedMonitor, taken: Sequence[Taken], replies: Replies, described: Described) -> NDArray[np.float64]:
    """In the drift part: about one over the share of the reference that is as new, more where a label contradicts the model."""
    rows = len(monitor.rules.summarizer.novelty_ranks.sorted) if monitor.rules else 1
    weight = np.minimum(1 / (1 - described.novelty.astype(np.float64) + 1 / rows), _MOST_NOVEL)
    if replies.confidence is None:  # nothing was answered
        return weight
    labels = [(row, each.sample.label) for row, each in enumerate(taken) if each.sample.label is not None]
    weight[[row for row, label in labels if replies.predicted[row] not in ("", label)]] *= _CONTRADICTED
    return weight
