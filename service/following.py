"""Keeps a worker in step with what is declared: embedders and references are loaded here, in the background, and then handed over."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from service.declarations import Declared
from service.errors import DriftgateError
from service.watched import WatchedMonitor

_PAUSE, _LONGEST_PAUSE = 1.0, 60.0

AWAITED_SECONDS = 60.0
"""How long samples wait for a monitor that can't be loaded: then they are dead letters, so that those of others go on."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Failed:
    declared: Declared
    again: float
    pause: float
    reason: str
    since: float


class Following:
    """Hands on each monitor as it is declared now. One that can't be loaded keeps what it had, is reported, and is tried again."""

    def __init__(
        self,
        load: Callable[[str], WatchedMonitor],
        hand_over: Callable[[str, WatchedMonitor | None], None],
        *,
        beat: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._hand_over = hand_over
        self._beat = beat
        self._clock = clock
        self._taken: dict[str, Declared] = {}
        self._failed: dict[str, _Failed] = {}

    @property
    def problems(self) -> Mapping[str, str]:
        """Monitors that could not be taken up as they are declared, and why."""
        return {name: failed.reason for name, failed in self._failed.copy().items()}

    def begin(self, declared: Mapping[str, Declared], *, must: Callable[[Declared], bool]) -> dict[str, WatchedMonitor]:
        """What a worker starts with. DriftgateError where one of those that it `must` have can't be loaded."""
        found: dict[str, WatchedMonitor] = {}
        for name, known in declared.items():
            try:
                found[name] = self._load(name)
                self._taken[name] = known
            except DriftgateError as error:
                if must(known):
                    raise
                self._fail(name, known, error)
        return found

    def awaits(self, names: Collection[str], stands: Callable[[str], bool]) -> bool:
        """Whether one of these monitors, which the worker does not know, is declared and will be handed over: its samples must wait.
        Asked by the worker's own thread."""
        return any(stands(name) and not self._is_hopeless(name) for name in names)

    def _is_hopeless(self, name: str) -> bool:
        failed = self._failed.get(name)
        return failed is not None and self._clock() - failed.since >= AWAITED_SECONDS

    def step(self, declared: Mapping[str, Declared]) -> int:
        """Takes up what has changed; returns how many monitors were handed on."""
        changed = [name for name, known in declared.items() if self._is_due(name, known)]
        gone = [name for name in self._taken if name not in declared]
        for name in gone:
            self._hand_over(name, None)
            del self._taken[name]
        for name in [name for name in self._failed if name not in declared]:
            del self._failed[name]
        return sum([self._take(name, declared[name]) for name in changed]) + len(gone)

    def _is_due(self, name: str, known: Declared) -> bool:
        failed = self._failed.get(name)
        if failed is not None and failed.declared == known and self._clock() < failed.again:
            return False
        return self._taken.get(name) != known

    def _take(self, name: str, known: Declared) -> bool:
        self._beat()
        before = self._taken.get(name)
        if before is not None and _same(before, known):
            self._taken[name] = known  # nothing of it is the worker's
            return False
        try:
            monitor = self._load(name)
        except DriftgateError as error:
            self._fail(name, known, error)
            return False
        self._hand_over(name, monitor)
        self._taken[name] = known
        self._failed.pop(name, None)
        log.info("monitor taken up", monitor=name, shape=known.shape, reference=known.reference)
        return True

    def _fail(self, name: str, known: Declared, error: DriftgateError) -> None:
        before = self._failed.get(name)
        if before is not None and before.declared == known:
            pause, since = min(2 * before.pause, _LONGEST_PAUSE), before.since
        else:
            pause, since = _PAUSE, self._clock()
        self._failed[name] = _Failed(known, self._clock() + pause, pause, str(error), since)
        log.error("monitor not taken up", monitor=name, reason=str(error), retry_seconds=pause)


def _same(before: Declared, after: Declared) -> bool:
    """Whether a worker would fold and keep alike by both."""
    return before.shape == after.shape and before.settings.pool == after.settings.pool
