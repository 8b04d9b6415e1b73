"""The samples that are kept: the recent ones, and the reserve of those that are worth keeping longer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.records.samples import Output, Partition, Payload

UNIFORM, DRIFT, FAILURE, SEGMENT = "uniform", "drift", "failure", "segment"
"""The parts of a reserve. There is one for each segment: `segment:<tag>=<value>`."""


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
class Reserved:
    """A sample of a monitor's reserve."""

    row: Pooled
    keys: Mapping[str, float]
    """Part → key. A part keeps the rows with the largest; a row in no part any more goes."""
    at: float
    """The log's time that the keys age from: never in the log's future, whatever its sender says."""
    count: int = 1
    """Near-duplicates that it stands for, itself included."""
    twin: str = ""
    """On its way in: the sample that it repeats, and that stands for it where that is still there."""


@dataclass(frozen=True, slots=True, eq=False)
class Reservation:
    """Rows on their way into a monitor's reserve, and how much room its parts have."""

    monitor: str
    rows: tuple[Reserved, ...]
    quotas: Mapping[str, int]
    """Part → most rows, of those to be trimmed: at least the parts that the rows are in."""
    half_life: float
    """Seconds after which a row's chance to stay has halved; keys made with another are brought to this one."""


@dataclass(frozen=True, slots=True)
class ReservedPart:
    """How full a part is, and the key that a row must beat where it is full."""

    rows: int
    least: float
    half_life: float
    """Seconds that its keys are made with."""
