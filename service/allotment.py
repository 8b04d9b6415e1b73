"""Shares the installation's budget among all streams, from what their monitors' last decisions say of traffic and references."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from service.budget import ALLOCATION, KNOWN_SECONDS, Allocation, Demand, Share, allocate, due
from service.ports import Store
from service.records import Event, stable_id
from service.settings import BudgetSettings, MonitorSettings, Settings

_PAUSE = 60.0
"""Seconds between two looks."""

log = structlog.get_logger()

Figures = Mapping[str, Any]


class Allotment:
    """Writes an allocation into the log of every monitor that takes part; each takes effect where it stands in that log.

    A monitor takes part when it has no run length of its own and its traffic is known.
    """

    def __init__(self, store: Store, settings: Callable[[], Settings]) -> None:
        self._store = store
        self._settings = settings
        self._looked = float("-inf")

    def step(self, *, now: float) -> int:
        """Allocates where something has changed enough; returns how many monitors were told."""
        if now - self._looked < _PAUSE:
            return 0
        self._looked = now
        settings = self._settings()
        budget, monitors = settings.budget, {m.name: m for m in settings.monitors if m.detection.run_length is None}
        figures = {name: status for name in monitors if _known(status := self._store.status(name))}
        standing = {name: _standing(status) for name, status in figures.items()}
        demands = [demand for name, status in figures.items() for demand in _demands(monitors[name], status)]
        terms = {name: _terms(budget, monitors[name]) for name in figures}
        shares = allocate(demands, budget.per_second)
        reason = due(standing, shares, terms, now)
        if reason is None:
            return 0
        events = _events(shares, standing, terms, reason=reason, now=now)
        for event in events:
            self._store.record_event(event)
        advisory = sum(share.run_length > share.demand.supported for share in shares)
        log.info("budget allocated", reason=reason.value, monitors=len(events), streams=len(shares), advisory=advisory)
        return len(events)


def _terms(budget: BudgetSettings, monitor: MonitorSettings) -> str:
    """Changes with whatever a person may change about the monitor's share."""
    weights = sorted(monitor.segments.importance.items())
    return stable_id(budget.alarms, budget.days, monitor.importance, str(weights), monitor.detection.mode)


def _known(status: Figures) -> bool:
    return bool(status.get("streams")) and float(status.get("traffic_seconds", 0.0)) >= KNOWN_SECONDS


def _standing(status: Figures) -> Allocation | None:
    given = status.get("allocation")
    return None if given is None else Allocation(**given)


def _demands(monitor: MonitorSettings, status: Figures) -> list[Demand]:
    weights = monitor.segments.importance
    return [
        Demand(
            monitor.name,
            stream["segment"],
            float(stream["traffic_per_second"] or 0.0),
            monitor.importance * weights.get(stream["segment"], 1.0),
            float(status["supported_run_length"]),
            shadow=monitor.detection.mode == "shadow",
        )
        for stream in status["streams"]
    ]


def _events(
    shares: Sequence[Share], standing: Mapping[str, Allocation | None], terms: Mapping[str, str], *, reason: str, now: float
) -> list[Event]:
    """One per monitor. The round is named after the ones before, so that two who allocate at once name the same."""
    before = sorted(allocation.round if allocation else "" for allocation in standing.values())
    named = stable_id(ALLOCATION, *standing, *before)
    events = []
    for monitor in standing:
        own = {share.demand.segment: share for share in shares if share.demand.monitor == monitor}
        allocation = Allocation(
            round=named,
            time=now,
            reason=reason,
            run_lengths={segment: share.run_length for segment, share in own.items()},
            rates={segment: share.demand.rate for segment, share in own.items()},
            shares={segment: share.share for segment, share in own.items()},
            streams=len(shares),
            terms=terms[monitor],
        )
        events.append(Event(stable_id(named, monitor), monitor, ALLOCATION, now, "driftgate", body=allocation.body()))
    return events
