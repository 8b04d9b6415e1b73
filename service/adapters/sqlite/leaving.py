"""What leaves the store, or waits to: the outbox and the dead letters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from sqlite3 import Connection

from service.adapters.sqlite import dead_letters, outbox
from service.adapters.sqlite.database import Database
from service.records import DeadLetter, OutboxItem


class Leaving:
    """The part of the store that others take things from."""

    def __init__(self, database: Database, kept_letters: tuple[int, int]) -> None:
        self._database = database
        self._kept_letters = kept_letters

    # outbox

    def due(self, now: float, limit: int, *, without: Collection[str] = ()) -> Sequence[OutboxItem]:
        """Pending items whose time has come, the longest due first; those for the destinations `without` are left out."""
        with self._database.read() as connection:
            return outbox.due(connection, now, limit, without)

    def settle(self, item: OutboxItem) -> None:
        """Stores the item's new state after an attempt, all but its payload."""
        with self._database.write() as connection:
            outbox.settle(connection, item)

    def reword(self, item: OutboxItem) -> None:
        """Stores the item's new payload, whatever has become of the item meanwhile."""
        with self._database.write() as connection:
            outbox.reword(connection, item)

    def outbox(self, *, states: Iterable[str] = (), after: str | None = None, limit: int = 100) -> Sequence[OutboxItem]:
        """Newest first, those after the item `after`; NotFoundError where it has gone."""
        with self._database.read() as connection:
            return outbox.read(connection, states, after, limit)

    # dead letters

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Idempotent by id; the oldest make room."""
        with self._database.write() as connection:
            self._add_letters(connection, letters)

    def _add_letters(self, connection: Connection, letters: Sequence[DeadLetter]) -> None:
        if letters:
            dead_letters.add(connection, letters)
            dead_letters.trim(connection, *self._kept_letters)

    def dead_letters(self, *, monitor: str | None = None, after: str | None = None, limit: int = 100) -> Sequence[DeadLetter]:
        """Newest first, those after the letter `after`; NotFoundError where it has gone."""
        with self._database.read() as connection:
            return dead_letters.read(connection, monitor, after, limit)

    def dead_letter(self, id: str) -> DeadLetter:
        """NotFoundError when there is none."""
        with self._database.read() as connection:
            return dead_letters.get(connection, id)

    def unsent(self, limit: int) -> Sequence[DeadLetter]:
        """Dead letters that wait for their topic, oldest first."""
        with self._database.read() as connection:
            return dead_letters.unsent(connection, limit)

    def unsent_count(self) -> int:
        """How many wait for it."""
        with self._database.read() as connection:
            return dead_letters.unsent_count(connection)

    def mark_sent(self, ids: Sequence[str]) -> None:
        """They have arrived in their topic."""
        with self._database.write() as connection:
            dead_letters.mark_sent(connection, ids)
            dead_letters.trim(connection, *self._kept_letters)
