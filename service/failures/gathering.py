"""Failures are kept as labels tell of them, before the samples go that they are about, and shown to a new model when there is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from service.failures.listing import Failures
from service.ports import Store

_PAUSE = 30.0
"""Seconds between two looks."""


class Gathering:
    """Gathers the failures of every monitor to which a label or a reference has come since the last look."""

    def __init__(
        self, store: Store, failures: Failures, monitors: Callable[[], Iterable[str]], version: Callable[[str], int | None]
    ) -> None:
        self._store = store
        self._failures = failures
        self._monitors = monitors
        self._version = version
        self._looked = -math.inf
        self._seen: dict[str, tuple[object, ...]] = {}

    def step(self, now: float) -> int:
        """A look, where its time has come; returns of how many failures were gathered."""
        if now - self._looked < _PAUSE:
            return 0
        self._looked, found = now, 0
        for monitor in self._monitors():
            newest = [(judged.sample, judged.truth, judged.told) for judged in self._store.judgements(monitor, limit=1)]
            seen = (self._version(monitor), *newest)
            if self._seen.get(monitor) != seen:
                found += bool(self._failures.gather(monitor, now=now))
                self._seen[monitor] = seen
        return found
