"""The Store over one SQLite file: every method is one transaction over the functions of its noun."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.adapters.sqlite import answers, dead_letters, decisions, entities, outbox, pane_log, partitions, pool
from service.adapters.sqlite.database import Database, single
from service.adapters.sqlite.schema import STORE
from service.ports import E
from service.records import Assignment, Commit, DeadLetter, Decision, Entity, Event, Label, OutboxItem, Pane, Partition, Pooled


class SqliteStore:
    """Exact state in the file at `path`, or in memory with ":memory:".

    `pool_rows` gives the pool's capacity per monitor (8,000 for others), `pool_bytes` how much of their payloads is kept
    for each, `panes` what stays of each monitor's decided panes for backtests, `retain_dead_letters` and `dead_letter_bytes`
    how many of the newest dead letters.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        pool_rows: Mapping[str, int] | None = None,
        pool_bytes: int = 200_000_000,
        panes: pane_log.Retention = pane_log.USUAL,
        retain_dead_letters: int = 100_000,
        dead_letter_bytes: int = 500_000_000,
    ) -> None:
        self._pool_rows = dict(pool_rows or {})
        self._pool_bytes = pool_bytes
        self._panes = panes
        self._dead_letters = retain_dead_letters, dead_letter_bytes
        self._database = Database(path, STORE)
        with self._database.write() as connection:
            pool.fit(connection, self._pool_rows)

    # partitions

    def assign(self, partition: Partition) -> Assignment:
        """Raises the partition's epoch, so that whoever held it before can't commit any more."""
        with self._database.write() as connection:
            return partitions.assign(connection, partition)

    def commit(self, commit: Commit) -> Sequence[Pane]:
        """Compares epoch and expected offset; returns the closed panes with their sequence numbers."""
        with self._database.write() as connection:
            closed = partitions.commit(connection, commit, self._pool_rows, pool_bytes=self._pool_bytes)
            if commit.dead_letters:
                dead_letters.trim(connection, *self._dead_letters)
            return closed

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
        """Compares and raises the last decided sequence number, and writes all that the decision changes."""
        with self._database.write() as connection:
            decisions.decide(connection, decision, self._panes)

    def open_panes(self, monitor: str) -> Sequence[Pane]:
        """Committed and not yet closed: shown as undecided."""
        with self._database.read() as connection:
            return partitions.open_panes(connection, monitor)

    def status(self, monitor: str) -> Mapping[str, Any]:
        """The state document of the last decision that brought one, {} before the first."""
        with self._database.read() as connection:
            return decisions.status(connection, monitor)

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

    def find(self, kind: type[E], *, monitor: str | None = None, states: Iterable[str] = (), limit: int = 100) -> Sequence[E]:
        """Newest first."""
        with self._database.read() as connection:
            return entities.find(connection, kind, monitor=monitor, states=states, limit=limit)

    def save(self, *changed: Entity, outbox: Sequence[OutboxItem] = ()) -> None:
        """Each entity's `version` must be one above the stored one (1 for a new one); all or none."""
        with self._database.write() as connection:
            entities.save(connection, changed, outbox)

    # pool, labels

    def pool(self, monitor: str, *, since: float = 0.0, limit: int = 100_000) -> Sequence[Pooled]:
        """The kept samples with time ≥ since, oldest first; the newest ones where there are more than `limit`."""
        with self._database.read() as connection:
            return pool.read(connection, monitor, since, limit)

    def pool_begins(self, monitor: str) -> float:
        """The time from which on every sample is kept; 0 where none has gone yet."""
        with self._database.read() as connection:
            return pool.begins(connection, monitor)

    def add_labels(self, labels: Sequence[Label]) -> int:
        """Idempotent by (batch, sample, annotator): the newest answer wins; returns how many were new or changed."""
        with self._database.write() as connection:
            return answers.add(connection, labels)

    def labels(self, monitor: str, *, batch: str | None = None) -> Sequence[Label]:
        """The answers that stand, in order of time."""
        with self._database.read() as connection:
            return answers.read(connection, monitor, batch)

    # outbox

    def due(self, now: float, limit: int) -> Sequence[OutboxItem]:
        """Pending items whose time has come, the longest due first."""
        with self._database.read() as connection:
            return outbox.due(connection, now, limit)

    def settle(self, item: OutboxItem) -> None:
        """Stores the item's new state after an attempt."""
        with self._database.write() as connection:
            outbox.settle(connection, item)

    def outbox(self, *, states: Iterable[str] = (), limit: int = 100) -> Sequence[OutboxItem]:
        """Newest first."""
        with self._database.read() as connection:
            return outbox.read(connection, states, limit)

    # dead letters

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Idempotent by id; the oldest make room."""
        with self._database.write() as connection:
            dead_letters.add(connection, letters)
            dead_letters.trim(connection, *self._dead_letters)

    def dead_letters(self, *, monitor: str | None = None, limit: int = 100) -> Sequence[DeadLetter]:
        """Newest first."""
        with self._database.read() as connection:
            return dead_letters.read(connection, monitor, limit)

    def close(self) -> None:
        """Waits for the writer; later calls fail."""
        self._database.close()
