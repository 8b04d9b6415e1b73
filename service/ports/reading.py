"""Where records come from and go to: logs, their partitions, their topics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.records import (
    Original,
    Partition,
    Record,
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a log holds of a partition: offsets from `first` to before `end`; one that was never read is read from `start`."""

    first: int = 0
    end: int = 2**63 - 1
    start: int = 0
    succeeds: bool = False
    """A topic of the same name but another id was this one before it was deleted: a person says where to go on."""


class Source(Protocol):
    """Ordered partitions of records."""

    def partitions(self) -> Sequence[Partition]:
        """Those to be read by this process now. One that was taken away and given back meanwhile is missing once, so that whoever
        reads takes it up anew. To ask says that the batch before is done."""

    def bounds(self, partition: Partition) -> Bounds: ...

    def seek(self, partition: Partition, offset: int) -> None:
        """The next `poll` of the partition starts at `offset` (the first record is 0)."""

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        """Up to `limit` records, of one partition or several, each partition's in order; empty after `timeout` seconds without one."""

    def committed(self, partition: Partition, offset: int) -> None:
        """Everything before `offset` is in the store: the source may let go of it, and tell those who measure lag."""

    def alive(self) -> None:
        """Called now and then while a batch is worked on, so that whoever gives partitions out knows that they are not forgotten."""

    @property
    def ended(self) -> bool:
        """True once a finite source has given its last record; the worker then flushes the open panes."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A record as the embedded log keeps it."""

    offset: int
    time: float
    body: bytes


class Sink(Protocol):
    """Where ingest puts what it took."""

    def append(self, bodies: Sequence[bytes], *, now: float, keys: Sequence[str] = ()) -> object:
        """Durable when it returns. `keys`, one per body: equal ones share a partition. BacklogFullError while nothing can be taken."""


class Log(Protocol):
    """The embedded log behind HTTP ingest: durable before the answer, bounded in bytes."""

    @property
    def partition(self) -> Partition: ...

    def decided(self, offset: int) -> None:
        """Everything before `offset` is in the store: it leaves the backlog and goes once it exceeds the retention."""

    def append(self, bodies: Sequence[bytes], *, now: float, keys: Sequence[str] = ()) -> int:
        """Durable when it returns (the first offset given); BacklogFullError when the undecided backlog would pass its cap."""

    def read(self, offset: int, limit: int) -> Sequence[LogEntry]: ...

    def wait(self, offset: int, timeout: float) -> bool:
        """True as soon as an entry at or after `offset` exists."""


class Topics(Protocol):
    """What people ask of a log's topics, and do to them, outside any reading."""

    def find(self, topic: str, number: int) -> Partition:
        """The partition as it is now; NotFoundError where there is none."""

    def bounds(self, partition: Partition) -> Bounds: ...

    def at(self, partition: Partition, moment: float) -> int:
        """The first offset at or after the moment; the end where there is none."""

    def write(self, topic: str, original: Original) -> None:
        """Durable when it returns."""

    def close(self) -> None: ...
