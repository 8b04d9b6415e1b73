"""No traffic, measured against what is usual for the monitor: the one thing that a log of panes can't say by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from service.budget import WEEK
from service.episodes import Traffic
from service.observe import Observer
from service.ports import Store
from service.records import WHOLE, Event, Pane, stable_id

SILENCE = "silence"
"""Kind of the event that says that no traffic came: after so many `seconds`, with the log at this `log_time`."""

_LEAST_SECONDS, _MEAN_GAPS, _PAUSES = 60.0, 30.0, 3.0
_KNOWN_SECONDS = 600.0
"""Log time over which a monitor must have been watched before its silence says anything; twice the silence at least."""

_EVERY = 5.0
"""Seconds between two looks."""

log = structlog.get_logger()


@dataclass(slots=True)
class Rhythm:
    """How long the pauses are that a moment falls into, over the last week or so: a monitor that comes by the batch, or by day, is
    silent for as long as that and nothing is wrong."""

    seconds: float = 0.0
    """Log time watched."""
    squares: float = 0.0
    """Of the pauses, summed."""
    last: float = 0.0

    def add(self, pane: Pane) -> None:
        """The next pane of the whole stream."""
        if self.last:
            pause, gone = (min(max(time - self.last, 0.0), WEEK) for time in (pane.first_time, pane.last_time))
            keep = math.exp(-gone / WEEK)
            self.seconds, self.squares = keep * self.seconds + gone, keep * self.squares + pause**2
        self.last = max(self.last, pane.last_time)

    @property
    def pause(self) -> float:
        """Seconds: the mean over all moments, those in no pause included."""
        return self.squares / self.seconds if self.seconds else 0.0


def silence_after(configured: float | None, traffic: Traffic, rhythm: Rhythm) -> float | None:
    """Seconds without a sample that are worth telling; None while too little is known of the monitor's traffic."""
    if configured is not None or not traffic.rate:
        return configured
    after = max(_LEAST_SECONDS, _MEAN_GAPS / traffic.rate, _PAUSES * rhythm.pause)
    return after if rhythm.seconds >= max(_KNOWN_SECONDS, 2 * after) else None


class Silence:
    """Looks at the clock for all monitors, and writes what it finds into their logs, so that a replay decides the same.

    Measured from when this process last saw something new: a backlog that is being read is no silence, nor is a log whose clock is
    off. Who takes the lead begins anew, and tells the same silence under the same id.
    """

    def __init__(self, store: Store, monitors: Callable[[], Iterable[str]], observer: Observer) -> None:
        self._store = store
        self._monitors = monitors
        self._observer = observer
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}
        """Monitor → samples taken and lost, and since when."""
        self._told: dict[str, tuple[int, int]] = {}
        self._looked = -math.inf

    def step(self, now: float) -> int:
        """A look at every monitor, at most every five seconds; returns how many silences it wrote down."""
        if now - self._looked < _EVERY:
            return 0
        self._looked = now
        return sum(self._look(monitor, now) for monitor in self._monitors())

    def _look(self, monitor: str, now: float) -> bool:
        taken = self._store.samples_taken(monitor)
        (before, lost), since = self._seen.get(monitor, ((-1, 0), now))
        status: Mapping[str, Any] = {}
        if before == taken:  # of a monitor that has just moved nothing more is asked
            status = self._store.status(monitor)
            lost = sum(status.get("feed", {}).get("total", {}).values())
        mark = taken, lost
        if self._seen.get(monitor, (None, now))[0] != mark:
            self._seen[monitor] = mark, now
            since = now
        self._observer.silent(monitor, now - since)
        after = status.get("feed", {}).get("silence_after")
        if after is None or now - since < after or status["feed"]["silent"] or self._told.get(monitor) == mark:
            return False
        self._tell(monitor, status, mark, seconds=now - since, now=now)
        return True

    def _tell(self, monitor: str, status: Mapping[str, Any], mark: tuple[int, int], *, seconds: float, now: float) -> None:
        open_panes = [pane.last_time for pane in self._store.open_panes(monitor) if pane.key.segment == WHOLE]
        body = {"seconds": seconds, "log_time": max(status["last_time"], *open_panes, 0.0)}
        known_by = stable_id(SILENCE, monitor, status["reference_version"], *mark)
        self._store.record_event(Event(known_by, monitor, SILENCE, now, "driftgate", body=body))
        self._told[monitor] = mark
        log.warning("no traffic", monitor=monitor, seconds=round(seconds))
