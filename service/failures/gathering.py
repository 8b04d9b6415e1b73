"""Failures are kept as labels tell of them, before the samples go that they are about."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from service.failures.listing import Failures
from service.ports import Store

_PAUSE = 30.0
"""Seconds between two looks."""


class Gathering:
    """Gathers the failures of every monitor of which a label has come since the last look."""

    def __init__(self, store: Store, failures: Failures, monitors: Callable[[], Iterable[str]]) -> None:
        self._store = store
        self._failures = failures
        self._monitors = monitors
        self._looked = -math.inf
        self._newest: dict[str, tuple[str, str, float]] = {}

    def step(self, now: float) -> int:
        """A look, where its time has come; returns of how many there was something to gather."""
        if now - self._looked < _PAUSE:
            return 0
        self._looked, found = now, 0
        for monitor in self._monitors():
            newest = [(judged.sample, judged.truth, judged.told) for judged in self._store.judgements(monitor, limit=1)]
            if newest and self._newest.get(monitor) != newest[0]:
                self._failures.gather(monitor, now=now)
                self._newest[monitor] = newest[0]
                found += 1
        return found
