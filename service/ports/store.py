"""Exact state: one protocol, each method one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from service.ports.erasing import Erasing
from service.records import (
    Answer,
    Assignment,
    Commit,
    DeadLetter,
    Decision,
    Entity,
    Event,
    Judgement,
    Label,
    OutboxItem,
    Pane,
    Partition,
    Passage,
    Pooled,
    Position,
    Reservation,
    Reserved,
    ReservedPart,
    Truths,
    Untold,
)

E = TypeVar("E", bound=Entity)


def asked(monitor: str | None, monitors: Collection[str] | None) -> Sequence[str] | None:
    """Which monitors' entities are looked for where both are given; None: those of all."""
    if monitor is None:
        return None if monitors is None else sorted(set(monitors))
    return [monitor] if monitors is None or monitor in monitors else []


class Progress(Protocol):
    """How far partitions are read, with all that belongs to them."""

    def assign(self, partition: Partition, *, start: int = 0) -> Assignment:
        """Raises the partition's epoch, so that whoever held it before can't commit any more. One never seen begins at `start`."""

    def commit(self, commit: Commit) -> Sequence[Pane]:
        """Compares epoch, expected offset and shapes; returns the closed panes with their sequence numbers."""

    def positions(self) -> Sequence[Position]:
        """Every partition that was ever assigned, by topic, id and number."""

    def siblings(self, partition: Partition) -> Sequence[Position]:
        """Those of `positions` of the same topic and number, whatever the topic's id; this one among them once it was assigned."""

    def epochs(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Under which epoch each of these is held now; those never assigned are missing."""

    def halt(self, partition: Partition, epoch: int, reason: str) -> None:
        """Stops the partition until it is reset; ConflictError if another epoch holds it."""

    def reserve_parts(self, monitor: str) -> Mapping[str, ReservedPart]:
        """How full each part of the monitor's reserve is."""

    def forgotten(self) -> frozenset[str]:
        """The ids of all that was forgotten (`Forgotten`), which must not be taken again. Cheap to ask, however many they are."""


class Store(Progress, Erasing, Protocol):
    """Exact state. Every method is one transaction; a failed comparison raises ConflictError and changes nothing."""

    def reset(self, partition: Partition, offset: int, events: Sequence[Event] = ()) -> None:
        """A person's word on where to read on, recorded by `events`: whoever holds the partition loses it, its open panes close as they
        stand, what waits and the recent ids go. It need not have been seen; others of its topic and number retire, with theirs."""

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

    def decide(self, decision: Decision) -> None:
        """Compares fence and last decided sequence number; writes everything or nothing."""

    def undecided(self) -> Sequence[str]:
        """Monitors whose log has entries beyond the last decided one."""

    # the right to decide
    def lease(self, name: str, holder: str, seconds: float) -> int | None:
        """Takes or renews the lease by the store's clock: its fencing token, higher for each new holder; None while another has it."""

    def release(self, name: str, holder: str) -> None:
        """Gives it up, if it is the holder's."""

    def open_panes(self, monitor: str) -> Sequence[Pane]:
        """Committed and not yet closed: shown as undecided."""

    def status(self, monitor: str) -> Mapping[str, Any]:
        """The state document of the last decision, {} before the first."""

    def timeline(self, monitor: str, segment: str, seconds: float, *, limit: int = 1_000) -> Sequence[Passage]:
        """The newest passages of so many seconds that are kept of a stream, oldest first."""

    def samples_taken(self, monitor: str) -> int: ...

    # entities: alarms, annotation batches, refresh cycles, declarations
    def get(self, kind: type[E], id: str) -> E:
        """NotFoundError when there is none."""

    def find(
        self,
        kind: type[E],
        *,
        monitor: str | None = None,
        monitors: Collection[str] | None = None,
        states: Iterable[str] = (),
        after: str | None = None,
        limit: int = 100,
    ) -> Sequence[E]:
        """Newest first, those after the entity `after`, which may be in another state by now; NotFoundError where it has gone. `monitors`
        narrows to these, besides `monitor`."""

    def tally(self, kind: type[Entity]) -> Mapping[tuple[str, str], int]:
        """(monitor, state) → how many there are; read from counts, however many there are."""

    def save(self, *entities: Entity, outbox: Sequence[OutboxItem] = ()) -> None:
        """Each entity's `version` must be one above the stored one (1 for a new one); all or none."""

    def drop(self, kind: type[Entity], ids: Collection[str]) -> int:
        """Lets go of entities whose time is over; returns how many of them were there."""

    # pool, labels
    def pool(
        self, monitor: str, *, since: float = 0.0, limit: int = 100_000, ids: Collection[str] | None = None, payloads: bool = True
    ) -> Sequence[Pooled]:
        """The kept samples with time ≥ since, oldest first; the newest ones where there are more than `limit`. `ids`: these alone.
        `payloads`: without them nothing but what is known of the samples is read."""

    def pool_begins(self, monitor: str) -> float:
        """The time from which on every sample is kept; 0 where none has gone yet."""

    def pool_bytes(self, monitor: str) -> int:
        """Of the kept samples' payloads."""

    def reserve(self, monitor: str, *, part: str | None = None) -> Sequence[Reserved]:
        """The rows of the monitor's reserve, or of one part of it, oldest first; those under earlier references among them."""

    def keep_reserved(self, reservation: Reservation) -> int:
        """Takes rows in, as a commit does; returns how many of them are there then. One that is there keeps the larger keys, and learns
        what is known of it by now (its label, its payload, its embedding under a later reference). Once is as good as twice, but for a
        twin: it leaves no id, so each time it comes it counts once more for the row that stands for it."""

    def drop_reserved(self, monitor: str, samples: Collection[str], *, part: str | None = None) -> int:
        """Takes samples out of a part of the reserve, or out of all; returns how many were in it."""

    def add_labels(self, labels: Sequence[Label]) -> int:
        """Idempotent by (batch, sample, annotator): the newest answer wins; returns how many were new or changed."""

    def labels(self, monitor: str, *, batch: str | None = None) -> Sequence[Label]:
        """In order of time; answers that were taken back are left out."""

    # truth that comes late
    def answers(self, monitor: str, samples: Collection[str]) -> Mapping[str, Answer]:
        """What the model answered to these samples, as far as it is kept; of one that came twice the newest."""

    def known_truth(self, monitor: str, samples: Collection[str]) -> Mapping[str, Judgement | None]:
        """What is known of these samples; None where only that they were judged is remembered."""

    def judge(self, truths: Truths) -> Collection[str]:
        """Keeps what became known, and returns the samples of which something else is known by now than `before`: they are left out.

        Of a sample that is known already the new truth stands in the old one's place, and is not told again, unless the old one was of
        an answer under no reference and this one is not. One of which only that it was judged is remembered stays as it is.
        """

    def judgements(self, monitor: str, *, since: float = 0.0, limit: int = 100_000) -> Sequence[Judgement]:
        """The newest of those told since then, in order of arrival."""

    def untold(self, monitor: str, limit: int) -> Untold:
        """The next that the monitor's log does not tell of."""

    def tell(self, event: Event, *, after: int, until: int) -> Event:
        """Records the event that tells of these; ConflictError where the log tells of more or fewer already."""

    # outbox
    def due(self, now: float, limit: int, *, without: Collection[str] = ()) -> Sequence[OutboxItem]:
        """Pending items whose time has come, the longest due first; those for the destinations `without` are left out."""

    def settle(self, item: OutboxItem) -> None:
        """Stores the item's new state after an attempt, all but its payload."""

    def reword(self, item: OutboxItem) -> None:
        """Stores the item's new payload, whatever has become of the item meanwhile."""

    def outbox(self, *, states: Iterable[str] = (), after: str | None = None, limit: int = 100) -> Sequence[OutboxItem]:
        """Newest first, those after the item `after`; NotFoundError where it has gone."""

    # dead letters
    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None: ...

    def dead_letters(self, *, monitor: str | None = None, after: str | None = None, limit: int = 100) -> Sequence[DeadLetter]:
        """Newest first, those after the letter `after`; NotFoundError where it has gone."""

    def dead_letter(self, id: str) -> DeadLetter:
        """NotFoundError when there is none."""

    def unsent(self, limit: int) -> Sequence[DeadLetter]:
        """Dead letters that wait for their topic, oldest first."""

    def unsent_count(self) -> int:
        """How many wait for it."""

    def mark_sent(self, ids: Sequence[str]) -> None:
        """They have arrived in their topic."""

    def tidy(self, *, now: float) -> None:
        """Upkeep that belongs to no transaction: lets go of what nothing refers to any more."""

    def close(self) -> None: ...
