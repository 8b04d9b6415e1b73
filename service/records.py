"""What flows through the service: frozen records, from a sample on arrival to the outbox.

A sample's way: `Record` (one entry of a partition, decoded) → `Sample` → `Pane` (closed, numbered) → `Alarm` →
`AnnotationBatch` of `Candidate`s → `Label`s → `RefreshCycle`. `Alarm`, `AnnotationBatch` and `RefreshCycle` are *entities*:
they have an id, a version that every change raises, and a history that names the reason of each step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors import Summary

Payload: TypeAlias = str | bytes | NDArray[np.float32]
"""Text, an encoded image, or a vector (a precomputed embedding or a tensor that the model takes as it is)."""

WHOLE = "all"
"""The segment of a monitor's undivided stream; every other segment is `tag=value`."""

OTHER = "__other__"
"""The value under which a tag's values beyond its maximum are counted."""


def stable_id(*parts: object) -> str:
    """A hash of the parts, so that repeating a step repeats its id: 20 hex digits."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


# --- in -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Partition:
    """An ordered log: `topic_id` tells a deleted and re-created topic from the one before (a file's hash for files)."""

    topic: str
    topic_id: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.topic}/{self.topic_id}/{self.number}"


@dataclass(frozen=True, slots=True)
class Output:
    """What the monitored model answered. `probabilities` or `logits` follow the order of the monitor's classes."""

    label: str | None = None
    probabilities: tuple[float, ...] | None = None
    logits: tuple[float, ...] | None = None
    model_version: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One production sample. `time` is in seconds since the epoch; the log's where the sender gave none."""

    monitor: str
    id: str
    time: float
    payload: Payload
    segments: Mapping[str, str] = field(default_factory=dict)
    output: Output | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that can't be used: `reason` is a bounded label, `message` says what to do, `original` is what came (cut to 64 kB)."""

    reason: str
    message: str
    original: bytes
    index: int = 0
    monitor: str | None = None
    stage: str = "DECODE"


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """The request half of a logged inference: its samples wait, in order of instance, for the response of the same event id."""

    monitor: str
    event_id: str
    samples: tuple[Sample, ...]

    @property
    def indexes(self) -> tuple[int, ...]:
        """Each sample's instance in the body (ids are `event id/index`): a refused instance leaves a gap, and outputs are found by it."""
        return tuple(int(sample.id.rpartition("/")[2]) for sample in self.samples)


@dataclass(frozen=True, slots=True)
class Response:
    """The response half: one output per instance."""

    monitor: str
    event_id: str
    outputs: tuple[Output, ...]


Item: TypeAlias = Sample | Request | Response | Rejected


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One entry of a partition, decoded. `time` is the log's (append time; the sample's own in files)."""

    partition: Partition
    offset: int
    time: float
    items: tuple[Item, ...]


# --- state of a partition -----------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """A recent sample kept for exemplars, candidates and the next reference; `embedding` is (d,) float16."""

    monitor: str
    id: str
    time: float
    partition: Partition
    offset: int
    payload: Payload | None
    segments: Mapping[str, str]
    output: Output | None
    label: str | None
    embedding: NDArray[np.float16]
    novelty: float
    """Percentile among the reference's own, 0 to 1."""
    reference_version: int


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A sample whose response has not come: embedded, so that the join needs nothing but the answer."""

    event_id: str
    index: int
    sample: Sample
    embedding: NDArray[np.float32]
    expires: float


@dataclass(frozen=True, slots=True, eq=False)
class DeadLetter:
    """An item that could not be used, with where it stood and why."""

    partition: Partition
    offset: int
    time: float
    rejected: Rejected

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
    waiting: tuple[Waiting, ...] = ()
    answered: tuple[tuple[str, int], ...] = ()
    """(event id, index) of the waiting samples that are done."""
    recent_ids: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    """The ids that the batch adds to the recent window."""
    dead_letters: tuple[DeadLetter, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Per monitor: samples taken (`monitor` → n)."""


# --- decisions ----------------------------------------------------------------------------------------------------


class Family(StrEnum):
    """Which kind of channel raised an alarm."""

    INPUT = "input"
    OUTPUT = "output"


