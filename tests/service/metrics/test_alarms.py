"""Alarms are read once by whoever leads, and followed from then on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from service.adapters.sqlite import SqliteStore
from service.metrics import inventory
from service.metrics.alarms import AlarmBook
from service.records import Alarm, AlarmState, Family, Regime, Severity
from service.settings import BudgetSettings

DAY = 86_400.0


class Led:
    """A book over a store, at a time that a test sets."""

    def __init__(self, store: SqliteStore) -> None:
        self.now, self.term = 100.0 * DAY, 1
        budget = BudgetSettings(alarms=2.0, days=10.0)
        self.book = AlarmBook(store, lambda: ["chat", "mail"], lambda: budget, term=lambda: self.term, clock=lambda: self.now)

    def told(self) -> Mapping[tuple[str, ...], float]:
        return {(declaration.name.removeprefix("driftgate_"), *labels): value for declaration, labels, value in self.book.points()}


@pytest.fixture
def led(store: SqliteStore, alarm: Alarm) -> Led:
    fresh = replace(alarm, opened=95.0 * DAY)
    store.save(
        fresh,
        replace(fresh, id="a2", severity=Severity.CRITICAL, state=AlarmState.ACKNOWLEDGED, opened=20.0 * DAY),
        replace(fresh, id="a3", state=AlarmState.RESOLVED, opened=91.0 * DAY),
        replace(fresh, id="a4", state=AlarmState.RESOLVED, opened=50.0 * DAY),
        replace(fresh, id="a5", family=Family.FEED),
        replace(fresh, id="a6", quiet=True, regime=Regime.ADVISORY),
        replace(fresh, id="a7", monitor="gone"),
    )
    return Led(store)


def test_what_stands_and_what_is_spent_of_the_budget(led: Led) -> None:
    assert led.told() == {
        ("alarms", "chat", "open", "warning"): 1, ("alarms", "chat", "acknowledged", "critical"): 1,
        ("alarm_budget_used_ratio", "chat"): 1.0, ("alarm_budget_used_ratio", "mail"): 0.0,
    }  # fmt: skip


def test_steps_are_followed_without_the_store(led: Led, store: SqliteStore, alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
    led.told()
    with monkeypatch.context() as patched:
        patched.setattr(store, "find", None)
        led.book.step(replace(alarm, id="b1", monitor="mail", opened=99.0 * DAY, severity=Severity.CRITICAL))
        led.book.step(replace(alarm, id="a1", opened=95.0 * DAY, state=AlarmState.RESOLVED, version=2))
        led.book.step(replace(alarm, id="a1", opened=95.0 * DAY, version=1))  # told before, and over
        led.book.step(replace(alarm, id="b2", family=Family.FEED))
        found = led.told()
        assert found["alarms", "mail", "open", "critical"] == 1
        assert ("alarms", "chat", "open", "warning") not in found
        assert (found["alarm_budget_used_ratio", "mail"], found["alarm_budget_used_ratio", "chat"]) == (0.5, 1.0)
        led.now += 9.5 * DAY
        assert led.told()["alarm_budget_used_ratio", "chat"] == 0.0, "what opened before the budget's days is not spent of it"
    led.term = 2
    assert led.told()["alarms", "chat", "open", "warning"] == 1, "a new term begins with what the store has"


def test_more_pages_than_one_are_read(store: SqliteStore, alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.metrics.alarms._PAGE", 10)
    store.save(*(replace(alarm, id=f"a{n}", opened=99.0 * DAY) for n in range(35)))
    store.save(*(replace(alarm, id=f"r{n}", opened=98.0 * DAY, state=AlarmState.RESOLVED) for n in range(25)))
    found = Led(store).told()
    assert (found["alarms", "chat", "open", "warning"], found["alarm_budget_used_ratio", "chat"]) == (35, 30)
    assert {labels[0] for labels in found} == {"alarms", "alarm_budget_used_ratio"}
    assert inventory.ALARMS.labels == ("monitor", "state", "severity")
