"""What stands for weeks costs little, and one destination's trouble is not the others'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from service.alarms import Reason
from service.errors import ConflictError
from service.notifying.resending import Resending
from service.records import Alarm, AlarmState, Notice, OutboxItem, Severity
from tests.service.notifying.conftest import Office, Receiver, opened

HOUR = 3_600.0


@dataclass
class Standing(Receiver):
    """A destination that is told all that stands."""

    resend_seconds: float = 60.0
    resent: list[str] = field(default_factory=list)

    def resend(self, items: Sequence[OutboxItem], *, now: float) -> None:  # noqa: ARG002 - the port's signature
        self.resent += [item.id for item in items]


@pytest.fixture
def asked(office: Office, monkeypatch: pytest.MonkeyPatch) -> Counter[type]:
    """How often the store was asked for one thing of a kind."""
    counts, get = Counter[type](), office.store.get

    def counted(kind: type[Any], id: str) -> Any:
        counts[kind] += 1
        return get(kind, id)

    monkeypatch.setattr(office.store, "get", counted)
    return counts


def test_what_asks_for_no_reminder_is_asked_for_once_an_hour(office: Office, asked: Counter[type]) -> None:
    office.decide(opened("warned", severity=Severity.WARNING))
    taken = office.decide(opened("taken"))
    office.run()
    office.step(taken, AlarmState.ACKNOWLEDGED, Reason.SEEN)
    office.resending.step(office.now + 5 * HOUR)
    asked.clear()
    for second in range(0, 3_000, 15):
        office.resending.step(office.now + 5 * HOUR + second)
    assert asked[Alarm] == 0


def test_what_has_become_critical_since_is_told_again_all_the_same(office: Office) -> None:
    """Also where the news of that were lost."""
    warned = office.decide(opened(severity=Severity.WARNING))
    office.run()
    office.resending.step(office.now + 4 * HOUR)
    office.store.save(replace(warned, severity=Severity.CRITICAL, version=warned.version + 1))
    office.now += 5 * HOUR + 60
    office.run()
    assert office.chat.told == ["opened", "reminder"]


def test_a_notice_that_another_was_faster_with_ends_no_round(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.decide(opened())
    ways = {"chat": Standing(), "pager": Standing()}
    resending, save = Resending(office.store, lambda: office.settings, ways), office.store.save

    def overtaken(*entities: Any, **outbox: Any) -> None:
        if any(isinstance(each, Notice) and each.destination == "chat" for each in entities):
            raise ConflictError("somebody was faster")
        save(*entities, **outbox)

    monkeypatch.setattr(office.store, "save", overtaken)
    resending.step(office.now)
    assert [len(way.resent) for way in ways.values()] == [1, 1]


def test_what_stands_is_looked_up_once(office: Office, asked: Counter[type]) -> None:
    office.decide(opened())
    resending = Resending(office.store, lambda: office.settings, {"chat": Standing()})
    for minute in range(5):
        resending.step(office.now + 60.0 * minute)
    assert asked[Notice] == 1