class Severity(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"


class AlarmState(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Verdict(StrEnum):
    TRUE = "true"
    FALSE = "false"
    SEASONAL = "seasonal"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an entity's life: the state it led to and the named reason. `time` is log time or the actor's clock."""

    state: str
    reason: str
    time: float
    actor: str = "driftgate"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """An estimate with its interval, in the unit that the field's documentation states."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A sample that shows what moved; `text` is cut to 200 characters and empty for images and vectors."""

    id: str
    text: str
    novelty: float


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """How a reference cluster's share of the traffic moved; the cluster `novel` is what lies near no reference cluster."""

    cluster: str
    reference_share: float
    window_share: float
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class Alarm:
    """An episode of drift on one stream and channel family."""

    id: str
    monitor: str
    segment: str
    family: Family
    reference_version: int
    kind: str
    """The finer kind of drift, an annotation that may be revised: `new content`, `changed mix`, ..."""
    severity: Severity
    state: AlarmState
    at_sample: int
    """Samples of the stream, from its start or last reset, up to the pane that opened the episode."""
    at_sequence: int
    opened: float
    window_samples: int
    window_start: float
    effect: Measured
    """Equivalent share of new content (0 to 1): 0.1 is the effect of a tenth of the traffic coming from an unseen topic."""
    novel_share: Measured
    channel: str
    exemplars: tuple[Exemplar, ...] = ()
    clusters: tuple[ClusterChange, ...] = ()
    verdict: Verdict | None = None
    history: tuple[Step, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """A change that takes effect between panes: a verdict, an acknowledgement, a rebase. `sequence` is the monitor's, given by the store."""

    id: str
    monitor: str
    kind: str
    time: float
    actor: str
    subject: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """Something that must leave: delivered at least once, keyed by `id`, until `delivered` or visibly `dead`."""

    id: str
    kind: str
    """`alarm.opened`, `annotation.batch`, `refresh.requested`, ...: the `type` of the webhook."""
    destination: str
    """The name of a configured destination."""
    payload: Mapping[str, Any]
    created: float
    state: str = "pending"
    attempts: int = 0
    due: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """All that deciding a run of panes changes, written in one transaction that compares and raises the last decided sequence number."""

    monitor: str
    expected_sequence: int
    decided_sequence: int
    alarms: tuple[Alarm, ...] = ()
    outbox: tuple[OutboxItem, ...] = ()
    checkpoint: bytes | None = None
    """Detector state up to `decided_sequence`; None keeps the one before."""
    state: bytes | None = None
    """The monitor's figures as `driftgate status` shows them (JSON)."""


# --- annotation and refresh ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """A production sample proposed for annotation. `risk` is the probability that, once answered, it turns out unusable or harmful."""

    id: str
    reason: str
    risk: float
    segment: str
    text: str = ""
    predicted: str | None = None
    weight: int = 1
    """How many near-duplicates it stands for."""


class BatchState(StrEnum):
    PROPOSED = "proposed"
    APPROVED = "approved"
    SENT = "sent"
    PARTLY_RETURNED = "partly_returned"
    CLOSED = "closed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class AnnotationBatch:
    """Candidates that go to annotation together."""

    id: str
    monitor: str
    cycle: str
    reference_version: int
    state: BatchState
    items: tuple[Candidate, ...]
    created: float
    returned: int = 0
    history: tuple[Step, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True)
class Label:
    """An annotator's answer: a class, or None with `unusable` (junk, unreadable, none of the classes)."""

    monitor: str
    batch: str
    sample: str
    label: str | None
    time: float
    annotator: str = ""
    unusable: bool = False


class CycleState(StrEnum):
    ANNOTATING = "annotating"
    TRAINING = "training"
    VERIFYING = "verifying"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RefreshCycle:
    """Alarm → candidates → labels → retrained model → verification → promotion (rebase) or rejection."""

    id: str
    monitor: str
    reference_version: int
    opened_by: str
    attempt: int
    state: CycleState
    created: float
    batch: str = ""
    verification: Mapping[str, Any] | None = None
    history: tuple[Step, ...] = ()
    version: int = 0


Entity: TypeAlias = Alarm | AnnotationBatch | RefreshCycle
