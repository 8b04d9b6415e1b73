"""What an alarm of changed answers shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from service.adapters.sqlite import SqliteStore
from service.backtest import Backtest, History, differences, stored
from service.controller import Controller
from service.observe import Silent
from service.records import WHOLE, Alarm, Family, Judgement, Truths
from service.reference import Reference
from service.settings import MonitorSettings
from service.truth.telling import tell

if TYPE_CHECKING:
    from tests.service.conftest import World

NOW = 50_000.0


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


@pytest.fixture(scope="session")
def reference(world: World) -> Reference:
    """Whose model took one refund in twenty for a cancellation."""
    answers = tuple("cancel" if n % 20 == 0 else "refund" for n in range(len(world.rows)))
    labels = tuple("refund" for _ in answers)
    return replace(world.reference, rows=replace(world.reference.rows, labels=labels, predicted=answers))


def compared(world: World) -> MonitorSettings:
    """With the reference."""
    return world.settings.model_copy(update={"truth": world.settings.truth.model_copy(update={"against": "reference"})})


def judgements(first: int, wrong: Mapping[str, float], *, labels: int = 400, locale: str = "en") -> Sequence[Judgement]:
    """Refunds, some of them taken for something else; each label a day late."""
    rng = np.random.default_rng(first)
    shares = np.cumsum([*wrong.values()])
    found = []
    for n in range(first, first + labels):
        at = int(np.searchsorted(shares, rng.random()))
        answer = [*wrong, "refund"][at]
        tags, streams = {"locale": locale}, (f"locale={locale}",)
        found.append(Judgement("chat", f"s{n}", answer, "refund", 0.9, tags, 1, 1, float(n), float(n) + 86_400.0 + at, streams))
    return found


def alarmed(store: SqliteStore, settings: MonitorSettings, reference: Reference) -> Sequence[Alarm]:
    controller = Controller(settings, reference, store, Silent())
    course = [judgements(0, {"cancel": 0.05}), judgements(400, {"cancel": 0.05, "invoice": 0.4}, locale="de")]
    for number, told in enumerate(course):
        store.judge(Truths("chat", tuple(told), 10_000))
        tell(store, "chat", now=2 * 86_400.0 + number)
        while controller.step(now=NOW):
            pass
    return [alarm for alarm in store.find(Alarm, monitor="chat") if alarm.family is Family.CONCEPT]


def test_it_names_what_is_taken_for_what_since_when_labels_come_and_where(world: World, store: SqliteStore, reference: Reference) -> None:
    alarm = next(alarm for alarm in alarmed(store, compared(world), reference) if alarm.segment == WHOLE)
    first = alarm.confusions[0]
    assert (first.truth, first.answer, first.before_share) == ("refund", "invoice", 0.0)
    assert 0.2 < first.change.low < first.change.estimate == first.window_share < 0.6
    assert "cancel" not in {each.answer for each in alarm.confusions}, "taken for it as often as before"
    assert alarm.onset is not None
    assert 380 <= alarm.onset.earliest <= 400 <= alarm.onset.latest <= 420, "by the samples' times, not when labels came"
    assert alarm.judged >= alarm.window_samples
    assert first.window_share * alarm.judged == pytest.approx(round(first.window_share * alarm.judged)), (
        "shares of as many labels as it says"
    )
    assert alarm.label_delay is not None
    assert 86_400.0 <= alarm.label_delay.low <= alarm.label_delay.estimate <= alarm.label_delay.high <= 86_402.0
    assert (alarm.contributions[0].segment, alarm.exemplars[0].text) == ("locale=de", "refund taken for invoice")


def test_replaying_the_log_decides_the_same(world: World, store: SqliteStore, reference: Reference) -> None:
    recorded = alarmed(store, compared(world), reference)
    assert recorded
    world.log(store).add(world.ordinary(16, 1))
    Controller(compared(world), reference, store, Silent()).step(now=NOW)
    history = History.of(store, "chat")
    backtest = Backtest(compared(world), lambda _: reference, history, as_recorded=True)
    for entries in stored(store, "chat", history):
        for entry in entries:
            backtest.apply(entry)
    assert differences(backtest, recorded) == []
    assert {alarm.id for alarm in backtest.alarms} == {alarm.id for alarm in recorded}


def test_a_restart_decides_and_shows_the_same(world: World, store: SqliteStore, reference: Reference) -> None:
    recorded = alarmed(store, compared(world), reference)
    again = Controller(compared(world), reference, store, Silent())
    again.step(now=NOW)
    assert {alarm.id: alarm for alarm in store.find(Alarm, monitor="chat")} == {alarm.id: alarm for alarm in recorded}
    assert set(again.streams.alarms) == {alarm.id for alarm in recorded}
