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


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was known of a monitor when something new of it was last seen."""

    taken: int
    lost: int | None
    """None until it is asked for: of a monitor that moves it is not."""
    since: float


def _pause(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """The monitor's last maintenance: what it silences is told once it is over."""
    return status.get("maintenance") or {}


class Silence:
    """Looks at the clock for all monitors, and writes what it finds into their logs, so that a replay decides the same.

    Measured from when this process last saw something new: a backlog that is being read is no silence, nor is a log whose clock is
    off. Who takes the lead begins anew, and tells the same silence under the same id.
    """

    def __init__(self, store: Store, monitors: Callable[[], Iterable[str]], observer: Observer) -> None:
        self._store = store
        self._monitors = monitors
        self._observer = observer
        self._seen: dict[str, _Seen] = {}
        self._told: dict[str, str] = {}
        """Monitor → id of the last event."""
        self._looked = -math.inf

    def step(self, now: float) -> int:
        """A look at every monitor, at most every five seconds; returns how many silences it wrote down."""
        if now - self._looked < _EVERY:
            return 0
        self._looked = now
        return sum(self._look(monitor, now) for monitor in self._monitors())

    def _look(self, monitor: str, now: float) -> bool:
        seen, status = self._now(monitor, now)
        self._seen[monitor] = seen
        self._observer.silent(monitor, now - seen.since)
        after = status.get("feed", {}).get("silence_after")
        if after is None or now - seen.since < after or status["feed"]["silent"] or now < (_pause(status).get("until") or 0.0):
            return False
        return self._tell(monitor, status, seen, now=now)

    def _now(self, monitor: str, now: float) -> tuple[_Seen, Mapping[str, Any]]:
        """What is seen of a monitor, and its status where it has taken nothing since the last look."""
        taken, before = self._store.samples_taken(monitor), self._seen.get(monitor)
        if before is None or before.taken != taken:
            return _Seen(taken, None, now), {}
        status = self._store.status(monitor)
        lost = sum(status.get("feed", {}).get("total", {}).values())
        return _Seen(taken, lost, before.since if before.lost in {None, lost} else now), status

    def _tell(self, monitor: str, status: Mapping[str, Any], seen: _Seen, *, now: float) -> bool:
        """Once for each silence and reference, also where a person has closed its alarm."""
        known_by = stable_id(SILENCE, monitor, status["reference_version"], seen.taken, seen.lost, _pause(status).get("since", 0))
        if self._told.get(monitor) == known_by:
            return False
        open_panes = [pane.last_time for pane in self._store.open_panes(monitor) if pane.key.segment == WHOLE]
        body = {"seconds": now - seen.since, "log_time": max(status["last_time"], *open_panes, 0.0)}
        self._store.record_event(Event(known_by, monitor, SILENCE, now, "driftgate", body=body))
        self._told[monitor] = known_by
        log.warning("no traffic", monitor=monitor, seconds=round(now - seen.since))
        return True
