"""Samples go with age: from the store, from what shows them, from kept reports and from what could not be used."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog

from service.ports import Store
from service.privacy import artefacts, requests, showing
from service.privacy.documents import Wordless
from service.privacy.forgetting import Places
from service.records import Alarm, DeadLetter, Entity
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
        for monitor, privacy in self._privacy.items():
            found.update(self._letters(monitor, now - _letter_days(privacy) * _DAY))
            if privacy.retention_days is not None:
                found.update(self._samples(monitor, now - privacy.retention_days * _DAY))
        nobody = min(map(_letter_days, self._privacy.values()), default=PrivacySettings().letter_days)
        found.update(self._letters("", now - nobody * _DAY))
        found["requests"] += requests.expire(self._store, now=now)
        befores = {name: now - each.retention_days * _DAY for name, each in self._privacy.items() if each.retention_days is not None}
        found["log"] += self._expire_log(befores) if befores else 0
        gone = {where: count for where, count in found.items() if count}
        if gone:
            self._store.scrub()
            log.info("expired", seconds=round(time.perf_counter() - began, 3), **gone)
        return gone

    def _letters(self, monitor: str, before: float) -> Mapping[str, int]:
        def is_old(letter: DeadLetter) -> bool:
            return letter.time < before and (letter.rejected.monitor or "") == monitor

        return {"dead letters": showing.drop_letters(self._store, monitor, is_old)}

    def _samples(self, monitor: str, before: float) -> Mapping[str, int]:
        found = Counter(_out_of(self._store, monitor, before))
        for opened in self._places.others(monitor):
            with opened as other:
                found.update(_out_of(other, monitor, before))
                other.scrub()
        found["reports"] += artefacts.drop_reports(self._places.directory, monitor, lambda report: _made(report) < before)
        return found


def _out_of(store: Store, monitor: str, before: float) -> Mapping[str, int]:
    """Of one store."""
    return {
        "documents": showing.change_entities(store, monitor, lambda entity: _wordless(entity, before)),
        "outbox": showing.change_outbox(store, monitor, lambda item: None if item.state == "pending" else Wordless(before, item.created)),
        **store.erase(Doomed(monitor, before=before)),
    }


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
