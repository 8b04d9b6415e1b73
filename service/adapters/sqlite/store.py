"""The Store over one SQLite file: every method is one transaction over the functions of its noun."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.adapters.sqlite import answers, decisions, entities, leases, pane_log, panes, partitions, pool, resets, timeline, truth
from service.adapters.sqlite.database import Database, single
from service.adapters.sqlite.erasing import Erasing
from service.adapters.sqlite.judging import Judging
from service.adapters.sqlite.keeping import Keeping
from service.adapters.sqlite.leaving import Leaving
from service.adapters.sqlite.schema import STORE
from service.ports import E, asked
from service.records import Assignment, Commit, Decision, Entity, Event, Label, OutboxItem, Pane, Partition, Passage, Position


class SqliteStore(Erasing, Judging, Keeping, Leaving):
    """Exact state in the file at `path`, or in memory with ":memory:".

    `pool_rows` gives the pool's capacity per monitor (8,000 for others), `pool_bytes` how much of their payloads is kept
    for each, `panes` what stays of each monitor's decided panes for backtests, `dead_letters` how many of the newest dead
    letters, and how many bytes of them; leases run by `clock`, which all processes on the file share.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        pool_rows: Mapping[str, int] | None = None,
        pool_bytes: int = 200_000_000,
        panes: pane_log.Retention = pane_log.USUAL,
        dead_letters: tuple[int, int] = (100_000, 500_000_000),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pool_rows = {} if pool_rows is None else pool_rows  # as it is given: it may change
        self._pool_bytes = pool_bytes
        self._kept_panes = panes
        self._clock = clock
        super().__init__(Database(path, STORE), dead_letters)
        with self._database.write() as connection:
            pool.fit(connection, self._pool_rows)

    # partitions

    def assign(self, partition: Partition, *, start: int = 0) -> Assignment:
        """Raises the partition's epoch, so that whoever held it before can't commit any more. One never seen begins at `start`."""
        with self._database.write() as connection:
            return partitions.assign(connection, partition, start=start)

    def commit(self, commit: Commit) -> Sequence[Pane]:
        """Compares epoch, expected offset and shapes; returns the closed panes with their sequence numbers."""
        with self._database.write() as connection:
            self._add_letters(connection, commit.dead_letters)
            return partitions.commit(connection, commit, self._pool_rows, pool_bytes=self._pool_bytes)

    def positions(self) -> Sequence[Position]:
        """Every partition that was ever assigned, by topic, id and number."""
        with self._database.read() as connection:
            return partitions.positions(connection)

    def siblings(self, partition: Partition) -> Sequence[Position]:
        """Those of the same topic and number, whatever the topic's id."""
        with self._database.read() as connection:
            return partitions.siblings(connection, partition)

    def epochs(self, asked: Collection[Partition]) -> Mapping[Partition, int]:
        """Under which epoch each of these is held now."""
        with self._database.read() as connection:
            return partitions.epochs(connection, asked)

    def halt(self, partition: Partition, epoch: int, reason: str) -> None:
        """Stops the partition until it is reset; ConflictError if another epoch holds it."""
        with self._database.write() as connection:
            partitions.halt(connection, partition, epoch, reason)

    def reset(self, partition: Partition, offset: int, events: Sequence[Event] = ()) -> None:
        """Sets where to read on: whoever holds the partition loses it, its open panes close; other topics of its name retire."""
        with self._database.write() as connection:
            resets.reset(connection, partition, offset)
            for event in events:
                decisions.record_event(connection, event)

    # the log of panes and events

    def entries(self, monitor: str, after: int, limit: int) -> Sequence[Pane | Event]:
        """Closed panes and events with a sequence number above `after`, in order."""
        with self._database.read() as connection:
            return decisions.entries(connection, monitor, after, limit)

    def events(self, monitor: str) -> Sequence[Event]:
        """Every event of the monitor's log, in order; events stay when panes go."""
        with self._database.read() as connection:
            return decisions.events(connection, monitor)

    def log_start(self, monitor: str) -> tuple[int, bytes | None]:
        """The sequence number before the first pane that is kept, and the checkpoint there; (0, None) while none has gone."""
        with self._database.read() as connection:
            return pane_log.start(connection, monitor)

    def record_event(self, event: Event) -> Event:
        """Appends an event under the monitor's next sequence number; an id that is there already is returned as stored."""
        with self._database.write() as connection:
            return decisions.record_event(connection, event)

    def decided(self, monitor: str) -> tuple[int, int, bytes | None]:
        """(last decided sequence number, sequence number of the checkpoint, checkpoint)."""
        with self._database.read() as connection:
            return decisions.decided(connection, monitor)

    def decide(self, decision: Decision) -> None:
        """Compares fence and last decided sequence number; writes everything or nothing."""
        with self._database.write() as connection:
            decisions.decide(connection, decision, self._kept_panes)

    def undecided(self) -> Sequence[str]:
        """Monitors whose log has entries beyond the last decided one."""
        with self._database.read() as connection:
            return decisions.undecided(connection)

    # the right to decide

    def lease(self, name: str, holder: str, seconds: float) -> int | None:
        """Takes or renews the lease: its fencing token, higher for each new holder; None while another has it."""
        with self._database.write() as connection:
            now = self._clock()
            return leases.take(connection, name, holder, now=now, until=now + seconds)

    def release(self, name: str, holder: str) -> None:
        """Gives it up, if it is the holder's."""
        with self._database.write() as connection:
            leases.release(connection, name, holder)

    # what a monitor has come to

    def open_panes(self, monitor: str) -> Sequence[Pane]:
        """Committed and not yet closed: shown as undecided."""
        with self._database.read() as connection:
            return panes.open_of(connection, monitor)

    def status(self, monitor: str) -> Mapping[str, Any]:
        """The state document of the last decision that brought one, {} before the first."""
        with self._database.read() as connection:
            return decisions.status(connection, monitor)

    def timeline(self, monitor: str, segment: str, seconds: float, *, limit: int = 1_000) -> Sequence[Passage]:
        """The newest passages of so many seconds that are kept of a stream, oldest first."""
        with self._database.read() as connection:
            return timeline.read(connection, monitor, segment, seconds, limit)

    def samples_taken(self, monitor: str) -> int:
        """How many samples the commits counted."""
        with self._database.read() as connection:
            row = single(connection, "SELECT taken FROM monitors WHERE name = ?", (monitor,))
            return int(row[0]) if row else 0

    # entities

    def get(self, kind: type[E], id: str) -> E:
        """NotFoundError when there is none."""
        with self._database.read() as connection:
            return entities.get(connection, kind, id)

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
        """Newest first, those after the entity `after`; NotFoundError where it has gone."""
        with self._database.read() as connection:
            return entities.find(connection, kind, asked(monitor, monitors), list(states), after=after, limit=limit)

    def tally(self, kind: type[Entity]) -> Mapping[tuple[str, str], int]:
        """(monitor, state) → how many there are."""
        with self._database.read() as connection:
            return entities.tally(connection, kind)

    def save(self, *changed: Entity, outbox: Sequence[OutboxItem] = ()) -> None:
        """Each entity's `version` must be one above the stored one (1 for a new one); all or none."""
        with self._database.write() as connection:
            entities.save(connection, changed, outbox)

    def drop(self, kind: type[Entity], ids: Collection[str]) -> int:
        """Lets go of entities whose time is over; returns how many of them were there."""
        with self._database.write() as connection:
            return entities.drop(connection, kind, ids)

    # labels

    def add_labels(self, labels: Sequence[Label]) -> int:
        """Idempotent by (batch, sample, annotator): the newest answer wins; returns how many were new or changed."""
        with self._database.write() as connection:
            return answers.add(connection, labels)

    def labels(self, monitor: str, *, batch: str | None = None) -> Sequence[Label]:
        """The answers that stand, in order of time."""
        with self._database.read() as connection:
            return answers.read(connection, monitor, batch)

    def tidy(self, *, now: float) -> None:  # noqa: ARG002 - the protocol's: nothing here grows old
        """Small blocks of answers become larger ones; else each transaction lets go of what it makes unnecessary."""
        with self._database.write() as connection:
            truth.merge(connection)

    def close(self) -> None:
        """Waits for the writer; later calls fail."""
        self._database.close()
