"""What is remembered of the store's tokens, for so short that a revocation holds everywhere within seconds."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from service.access import tokens
from service.errors import NotFoundError
from service.ports import Store
from service.records import Token

SECONDS = 2.0
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Seen:
    token: Token | None
    at: float


class Lookups:
    """Tokens by their id, as they were at most `SECONDS` ago; ids that there are none of are remembered likewise.

    Whoever must not wait asks `fresh` first: what is fresh is answered from memory. Safe to use from several threads.
    """

    def __init__(self, store: Store, *, most: int = _MOST, tick: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._most = most
        self._tick = tick
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._any = (False, -SECONDS)
        self._turn = threading.Lock()

    def fresh(self, id: str, now: float) -> bool:
        """Whether `token(id)` is answered from memory, and its use need not be noted."""
        seen = self._seen.get(id)
        return seen is not None and self._holds(seen.at) and (seen.token is None or not tokens.use_is_news(seen.token, now))

    def token(self, id: str) -> Token | None:
        """The token of that id; None where there is none. One asks for all who come at once."""
        seen = self._seen.get(id)
        if seen is not None and self._holds(seen.at):
            return seen.token
        with self._turn:
            seen = self._seen.get(id)
            return seen.token if seen is not None and self._holds(seen.at) else self._look(id)

    def used(self, token: Token, now: float) -> None:
        """Notes that it was shown, once in a while."""
        if tokens.use_is_news(token, now):
            tokens.mark_used(self._store, token, now)
            with self._turn:
                self._look(token.id)

    def any_fresh(self) -> bool:
        """Whether `any` is answered from memory."""
        return self._holds(self._any[1])

    def any(self) -> bool:
        """Whether somebody has been given a token."""
        with self._turn:
            if not self._holds(self._any[1]):
                at = self._tick()
                self._any = (tokens.any_in_force(self._store), at)
            return self._any[0]

    def __len__(self) -> int:
        return len(self._seen)

    def _holds(self, at: float) -> bool:
        return self._tick() - at < SECONDS

    def _look(self, id: str) -> Token | None:
        at = self._tick()  # before asking: what is read may be as old as the question
        try:
            found: Token | None = self._store.get(Token, id)
        except NotFoundError:
            found = None
        self._seen[id] = _Seen(found, at)
        self._seen.move_to_end(id)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return found
