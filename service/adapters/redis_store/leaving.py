"""What leaves the store, or waits to: the outbox and the dead letters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from service.adapters.redis_store import dead_letters, entities
from service.adapters.redis_store.server import Server
from service.ports import Blobs
from service.records import DeadLetter, OutboxItem


class Leaving:
    """The part of the store that others take things from."""

    def __init__(self, server: Server, blobs: Blobs, kept_letters: tuple[int, int]) -> None:
        self._server = server
        self._blobs = blobs
        self._kept_letters = kept_letters

    # outbox

    def due(self, now: float, limit: int, *, without: Collection[str] = ()) -> Sequence[OutboxItem]:
        """Pending items whose time has come, the longest due first; those for the destinations `without` are left out."""
        return entities.due(self._server, now, limit, without)

    def settle(self, item: OutboxItem) -> None:
        """Stores the item's new state after an attempt, all but its payload."""
        entities.settle(self._server, item)

    def reword(self, item: OutboxItem) -> None:
        """Stores the item's new payload, whatever has become of the item meanwhile."""
        entities.reword(self._server, item)

    def outbox(self, *, states: Iterable[str] = (), after: str | None = None, limit: int = 100) -> Sequence[OutboxItem]:
        """Newest first, those after the item `after`; NotFoundError where it has gone."""
        return entities.outbox(self._server, states, after, limit)

    # dead letters

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Idempotent by id; the oldest make room."""
        dead_letters.add(self._server, letters, self._kept_letters, self._blobs)

    def dead_letters(self, *, monitor: str | None = None, after: str | None = None, limit: int = 100) -> Sequence[DeadLetter]:
        """Newest first, those after the letter `after`; NotFoundError where it has gone."""
        return dead_letters.read(self._server, self._blobs, monitor, after, limit)

    def dead_letter(self, id: str) -> DeadLetter:
        """NotFoundError when there is none."""
        return dead_letters.get(self._server, self._blobs, id)

    def unsent(self, limit: int) -> Sequence[DeadLetter]:
        """Dead letters that wait for their topic, oldest first."""
        return dead_letters.unsent(self._server, self._blobs, limit)

    def unsent_count(self) -> int:
        """How many wait for it."""
        return int(self._server.ask("ZCARD", self._server.key("letters", "unsent")))

    def mark_sent(self, ids: Sequence[str]) -> None:
        """They have arrived in their topic."""
        dead_letters.mark_sent(self._server, ids, self._kept_letters)
