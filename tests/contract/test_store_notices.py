"""What every store keeps of silences, and of what was told to whom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from service.alarms import Reason
from service.errors import ConflictError
from service.notifying import silences
from service.notifying.rules import Why
from service.ports import Store
from service.records import AlarmState, Notice, NoticeState, Severity, Silence, SilenceState
from tests.contract.conftest import Opener
from tests.service.notifying.conftest import START, Office, opened, settings


@pytest.fixture
def store(open_store: Opener) -> Iterator[Store]:
    with closing(open_store()) as store:
        yield store


def test_an_alarm_s_news_pass_alike_over_every_store(store: Store) -> None:
    office = Office(store, settings())
    alarm = office.decide(opened(severity=Severity.WARNING))
    office.run()
    office.again()
    made = silences.made({"monitor": "supp*"}, starts=office.now, ends=office.now + 600.0, actor="ana", note="", now=office.now)
    store.save(made)
    alarm = office.step(alarm, AlarmState.OPEN, Reason.WORSE, severity=Severity.CRITICAL)
    office.run(120.0)
    assert (office.chat.told, office.pager.told) == (["opened"], [])
    office.run(900.0)
    assert (office.chat.told, office.pager.told) == (["opened", "worse"], ["worse"])
    office.step(alarm, AlarmState.RESOLVED, Reason.CALM)
    office.run(60.0)

    assert [notice.reason for notice in store.find(Notice, states=[NoticeState.RESOLVED], monitor="support")] == [Why.OVER] * 2
    assert store.find(Notice, states=[NoticeState.FIRING]) == []
    assert [each.id for each in store.find(Silence, states=[SilenceState.ENDED])] == [made.id]
    assert store.outbox(states=["pending", "dead", "dropped"]) == []


def test_whoever_is_overtaken_changes_nothing(store: Store) -> None:
    told = Notice("n1", "a1", "chat", "support", NoticeState.FIRING, "warning", START, Why.FIRST, created=START)
    store.save(told)
    store.save(replace(told, state=NoticeState.RESOLVED, version=2))
    with pytest.raises(ConflictError):
        store.save(replace(told, state=NoticeState.ACKNOWLEDGED, version=2))
    assert store.get(Notice, "n1").state is NoticeState.RESOLVED
    assert store.drop(Notice, ["n1", "n2"]) == 1
