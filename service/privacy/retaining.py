"""Samples go with age: from the store, from what shows them, from kept reports and from what could not be used."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from service.ports import Store
from service.privacy import requests, showing
from service.privacy.documents import Wordless
from service.privacy.forgetting import Places
from service.records import Alarm, Entity, OutboxItem
from service.records.erasure import Doomed
from service.settings import PrivacySettings

_DAY = 86_400.0

EVERY_SECONDS = 900.0
"""Between two looks: what has expired may stay for so much longer."""

log = structlog.get_logger()


class Retaining:
    """Lets go of what has expired. `expire_log` takes what came before some times, by monitor, out of the embedded log."""

    def __init__(
        self,
        store: Store,
        places: Places,
        privacy: Mapping[str, PrivacySettings],
        expire_log: Callable[[Mapping[str, float]], int] = lambda _: 0,
    ) -> None:
        self._store = store
        self._places = places
        self._privacy = privacy
        self._expire_log = expire_log

    def step(self, *, now: float) -> Mapping[str, int]:
        """Once over all monitors; place → how much left it."""
        began, found = time.perf_counter(), Counter[str]()
        befores = {name: now - each.retention_days * _DAY for name, each in self._privacy.items() if each.retention_days is not None}
        found.update(_out_of(self._store, befores))
        for monitor, before in befores.items():
            found.update(self._elsewhere(monitor, before, now))
        found["dead letters"] += self._letters(self._store, now)
        found["requests"] += requests.expire(self._store, now=now)
        found["log"] += self._expire_log(befores) if befores else 0
        gone = {where: count for where, count in found.items() if count}
        if gone:
            self._store.scrub()
            log.info("expired", seconds=round(time.perf_counter() - began, 3), **gone)
        return gone

    def _letters(self, store: Store, now: float) -> int:
        """Each after its monitor's days; those of nobody after the fewest."""
        days = {name: _letter_days(privacy) for name, privacy in self._privacy.items()}
        nobody = min(days.values(), default=PrivacySettings().letter_days)
        return showing.drop_letters(store, lambda each: now - each.time > days.get(each.rejected.monitor or "", nobody) * _DAY)

    def _elsewhere(self, monitor: str, before: float, now: float) -> Mapping[str, int]:
        """Out of backfills and reports."""
        found = Counter[str]()
        for opened in self._places.others(monitor):
            with opened as other:
                found.update(_out_of(other, {monitor: before}))
                found["dead letters"] += self._letters(other, now)
                other.scrub()
        found["reports"] += self._places.artefacts(monitor).drop_reports(lambda report: _made(report) < before)
        return found


def _out_of(store: Store, befores: Mapping[str, float]) -> Mapping[str, int]:
    """Of one store."""
    found = Counter[str]()
    for monitor, before in befores.items():
        found["documents"] += showing.change_entities(store, monitor, partial(_wordless, before=before))
        found.update(store.erase(Doomed(monitor, before=before)))
    if befores:
        found["outbox"] += showing.change_outbox(store, partial(_told, befores=befores))
    return found


def _told(item: OutboxItem, befores: Mapping[str, float]) -> Wordless | None:
    """What has left, or never will; of nobody after the fewest days."""
    monitor = item.payload.get("monitor")
    before = befores.get(monitor, -math.inf) if monitor else max(befores.values())
    return None if item.state == "pending" else Wordless(before, item.created)


def _wordless(entity: Entity, before: float) -> Wordless:
    """An alarm shows samples from where its window began."""
    made = min(entity.window_start or entity.opened, entity.opened) if isinstance(entity, Alarm) else entity.created
    return Wordless(before, made)


def _letter_days(privacy: PrivacySettings) -> float:
    return min(privacy.letter_days, privacy.retention_days or privacy.letter_days)


def _made(report: Path) -> float:
    """A report's folder is named by when it was made."""
    try:
        return datetime.strptime(report.name, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return report.stat().st_mtime
