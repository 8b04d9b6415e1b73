"""What a worker keeps of a partition, and commits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors import Summary
from service.records.ids import stable_id
from service.records.kept import Pooled, Reservation
from service.records.samples import Original, Partition, Rejected, Sample
from service.records.truth import AnswerBlock, Truths

WHOLE = "all"
"""The segment of a monitor's undivided stream; every other segment is `tag=value`."""

OTHER = "__other__"
"""The value under which a tag's values beyond its maximum are counted, and samples without the tag."""


def segment_of(tags: Mapping[str, str], tag: str, values: Collection[str]) -> str:
    """The tag's segment that a sample with these tags belongs to; `values` are those that the reference knows."""
    given = tags.get(tag)
    return f"{tag}={given if given in values else OTHER}"


def belongs(tags: Mapping[str, str], segment: str, segment_values: Mapping[str, Collection[str]]) -> bool:
    """Whether a sample with these tags is of the segment's stream."""
    tag = segment.partition("=")[0]
    return segment == WHOLE or segment == segment_of(tags, tag, segment_values.get(tag, ()))


@dataclass(frozen=True, slots=True)
class PaneKey:
    """With the log alone this names a pane: the same records always make the same pane."""

    monitor: str
    segment: str
    reference_version: int
    partition: Partition
    first_offset: int


@dataclass(frozen=True, slots=True, eq=False)
class Pane:
    """A closed pane. Times are running maxima of the log's, in seconds; `sequence` is the monitor's, given at commit."""

    key: PaneKey
    last_offset: int
    first_time: float
    last_time: float
    summary: Summary
    sequence: int = 0
    losses: Mapping[str, int] = field(default_factory=dict)
    """Only of the undivided stream: what of the monitor's input could not be used while the pane was open (reason → samples). A pane
    may hold nothing but losses."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A sample whose response has not come: embedded, so that the join needs nothing but the answer."""

    event_id: str
    index: int
    sample: Sample
    embedding: NDArray[np.float32]
    fingerprint: str
    """Of the embedder that made it."""
    expires: float


@dataclass(frozen=True, slots=True, eq=False)
class DeadLetter:
    """An item that could not be used, with where it stood and why."""

    partition: Partition
    offset: int
    time: float
    rejected: Rejected
    original: Original | None = None
    """The record that held it, where its log has keys and headers."""
    sent: bool = True
    """False while it waits in the store for a dead-letter topic that could not be reached."""

    @property
    def id(self) -> str:
        return stable_id(self.partition, self.offset, self.rejected.index)


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """Where a worker takes a partition up: everything the last commit left."""

    partition: Partition
    epoch: int
    offset: int
    time: float
    """Running maximum of the log's timestamps."""
    open_panes: tuple[Pane, ...]
    waiting: tuple[Waiting, ...]
    recent_ids: NDArray[np.uint64]
    """64-bit hashes of the last ids, oldest first."""
    shapes: Mapping[str, int] = field(default_factory=dict)
    """Monitor → the version of what shapes its panes in this partition: whoever knows only an older one must not go on."""
    stopped: str = ""
    """Why the partition must not be read on before a person has reset its offset."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a partition is read, as `driftgate offsets show` tells it."""

    partition: Partition
    start: int
    """The first offset that was ever to be read."""
    offset: int
    epoch: int
    time: float
    lost: int = 0
    """Offsets that the log had let go of before they were read."""
    stopped: str = ""
    retired: bool = False
    """Of a topic that was deleted: its successor is read instead."""
    shapes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Monitor → (version of what shapes its panes, the offset from which on it counts)."""


@dataclass(frozen=True, slots=True, eq=False)
class Commit:
    """All that a batch of one partition changes, written in one transaction or not at all."""

    partition: Partition
    epoch: int
    expected_offset: int
    next_offset: int
    time: float
    closed: tuple[Pane, ...] = ()
    """In the order in which they closed; the store numbers them per monitor."""
    touched: tuple[Pane, ...] = ()
    """The open panes that the batch changed (or opened), as they stand now."""
    pooled: tuple[Pooled, ...] = ()
    reserved: tuple[Reservation, ...] = ()
    """Of each monitor's samples those that may stay longer."""
    waiting: tuple[Waiting, ...] = ()
    answered: tuple[tuple[str, int], ...] = ()
    """(event id, index) of the waiting samples that are done."""
    recent_ids: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    """The ids that the batch adds to the recent window."""
    dead_letters: tuple[DeadLetter, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Per monitor: samples taken (`monitor` → n)."""
    shapes: Mapping[str, int] = field(default_factory=dict)
    """Monitor → the version of what shaped its panes; refused where the partition has seen a later one."""
    lost: int = 0
    """Offsets passed over because the log had let go of them."""
    answers: tuple[AnswerBlock, ...] = ()
    """What the model answered, to be found again when its truth comes."""
    truths: tuple[Truths, ...] = ()
    """Of samples that brought it themselves."""
