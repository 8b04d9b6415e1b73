"""Reports of a process that serves: one at a time, on request or when the last one has grown old, and never in anybody's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Protocol

import structlog

from service.errors import ConflictError, DriftgateError
from service.report.kept import Kept
from service.report.making import make
from service.report.material import Material, Progress

_HOUR = 3_600.0
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
        """Why a monitor's last one could not be made."""
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
        threading.Thread(target=self._make, args=(monitor, now), name="report", daemon=True).start()
        return started

    def close(self) -> None:
        """Gives up what is under way; waits a moment for it."""
        self._ends = True
        if self._free.acquire(timeout=_FAREWELL_SECONDS):
            self._free.release()

    def _make(self, monitor: str, now: float) -> None:
        def told(step: str, done: float) -> None:
            if self._ends:
                raise CancelledError
            self.under_way = UnderWay(monitor, now, step, done)

        try:
            self.kept.add(make(self._gather(monitor, now=now, progress=told)))
        except DriftgateError as error:
            self.failures[monitor] = str(error)
            log.warning("report failed", monitor=monitor, reason=str(error))
        except CancelledError:
            log.info("report given up", monitor=monitor)
        else:
            self.failures.pop(monitor, None)
            log.info("report made", monitor=monitor)
        finally:
            self.under_way = None
            self._free.release()


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
        due = min(((self._last(monitor), monitor) for monitor in self._monitors()), default=(now, ""))
        if now - due[0] < hours * _HOUR:
            return 0
        self._reporting.begin(due[1], now=now)
        self._begun[due[1]] = now
        return 1

    def _last(self, monitor: str) -> float:
        line = self._reporting.kept.line(monitor)
        return max(self._begun.get(monitor, 0.0), 0.0 if line is None else line.made)
