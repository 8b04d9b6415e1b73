"""Looks at the clock for all monitors: opens cycles whose time has come, and asks for golden rows where the test set has grown stale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import structlog

from service import refresh
from service.cycles.due import Due, Freshness, Known, due
from service.cycles.top_up import TopUps
from service.datasets import DataSets
from service.errors import ArtefactError, ConflictError, DriftgateError, InputError
from service.monitors import Embedders
from service.ports import Store
from service.records import Alarm, AlarmState, RefreshCycle, Trigger
from service.reference import References
from service.report.material import Material
from service.report.parts import Missing
from service.settings import MonitorSettings

_LOOK, _AGAIN, _MEASURE = 30.0, 600.0, 3_600.0
"""Seconds between two looks at a monitor, two attempts to open what could not be opened, two measurements of freshness."""

_CYCLES, _ALARMS = 10_000, 1_000

log = structlog.get_logger()


class Monitors(Embedders, Protocol):
    """What is asked of the installation."""

    @property
    def names(self) -> Sequence[str]:
        """The declared monitors."""

    def material(self, monitor: str, *, now: float) -> Material:
        """What is known of a monitor, read anew."""


class Opens(Protocol):
    """What opens a cycle."""

    def open(self, monitor: str, opened_by: str, *, opener: refresh.Opener, now: float) -> RefreshCycle:
        """With its first candidates; the same opener gives the same cycle while it runs."""


class Occasions:
    """Nothing is kept but when to look again: what is due follows from the store and the clock."""

    def __init__(self, store: Store, references: References, data_sets: DataSets, monitors: Monitors, opens: Opens) -> None:
        self._store = store
        self._references = references
        self._data_sets = data_sets
        self._monitors = monitors
        self._opens = opens
        self.top_ups = TopUps(store, references, data_sets, monitors)
        self._looked = -math.inf
        self._room = 1
        """Measurements of freshness at this look: each takes seconds."""
        self._again: dict[str, float] = {}
        """When a monitor whose cycle could not be opened is tried again."""
        self.freshness: dict[str, Freshness] = {}
        """As it was measured last."""
        self.found: dict[str, Sequence[Due]] = {}
        """What was due at the last look and did not open a cycle: it may not by itself, or could not."""

    def step(self, now: float) -> int:
        """A look at every monitor; returns how many cycles it opened."""
        if now - self._looked < _LOOK:
            return 0
        self._looked, self._room = now, 1
        self.top_ups.tend(self._monitors.names, now=now)
        return sum(self._safely(monitor, now) for monitor in self._monitors.names)

    def _safely(self, monitor: str, now: float) -> bool:
        """One monitor that can't be looked at does not hold up the others."""
        if now < self._again.get(monitor, -math.inf):
            return False
        try:
            return self._look(monitor, now)
        except DriftgateError as error:
            log.warning("refresh not looked at", monitor=monitor, reason=str(error))
            self._again[monitor] = now + _AGAIN
            return False

    def _look(self, monitor: str, now: float) -> bool:
        settings = self._monitors.effective(monitor)
        self.found.pop(monitor, None)
        if settings.detection.mode == "shadow" or self._references.active(monitor) is None:
            return False
        self._refresh_golden(monitor, settings, now)
        found = self.due(monitor, settings, now=now)
        opened = bool(found) and settings.refresh.automatic and self._open(monitor, found[0], now)
        self.found[monitor] = () if opened else found
        return opened

    def _open(self, monitor: str, due: Due, now: float) -> bool:
        try:
            opener = refresh.Opener(due.trigger, note=due.why)
            cycle = self._opens.open(monitor, due.opened_by, opener=opener, now=now)
        except (ConflictError, InputError) as error:
            log.info("refresh not opened", monitor=monitor, trigger=due.trigger, reason=str(error))
            self._again[monitor] = now + _AGAIN
            return False
        log.info("refresh opened", monitor=monitor, cycle=cycle.id, trigger=due.trigger, reason=due.why)
        return True

    def due(self, monitor: str, settings: MonitorSettings, *, now: float) -> Sequence[Due]:
        """What opens the monitor's next cycle now, or would; nothing while one is open or just over, nor what a person has ended."""
        if settings.refresh.automatic and not settings.refresh.timed:
            return ()
        cycles = self._store.find(RefreshCycle, monitor=monitor, limit=_CYCLES)
        if any(cycle.state not in refresh.ENDED for cycle in cycles) or now < refresh.rests_until(settings.refresh, cycles):
            return ()
        known = Known.of(monitor, self._references.versions(monitor), cycles, self.freshness.get(monitor))
        if known is None:
            return ()
        openers = {cycle.opened_by for cycle in cycles}
        found = [each for each in due(known, settings.refresh, now) if each.opened_by not in openers]
        return (*self._alarms(monitor, settings, cycles, now), *found)

    def _alarms(self, monitor: str, settings: MonitorSettings, cycles: Sequence[RefreshCycle], now: float) -> Sequence[Due]:
        """Only where people are told: where cycles open by themselves, they do so as the alarm's traffic comes in."""
        if settings.refresh.automatic:
            return ()
        asking = settings.refresh.model_copy(update={"automatic": True})
        alarms = self._store.find(Alarm, monitor=monitor, states=[AlarmState.OPEN, AlarmState.ACKNOWLEDGED], limit=_ALARMS)
        wanted = [alarm for alarm in alarms if not alarm.quiet and refresh.wanted(alarm, asking, cycles, now=now)]
        return [Due(Trigger.ALARM, alarm.id, f"alarm {alarm.id} stands ({alarm.kind})", alarm.opened) for alarm in wanted]

    # --- the test set ---------------------------------------------------------------------------------------------------

    def _refresh_golden(self, monitor: str, settings: MonitorSettings, now: float) -> None:
        """Measures freshness now and then, and asks for golden rows where there is too little of it."""
        least = settings.refresh.min_freshness
        if least is None:
            self.freshness.pop(monitor, None)
            return
        known = self.freshness.get(monitor)
        if known is not None and now - known.looked < _MEASURE and known.golden == self._golden(monitor):
            return
        if self._room:
            self._room -= 1
            if self.measure(monitor, now=now).high < least:
                self.top_ups.propose(monitor, now=now)

    def measure(self, monitor: str, *, now: float) -> Freshness:
        """How much of the traffic the test set covers; takes seconds."""
        found = self.freshness[monitor] = measured(self._monitors.material(monitor, now=now), self._golden(monitor), now)
        return found

    def _golden(self, monitor: str) -> int:
        versions = self._data_sets.versions(monitor, "golden")
        return int(versions[-1]["version"]) if versions else 0


def measured(material: Material, golden: int, now: float) -> Freshness:
    """Which share of the traffic the test set covers; from nothing to all of it where that can't be told."""
    try:
        cover = material.cover("production", "test")
    except ArtefactError as error:
        log.warning("freshness not measured", monitor=material.monitor, reason=str(error))
        return Freshness(math.nan, 0.0, 1.0, golden, now)
    if isinstance(cover, Missing):
        return Freshness(math.nan, 0.0, 1.0, golden, now)
    return Freshness(*cover.share, golden, now)
