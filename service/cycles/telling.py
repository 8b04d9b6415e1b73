"""Tells people what becomes of refresh cycles, once each, whatever is killed meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import structlog

from service import annotation, monitors
from service.cycles.due import Due
from service.cycles.news import News, of_batch, of_cycle, of_due, of_standing
from service.cycles.standing import standing
from service.errors import DriftgateError
from service.notifying.routing import destinations
from service.ports import Store
from service.records import AnnotationBatch, BatchState, OutboxItem, RefreshCycle
from service.refresh import OPEN
from service.settings import MonitorSettings, Settings

_LOOK = 5.0
_NEWS = 2 * 86_400.0
"""Seconds after which something is no news any more: whoever is declared as a destination does not hear of all that ever was."""

_LATELY, _MOST = 200, 10_000
_PENDING = {BatchState.PROPOSED, *annotation.OUT}

log = structlog.get_logger()


class Monitors(monitors.Monitors, Protocol):
    """What is asked of the installation."""

    @property
    def names(self) -> Sequence[str]:
        """The declared monitors."""

    @property
    def settings(self) -> Settings:
        """The installation's, whose teams say who hears."""


class CycleNews:
    """What there is to tell follows from the store and the clock, and each item's id from what it tells: telling twice is telling once."""

    def __init__(self, store: Store, monitors: Monitors, due: Mapping[str, Sequence[Due]]) -> None:
        self._store = store
        self._monitors = monitors
        self._due = due
        self._looked = -math.inf
        self._told: frozenset[str] = frozenset()
        """Ids of items that are in the outbox already."""

    def step(self, now: float) -> int:
        """A look at everything under way, and what has ended lately; returns how many items were new."""
        if now - self._looked < _LOOK:
            return 0
        self._looked = now
        found = {item.id: item for item in self._items(now)}
        new = [item for name, item in found.items() if name not in self._told]
        if new:
            self._store.save(outbox=new)
        self._told = frozenset(found)
        return len(new)

    def _items(self, now: float) -> Iterator[OutboxItem]:
        known: dict[str, MonitorSettings] = {}
        for monitor in self._monitors.names:
            try:
                known[monitor] = self._monitors.effective(monitor)
            except DriftgateError as error:
                log.warning("refresh news not told", monitor=monitor, reason=str(error))
        hear = {name: destinations(self._monitors.settings, settings, "refresh") for name, settings in known.items()}
        for news in self._news({name: settings for name, settings in known.items() if hear[name]}, now):
            yield from news.items(hear[news.monitor])

    def _news(self, monitors: Mapping[str, MonitorSettings], now: float) -> Iterator[News]:
        under_way = self._store.find(RefreshCycle, states=OPEN, limit=_MOST)
        batches = {batch.id: batch for batch in self._store.find(AnnotationBatch, states=_PENDING, limit=_MOST)}
        cycles = {cycle.id: cycle for cycle in (*self._store.find(RefreshCycle, limit=_LATELY), *under_way)}
        for cycle in (cycle for cycle in cycles.values() if cycle.monitor in monitors):
            yield from (news for news in of_cycle(cycle) if now - _NEWS <= news.time <= now)
        for cycle in (cycle for cycle in under_way if cycle.monitor in monitors):
            batch = batches.get(cycle.batch) or self._store.get(AnnotationBatch, cycle.batch)
            yield from of_standing(standing(cycle, batch, monitors[cycle.monitor]), monitors[cycle.monitor], now)
        for batch in (batch for batch in batches.values() if batch.monitor in monitors):
            yield from of_batch(batch, monitors[batch.monitor], now)
        for monitor in monitors:
            yield from (of_due(monitor, due) for due in self._due.get(monitor, ()))
