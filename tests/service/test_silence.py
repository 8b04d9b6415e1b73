"""No traffic is told once, after longer than is usual, and not of a monitor of which too little is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors import Summary
from service.adapters.sqlite import SqliteStore
from service.alarms import Reason
from service.controller import Controller
from service.episodes import Traffic
from service.observe import Silent
from service.records import WHOLE, Alarm, AlarmState, Event, Family, Pane, PaneKey, Partition
from service.silence import SILENCE, Rhythm, Silence, silence_after

if TYPE_CHECKING:
    from tests.service.conftest import Log, World

HOUR, DAY = 3_600.0, 86_400.0
HERE = Partition("t", "1")
NOBODY = Summary(0, np.zeros(1), np.zeros(1), np.zeros(2, np.int64), np.zeros(100, np.int64))


def pane(first: float, last: float) -> Pane:
    return Pane(PaneKey("chat", WHOLE, 1, HERE, 0), 0, first, last, NOBODY)


def watched(*spans: tuple[float, float], samples: int = 32) -> tuple[Traffic, Rhythm]:
    """What is known after panes of so many samples over these times."""
    traffic, rhythm = Traffic(), Rhythm()
    for first, last in spans:
        traffic.add(samples, last)
        rhythm.add(pane(first, last))
    return traffic, rhythm


def steady(gap: float, seconds: float) -> list[tuple[float, float]]:
    """A sample each `gap` seconds, 32 to a pane."""
    return [(n * 32 * gap + gap, (n + 1) * 32 * gap) for n in range(int(seconds / (32 * gap)))]


# --- how long is too long ---------------------------------------------------------------------------------------------


def test_thirty_mean_gaps_and_a_minute_at_least() -> None:
    assert silence_after(None, *watched(*steady(0.1, HOUR))) == 60.0
    assert silence_after(None, *watched(*steady(10.0, 4 * HOUR))) == pytest.approx(300.0, rel=0.1)


def test_too_little_is_known_at_first() -> None:
    assert silence_after(None, Traffic(), Rhythm()) is None
    assert silence_after(None, *watched(*steady(0.1, 500.0))) is None
    assert silence_after(None, *watched(*steady(60.0, HOUR))) is None


def test_what_is_configured_holds() -> None:
    assert silence_after(20.0, Traffic(), Rhythm()) == 20.0


def test_an_hourly_batch_is_no_silence() -> None:
    hourly = [(n * HOUR, n * HOUR + 10.0) for n in range(48)]
    after = silence_after(None, *watched(*hourly, samples=1_000))
    assert after is not None
    assert HOUR < after < 4 * HOUR


def test_neither_is_the_night() -> None:
    days = [(day * DAY + first, day * DAY + last) for day in range(8) for first, last in steady(10.0, 14 * HOUR)]
    after = silence_after(None, *watched(*days))
    assert after is not None
    assert 10 * HOUR < after < DAY


def test_one_short_outage_does_not_deafen() -> None:
    spans = steady(1.0, 2 * DAY)
    later = [(first + HOUR, last + HOUR) for first, last in spans]
    after = silence_after(None, *watched(*spans, *((first + 2 * DAY, last + 2 * DAY) for first, last in later)))
    assert after is not None
    assert after < 300.0


# --- telling it -------------------------------------------------------------------------------------------------------


@dataclass
class Gauge(Silent):
    """What the observer was told last."""

    seconds: dict[str, float] = field(default_factory=dict)

    def silent(self, monitor: str, seconds: float) -> None:
        self.seconds[monitor] = seconds


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


@pytest.fixture
def log(store: SqliteStore, world: World) -> Log:
    return world.log(store)


@pytest.fixture
def controller(store: SqliteStore, world: World, log: Log) -> Controller:
    """Of a monitor with a sample a second for twenty minutes."""
    deciding = Controller(world.settings, world.reference, store, Silent())
    log.add(world.ordinary(1_280, 1))
    drain(deciding)
    return deciding


def drain(controller: Controller) -> None:
    while controller.step(now=5_000.0):
        pass


def told(store: SqliteStore) -> list[Event]:
    return [event for event in store.events("chat") if event.kind == SILENCE]


def looked(silence: Silence, start: float, seconds: float) -> int:
    return sum(silence.step(start + n) for n in range(0, int(seconds), 5))


def test_a_silence_is_told_once_and_over_when_samples_come(store: SqliteStore, log: Log, world: World, controller: Controller) -> None:
    gauge = Gauge()
    silence = Silence(store, lambda: ["chat"], gauge)
    assert looked(silence, 10_000.0, 60.0) == 0
    assert looked(silence, 10_060.0, 300.0) == 1
    assert 300 < gauge.seconds["chat"] < 360
    (event,) = told(store)
    assert 60 <= event.body["seconds"] <= 75

    drain(controller)
    (alarm,) = store.find(Alarm)
    assert (alarm.family, alarm.kind, alarm.state) == (Family.FEED, "no traffic for 60 s", AlarmState.OPEN)
    assert store.status("chat")["state"] == "silent"

    log.add(world.ordinary(16, 2))
    drain(controller)
    assert looked(silence, 10_360.0, 10.0) == 0
    assert gauge.seconds["chat"] < 10
    (alarm,) = store.find(Alarm)
    assert (alarm.state, alarm.history[-1].reason) == (AlarmState.RESOLVED, Reason.RESUMED)


@pytest.mark.usefixtures("controller")
def test_another_process_tells_the_same_silence_under_the_same_id(store: SqliteStore) -> None:
    looked(Silence(store, lambda: ["chat"], Silent()), 10_000.0, 100.0)
    looked(Silence(store, lambda: ["chat"], Silent()), 20_000.0, 100.0)
    assert len(told(store)) == 1


def test_a_silence_that_a_person_has_closed_is_not_told_again(store: SqliteStore, controller: Controller) -> None:
    silence = Silence(store, lambda: ["chat"], Silent())
    looked(silence, 10_000.0, 100.0)
    drain(controller)
    store.record_event(Event("e1", "chat", "resolve", 10_200.0, "ana", store.find(Alarm)[0].id))
    drain(controller)
    assert looked(silence, 10_300.0, 600.0) == 0
    assert [alarm.state for alarm in store.find(Alarm)] == [AlarmState.RESOLVED]


def test_a_backlog_that_is_read_is_no_silence(store: SqliteStore, log: Log, world: World, controller: Controller) -> None:
    silence = Silence(store, lambda: ["chat"], Silent())
    for n in range(10):
        log.add(world.ordinary(16, n))
        drain(controller)
        assert looked(silence, 10_000.0 + 50 * n, 50.0) == 0


def test_losses_are_no_silence(store: SqliteStore, log: Log, world: World, controller: Controller) -> None:
    silence = Silence(store, lambda: ["chat"], Silent())
    for n in range(10):
        log.lose({"type": 3})
        drain(controller)
        assert looked(silence, 10_000.0 + 50 * n, 50.0) == 0
    assert world.settings.name == "chat"


def test_where_the_rate_is_unknown_nothing_is_said(store: SqliteStore, log: Log, world: World) -> None:
    log.add(world.ordinary(320, 1))
    drain(Controller(world.settings, world.reference, store, Silent()))
    assert looked(Silence(store, lambda: ["chat", "nobody"], Silent()), 10_000.0, 600.0) == 0
