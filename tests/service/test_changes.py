"""What a decision writes and tells: what changed since the last one, whatever a restart or other settings do in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from service.adapters.sqlite import SqliteStore
from service.alarms import Reason
from service.budget import Allocation
from service.controller import Controller
from service.observe import Silent
from service.records import WHOLE, Alarm, AlarmState, Event, Severity

if TYPE_CHECKING:
    from tests.service.conftest import World


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


def controller(store: SqliteStore, world: World, **detection: Any) -> Controller:
    settings = world.settings.model_copy(
        update={"notify": ("pager",), "detection": world.settings.detection.model_copy(update={"critical": 0.25, **detection})}
    )
    return Controller(settings, world.reference, store, Silent())


def told(store: SqliteStore) -> dict[str, Any]:
    """What went out, by its kind."""
    return {item.kind: item.payload for item in store.outbox()}


def drain(deciding: Controller) -> None:
    while deciding.step(now=5_000.0):
        pass


def test_other_settings_decide_from_an_event_on_and_what_was_decided_stays(store: SqliteStore, world: World) -> None:
    """No alarm at a high tolerance, so no checkpoint either; at a lower one the next pane opens one."""
    log = world.log(store)
    log.add(world.ordinary(320, 2))
    log.add(world.drifted(320, 102))
    drain(controller(store, world, tolerance=0.9))
    assert store.find(Alarm) == []

    controller(store, world)  # and a crash, before anything was decided
    restarted = controller(store, world)
    drain(restarted)
    assert store.find(Alarm) == []
    (changed,) = store.events("chat")

    log.add(world.drifted(320, 104))
    drain(restarted)
    (alarm,) = store.find(Alarm)
    assert alarm.at_sequence > changed.sequence
    assert "alarm.opened" in told(store)
    store.record_event(Event("e1", "chat", "resolve", 6_000.0, "ana", alarm.id))
    drain(restarted)
    assert store.get(Alarm, alarm.id).state is AlarmState.RESOLVED


def test_an_alarm_that_other_settings_call_critical_is_one_version_on(store: SqliteStore, world: World) -> None:
    log = world.log(store)
    log.add(world.ordinary(320, 2))
    log.add(world.drifted(320, 102))
    drain(controller(store, world, critical=1.0))
    (warning,) = store.find(Alarm)

    restarted = controller(store, world, critical=0.25)
    log.add(world.drifted(320, 104))
    drain(restarted)
    (alarm,) = store.find(Alarm)
    assert (warning.severity, alarm.severity) == (Severity.WARNING, Severity.CRITICAL)
    assert alarm.version > warning.version
    assert sorted(told(store)) == ["alarm.opened", "alarm.worse"]


def test_an_alarm_is_told_as_it_opened_and_again_when_it_becomes_critical(store: SqliteStore, world: World) -> None:
    """All within one decision."""
    log = world.log(store)
    log.add(world.ordinary(320, 2))
    log.add(world.drifted(160, 102, 0.2))
    log.add(world.new(320, 3))
    drain(controller(store, world, critical=1.0))
    opened, worse = told(store)["alarm.opened"], told(store)["alarm.worse"]
    assert (opened["severity"], opened["reason"]) == ("warning", Reason.DRIFT)
    assert (worse["severity"], worse["reason"]) == ("critical", Reason.WORSE)
    assert worse["effect"] == opened["effect"]


def test_an_alarm_that_opened_in_silence_is_told_once_its_stream_takes_part(store: SqliteStore, world: World) -> None:
    def shared(name: str, share: float) -> None:
        lengths = dict.fromkeys((WHOLE, "locale=de", "locale=en"), 3_000.0)
        given = Allocation(name, 500.0, "", lengths, dict.fromkeys(lengths, 1.0), dict.fromkeys(lengths, share), 3, "t")
        store.record_event(Event(name, "chat", "allocation", 500.0, "driftgate", body=given.body()))

    log, deciding = world.log(store), controller(store, world, run_length=None, advisory="silent")
    shared("r1", 0.0)
    log.add(world.ordinary(320, 2))
    log.add(world.drifted(320, 102))
    drain(deciding)
    (alarm,) = store.find(Alarm)
    assert (alarm.quiet, store.outbox()) == (True, [])

    shared("r2", 0.3)
    drain(deciding)
    log.add(world.drifted(160, 103))
    drain(deciding)
    alarm = store.get(Alarm, alarm.id)
    assert not alarm.quiet
    assert Reason.TOLD in [step.reason for step in alarm.history]
    assert told(store)["alarm.opened"]["reason"] == Reason.TOLD
