"""Reports of a process that serves: one at a time, on request or when the last one has grown old, and never in anybody's way."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from service.errors import ConflictError
from service.patience import Patience
from service.report.kept import Kept
from service.report.making import make
from service.report.material import Material, Progress

_HOUR = 3_600.0
_AGAIN_HOURS = 1.0
"""Until one that could not be made is tried again, at most."""
_FAREWELL_SECONDS = 10.0

log = structlog.get_logger()


class Gather(Protocol):
    """Whoever knows where a monitor's things are."""

    def __call__(self, monitor: str, *, now: float, progress: Progress) -> Material: ...


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The report that is being made."""

    monitor: str
    since: float
    step: str = ""
    done: float = 0.0
    """Share of the step."""


class Reporting:
    """Makes reports in a thread of its own. A large monitor's takes a core for a minute and a gigabyte, so there is one at a time."""

    def __init__(self, gather: Gather, kept: Kept) -> None:
        self.kept = kept
        self.under_way: UnderWay | None = None
        self.failures: dict[str, str] = {}
        """Why a monitor's last one could not be made, whatever the reason."""
        self._gather = gather
        self._ends = False
        self._free = threading.Lock()

    def begin(self, monitor: str, *, now: float) -> UnderWay:
        """Returns at once; ConflictError while one is being made."""
        if not self._free.acquire(blocking=False):
            busy = self.under_way
            whose = f" of monitor {busy.monitor}" if busy else ""
            raise ConflictError(f"a report{whose} is being made, and there is one at a time: ask again when it is done")
        started = self.under_way = UnderWay(monitor, now)
        threading.Thread(target=self._begun, args=(monitor, now), name="report", daemon=True).start()
        return started

    def close(self) -> None:
        """Gives up what is under way; waits a moment for it."""
        self._ends = True
        if self._free.acquire(timeout=_FAREWELL_SECONDS):
            self._free.release()

    def _begun(self, monitor: str, now: float) -> None:
        """An error of any kind is told where people look for the report."""
        attempt = Patience(shortest=0.0)
        try:
            attempt.attempt(partial(self._make, monitor, now), monitor=monitor, thread="report")
            if attempt.reason:
                self.failures[monitor] = attempt.reason
        finally:
            self.under_way = None
            self._free.release()

    def _make(self, monitor: str, now: float) -> int:
        """How many were made."""

        def told(step: str, done: float) -> None:
            if self._ends:
                raise CancelledError
            self.under_way = UnderWay(monitor, now, step, done)

        try:
            self.kept.add(make(self._gather(monitor, now=now, progress=told)))
        except CancelledError:
            log.info("report given up", monitor=monitor)
            return 0
        self.failures.pop(monitor, None)
        log.info("report made", monitor=monitor)
        return 1


class Schedule:
    """Begins the report of a monitor whose last one has grown old."""

    def __init__(self, reporting: Reporting, monitors: Callable[[], Sequence[str]], every_hours: Callable[[], float | None]) -> None:
        self._reporting = reporting
        self._monitors = monitors
        self._every_hours = every_hours
        self._begun: dict[str, float] = {}
        """One that could not be made is not tried at every turn."""

    def step(self, now: float) -> int:
        """How many were begun."""
        hours = self._every_hours()
        if hours is None or self._reporting.under_way is not None:
            return 0
        due, monitor = min(((self._due(monitor, hours), monitor) for monitor in self._monitors()), default=(math.inf, ""))
        if now < due:
            return 0
        try:
            self._reporting.begin(monitor, now=now)
        except ConflictError:  # somebody asked for one in between
            return 0
        self._begun[monitor] = now
        return 1

    def _due(self, monitor: str, hours: float) -> float:
        begun = self._begun.get(monitor, -math.inf)
        if monitor in self._reporting.failures:
            return begun + min(hours, _AGAIN_HOURS) * _HOUR
        line = self._reporting.kept.line(monitor)
        return max(begun, -math.inf if line is None else line.made) + hours * _HOUR
