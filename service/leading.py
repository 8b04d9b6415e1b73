"""The right to decide: a lease in the store, renewed while its holder lives, and worth nothing once it may have run out."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from service.errors import ConflictError
from service.ports import Store
from service.records import Fence

_RENEWALS = 3
"""In the time that the lease lasts."""

log = structlog.get_logger()


class Leading:
    """Holds a lease, or waits for it. Its own clock counts from before each renewal, so that it stops before another can begin."""

    def __init__(self, store: Store, name: str, holder: str, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._name = name
        self._holder = holder
        self._seconds = seconds
        self._clock = clock
        self._fence: Fence | None = None
        self._until = self._next = float("-inf")

    def fence(self) -> Fence | None:
        """The right to decide at this moment; None for whoever has none."""
        return self._fence if self._clock() < self._until else None

    def right(self) -> Fence:
        """For whoever is about to write: ConflictError when the lease may have run out meanwhile."""
        fence = self.fence()
        if fence is None:
            raise ConflictError(f"lease {self._name} of {self._holder} is over; its next holder decides")
        return fence

    def step(self) -> int:
        """Takes or renews the lease when it is time to."""
        asked = self._clock()
        if asked < self._next:
            return 0
        token, before = self._store.lease(self._name, self._holder, self._seconds), self._fence
        self._next = asked + self._seconds / _RENEWALS
        self._fence = None if token is None else Fence(self._name, token)
        self._until = asked + self._seconds
        if self._fence != before:
            log.info("leading" if token is not None else "standing by", lease=self._name, holder=self._holder, token=token)
        return 0

    def release(self) -> None:
        """Gives the lease up, so that a standby need not wait for its end."""
        held, self._fence, self._next = self._fence, None, float("-inf")
        if held is not None:
            self._store.release(self._name, self._holder)
