"""The seams of the service: what it asks of the world. Concrete classes live in `adapters/`, chosen in `app` alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.records import (
    Assignment,
    Commit,
    DeadLetter,
    Decision,
    Entity,
    Event,
    Label,
    OutboxItem,
    Pane,
    Partition,
    Payload,
    Pooled,
    Record,
)

E = TypeVar("E", bound=Entity)


class Source(Protocol):
    """Ordered partitions of records."""

    def partitions(self) -> Sequence[Partition]: ...

    def seek(self, partition: Partition, offset: int) -> None:
        """The next `poll` of the partition starts at `offset` (the first record is 0)."""

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        """Up to `limit` records, of one partition or several, each partition's in order; empty after `timeout` seconds without one."""

    def committed(self, partition: Partition, offset: int) -> None:
        """Everything before `offset` is in the store: the source may let go of it, and tell those who measure lag."""

    @property
    def ended(self) -> bool:
        """True once a finite source has given its last record; the worker then flushes the open panes."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """`embedding` (n, d) float32, finite; `logits` (n, classes) float32 where the model gives them."""

    embedding: NDArray[np.float32]
    logits: NDArray[np.float32] | None = None


class Embedder(Protocol):
    """Payloads in, vectors out."""

    @property
    def fingerprint(self) -> str:
        """Hash of model, tokenizer and options: embeddings of different fingerprints never meet."""

    @property
    def dimension(self) -> int: ...

    def check(self, payload: Payload) -> None:
        """InputError(reason, message) if it can't be embedded: empty, too long, wrong type or dimension, not finite, an image bomb."""

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        """Embeds checked payloads, in the order given. A payload that still fails raises InputError."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A record as the embedded log keeps it."""

    offset: int
    time: float
    body: bytes


class Log(Protocol):
    """The embedded log behind HTTP ingest: durable before the answer, bounded in bytes."""

    @property
    def partition(self) -> Partition: ...

    def decided(self, offset: int) -> None:
        """Everything before `offset` is in the store: it leaves the backlog and goes once it exceeds the retention."""

    def append(self, bodies: Sequence[bytes], *, now: float) -> int:
        """Durable when it returns (the first offset given); BacklogFullError when the undecided backlog would pass its cap."""

    def read(self, offset: int, limit: int) -> Sequence[LogEntry]: ...

    def wait(self, offset: int, timeout: float) -> bool:
        """True as soon as an entry at or after `offset` exists."""


class Store(Protocol):
    """Exact state. Every method is one transaction; a failed comparison raises ConflictError and changes nothing."""

    # partitions
    def assign(self, partition: Partition) -> Assignment:
        """Raises the partition's epoch, so that whoever held it before can't commit any more."""

    def commit(self, commit: Commit) -> Sequence[Pane]:
        """Compares epoch and expected offset; returns the closed panes with their sequence numbers."""

    # the log of panes and events, one sequence per monitor
    def entries(self, monitor: str, after: int, limit: int) -> Sequence[Pane | Event]:
        """Closed panes and events with a sequence number above `after`, in order."""

    def events(self, monitor: str) -> Sequence[Event]:
        """Every event of the monitor's log, in order; events stay when panes go."""

    def log_start(self, monitor: str) -> tuple[int, bytes | None]:
        """The sequence number before the first pane that is kept, and the checkpoint there; (0, None) while none has gone."""

    def record_event(self, event: Event) -> Event:
        """Appends an event under the monitor's next sequence number; an id that is there already is returned as stored."""

    def decided(self, monitor: str) -> tuple[int, int, bytes | None]:
        """(last decided sequence number, sequence number of the checkpoint, checkpoint)."""

    def decide(self, decision: Decision) -> None: ...

    def open_panes(self, monitor: str) -> Sequence[Pane]:
        """Committed and not yet closed: shown as undecided."""

    def status(self, monitor: str) -> Mapping[str, Any]:
        """The state document of the last decision, {} before the first."""

    def samples_taken(self, monitor: str) -> int: ...

    # entities: alarms, annotation batches, refresh cycles
    def get(self, kind: type[E], id: str) -> E:
        """NotFoundError when there is none."""

    def find(self, kind: type[E], *, monitor: str | None = None, states: Iterable[str] = (), limit: int = 100) -> Sequence[E]:
        """Newest first."""

    def save(self, *entities: Entity, outbox: Sequence[OutboxItem] = ()) -> None:
        """Each entity's `version` must be one above the stored one (1 for a new one); all or none."""

    # pool, labels
    def pool(self, monitor: str, *, since: float = 0.0, limit: int = 100_000) -> Sequence[Pooled]:
        """The kept samples with time ≥ since, oldest first."""

    def pool_begins(self, monitor: str) -> float:
        """The time from which on every sample is kept; 0 where none has gone yet."""

    def add_labels(self, labels: Sequence[Label]) -> int:
        """Idempotent by (batch, sample, annotator): the newest answer wins; returns how many were new or changed."""

    def labels(self, monitor: str, *, batch: str | None = None) -> Sequence[Label]: ...

    # outbox
    def due(self, now: float, limit: int) -> Sequence[OutboxItem]: ...

    def settle(self, item: OutboxItem) -> None:
        """Stores the item's new state after an attempt."""

    def outbox(self, *, states: Iterable[str] = (), limit: int = 100) -> Sequence[OutboxItem]: ...

    # dead letters
    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None: ...

    def dead_letters(self, *, monitor: str | None = None, limit: int = 100) -> Sequence[DeadLetter]: ...

    def close(self) -> None: ...


class Destination(Protocol):
    """Somewhere that outbox items go: a signed webhook, a folder."""

    def deliver(self, item: OutboxItem, *, now: float) -> None:
        """Returns when the other side has taken it; DeliveryError says whether trying again can help and when."""

    def close(self) -> None: ...
