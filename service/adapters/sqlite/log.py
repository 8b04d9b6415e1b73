"""The durable log behind HTTP ingest: what it has taken survives a crash, and it refuses more than it may hold."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from service.adapters.sqlite.database import Database, Schema, single
from service.errors import ArtefactError, BacklogFullError, InputError
from service.ports import LogEntry
from service.records import Partition

RETRY_AFTER = 5.0
"""Seconds after which a sender should try again when the backlog is full."""

READ_BYTES = 32 * 2**20
"""A read ends early at this size, so that a backlog of large entries can't fill the memory."""

TRIM_BYTES = 2**20
"""Decided entries go in steps of at least this size: trimming costs a transaction."""

LOG = Schema(
    "log",
    1,
    (
        # `total`: bytes of all entries ever appended, up to and including this one; backlog and retention are differences of it.
        """CREATE TABLE entries (
            "offset" INTEGER PRIMARY KEY,
            time REAL NOT NULL,
            total INTEGER NOT NULL,
            body BLOB NOT NULL
        ) STRICT""",
        # One row. `trimmed` entries are gone, with `trimmed_total` bytes; `next_offset` outlives them, so no offset is used twice.
        """CREATE TABLE ends (
            topic_id TEXT NOT NULL,
            next_offset INTEGER NOT NULL,
            total INTEGER NOT NULL,
            trimmed INTEGER NOT NULL,
            trimmed_total INTEGER NOT NULL,
            decided INTEGER NOT NULL
        ) STRICT""",
    ),
)


@dataclass(frozen=True, slots=True, eq=False)
class _Ticket:
    """One caller's entries on their way to the disk; `first` becomes the offset of the first of them, or None where it is for this
    caller to write them, with all that have queued up behind it."""

    bodies: Sequence[bytes]
    size: int
    now: float
    first: Future[int | None]


