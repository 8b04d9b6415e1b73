"""What arrives: samples, logged inferences, and the records of a partition that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Payload: TypeAlias = str | bytes | NDArray[np.float32]
"""Text, an encoded image, or a vector (a precomputed embedding or a tensor that the model takes as it is)."""


KEPT_BYTES = 64_000
"""How much of an item that can't be used is kept."""


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
    """An item that can't be used: `reason` is a bounded label, `message` says what to do, `original` is what came (cut to 64 kB;
    b"" where another rejection of the same event has it)."""

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


@dataclass(frozen=True, slots=True)
class Original:
    """A record as its log held it. `time` is the log's, in seconds; `value` None is a tombstone."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    time: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One entry of a partition, decoded. `time` is the log's (append time; the sample's own in files)."""

    partition: Partition
    offset: int
    time: float
    items: tuple[Item, ...]
    original: Original | None = None
    """Where the log has keys and headers, for the dead letters made of it."""