class SqliteLog:
    """The log in the file at `path`, or in memory with ":memory:".

    At most `backlog_bytes` wait for a decision; about `retention_bytes` of what is decided stays.
    Whoever decides says so by `decided`, also once after a start: the file remembers it only now and then.
    """

    def __init__(self, path: Path | str, *, backlog_bytes: int, retention_bytes: int) -> None:
        self._backlog_bytes = backlog_bytes
        self._retention_bytes = retention_bytes
        self._keeps = True
        self._database = Database(path, LOG)
        self._queue: list[_Ticket] = []
        self._queueing = threading.Lock()
        self._led = False
        self._deciding = threading.Lock()
        self._grown = threading.Condition()
        with self._database.write() as connection:
            ends = single(connection, "SELECT topic_id, next_offset, total, trimmed, trimmed_total, decided FROM ends")
            if ends is None:
                ends = (secrets.token_hex(8), 0, 0, 0, 0, 0)
                connection.execute("INSERT INTO ends VALUES (?, ?, ?, ?, ?, ?)", ends)
            self._partition = Partition("http", ends[0])
            self._next, self._total, self._first, self._trimmed_total, self._decided = map(int, ends[1:])
            self._decided_total = self._total_before(connection, self._decided)

    @property
    def partition(self) -> Partition:
        """The log's only partition; its topic id was made with the file."""
        return self._partition

    @property
    def backlog(self) -> int:
        """Bytes that wait for a decision."""
        return self._total - self._decided_total

    @property
    def entries(self) -> int:
        """Entries that wait for a decision."""
        return self._next - self._decided

    def append(self, bodies: Sequence[bytes], *, now: float, keys: Sequence[str] = ()) -> int:  # noqa: ARG002 - one partition needs none
        """Durable when it returns (the first offset given); callers that come at once share one transaction."""
        size = sum(map(len, bodies))
        if size > self._backlog_bytes:
            raise InputError(
                "too_large", f"{size} bytes at once, and the log holds {self._backlog_bytes} at most; send less or raise log.backlog_bytes"
            )
        ticket = _Ticket(bodies, size, now, Future())
        with self._queueing:
            self._queue.append(ticket)
            leads, self._led = not self._led, True
        first = None if leads else ticket.first.result()
        return self._lead(ticket) if first is None else first

    def read(self, offset: int, limit: int) -> Sequence[LogEntry]:
        """Up to `limit` entries from `offset` on, or as many as READ_BYTES allow."""
        if not self._first <= offset <= self._next:
            raise ArtefactError(
                f"{self._database.path}: offset {offset} was asked for, the log has {self._first} to {self._next}; "
                "log and state belong together: restore both from the same backup, or remove both"
            )
        entries: list[LogEntry] = []
        size = 0
        with self._database.read() as connection:
            found = connection.execute(
                'SELECT "offset", time, body FROM entries WHERE "offset" >= ? ORDER BY "offset" LIMIT ?', (offset, limit)
            )
            for row in found:
                entries.append(LogEntry(*row))
                size += len(row[2])
                if size >= READ_BYTES:
                    break
        return entries

    def wait(self, offset: int, timeout: float) -> bool:
        """True as soon as an entry at or after `offset` exists."""
        with self._grown:
            return self._grown.wait_for(lambda: self._next > offset, timeout)

    def decided(self, offset: int) -> None:
        """Everything before `offset` is decided: it leaves the backlog and goes once it exceeds the retention."""
        with self._deciding:
            if not self._decided < offset <= self._next:
                return
            with self._database.read() as connection:
                self._decided_total = self._total_before(connection, offset)
            self._decided = offset
            if not self._keeps or self._decided_total - self._trimmed_total >= self._retention_bytes + TRIM_BYTES:
                self._trim()
            if not self._keeps:
                self._database.scrub()

    def keep(self, keeps: bool) -> None:
        """Whether decided entries stay up to the retention; else each goes as soon as it is decided, and is overwritten."""
        self._keeps = keeps

    def close(self) -> None:
        """Remembers how far the log is decided; later calls but this one fail."""
        if self._database.closed:
            return
        with self._database.write() as connection:
            connection.execute("UPDATE ends SET decided = ?", (self._decided,))
        self._database.close()

    def _lead(self, own: _Ticket) -> int:
        """Writes what has queued up, its own among it; whoever came meanwhile writes next. So nobody waits for a lock in turn, each for
        the thread before it to have been given the processor."""
        with self._queueing:
            tickets, self._queue = self._queue, []
        failed: BaseException | None = None
        placed: Mapping[_Ticket, int] = {}
        try:
            placed = self._write(tickets)
        except BaseException as error:
            failed = error
            raise
        finally:
            self._hand_over()
            for ticket in tickets:
                if ticket is not own:
                    self._tell(ticket, placed, failed)
        if own not in placed:
            raise self._full(own.size)
        return placed[own]

    def _hand_over(self) -> None:
        with self._queueing:
            self._led = bool(self._queue)
            if self._queue:
                self._queue[0].first.set_result(None)

    def _tell(self, ticket: _Ticket, placed: Mapping[_Ticket, int], failed: BaseException | None) -> None:
        if ticket in placed:
            ticket.first.set_result(placed[ticket])
        else:
            ticket.first.set_exception(failed or self._full(ticket.size))

    def _full(self, size: int) -> BacklogFullError:
        waiting = f"{self.backlog} bytes wait for a decision, {size} more would pass the cap of {self._backlog_bytes}"
        return BacklogFullError(f"{waiting}; try again later, or raise log.backlog_bytes", retry_after=RETRY_AFTER)

    def _write(self, tickets: Sequence[_Ticket]) -> dict[_Ticket, int]:
        """Puts what the cap allows into one transaction; returns the first offsets."""
        placed: dict[_Ticket, int] = {}
        rows: list[tuple[int, float, int, bytes]] = []
        total = self._total
        for ticket in tickets:
            if total + ticket.size - self._decided_total > self._backlog_bytes:
                continue
            placed[ticket] = self._next + len(rows)
            for body in ticket.bodies:
                total += len(body)
                rows.append((self._next + len(rows), ticket.now, total, body))
        with self._database.write() as connection:
            moved = "UPDATE ends SET next_offset = ?, total = ? WHERE next_offset = ?"
            if not connection.execute(moved, (self._next + len(rows), total, self._next)).rowcount:
                raise ArtefactError(f"{self._database.path}: another process has written to it; only one may, stop one of the two")
            connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", rows)
        with self._grown:
            self._next += len(rows)
            self._total = total
            self._grown.notify_all()
        return placed

    def _trim(self) -> None:
        with self._database.write() as connection:
            kept = single(
                connection,
                'SELECT "offset" FROM entries WHERE "offset" < ? AND total > ? ORDER BY "offset" LIMIT 1',
                (self._decided, self._decided_total - (self._retention_bytes if self._keeps else 0)),
            )
            first = kept[0] if kept else self._decided
            total = self._total_before(connection, first)
            connection.execute('DELETE FROM entries WHERE "offset" < ?', (first,))
            connection.execute("UPDATE ends SET trimmed = ?, trimmed_total = ?, decided = ?", (first, total, self._decided))
        self._first, self._trimmed_total = first, total

    def _total_before(self, connection: sqlite3.Connection, offset: int) -> int:
        """Bytes of all entries before `offset`, which is at or after the first that is kept."""
        if offset <= self._first:
            return self._trimmed_total
        return int(single(connection, 'SELECT total FROM entries WHERE "offset" = ?', (offset - 1,))[0])
