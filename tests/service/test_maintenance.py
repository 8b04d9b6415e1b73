"""A maintenance pause: what is counted goes on, what would open waits, and a replay of the log decides the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from service.adapters.sqlite import SqliteStore
from service.backtest import Backtest, History, differences, stored
from service.controller import Controller
from service.errors import InputError
from service.figures import describe_status
from service.maintenance import MAINTENANCE, paused
from service.observe import Silent
from service.records import WHOLE, Alarm, Event, Family, Pane
from service.silence import SILENCE, Silence
from service.streams import MonitorStreams

if TYPE_CHECKING:
    from tests.service.conftest import World

Entry = Pane | Event


def pause(until: float | None, *, time: float = 500.0, id: str = "p1") -> Event:
    return Event(id, "chat", MAINTENANCE, time, "ana", body={"until": until, "note": "a load test"})


def decided(streams: MonitorStreams, *parts: Iterable[Entry]) -> list[Alarm]:
    log = [replace(entry, sequence=streams.sequence + n) for n, entry in enumerate((entry for part in parts for entry in part), 1)]
    return [alarm for entry in log for alarm in streams.apply(entry).alarms]


@pytest.fixture
def streams(world: World) -> MonitorStreams:
    return MonitorStreams(world.settings, world.reference)


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


@pytest.fixture(scope="session")
def drift(world: World) -> Sequence[Pane]:
    return world.panes(world.drifted(640, 2), after=20)


def test_nothing_opens_while_it_lasts_and_what_still_stands_opens_after_it(
    world: World, streams: MonitorStreams, drift: Sequence[Pane]
) -> None:
    ends = drift[30].last_time
    quiet = world.panes(world.ordinary(320, 1))
    assert decided(streams, quiet, [pause(ends)], drift[:30]) == []
    status = describe_status(streams)
    assert status["maintenance"] == {"until": ends, "since": len(quiet) + 1, "actor": "ana", "note": "a load test", "withheld": 1}
    assert status["samples"] == 320 + 30 * 16, "it counts on"
    assert status["streams"][0]["crossings"] == 1

    (alarm,) = decided(streams, drift[30:31])
    assert (alarm.opened, alarm.family) == (ends, Family.INPUT)
    assert describe_status(streams)["maintenance"]["until"] is None


def test_a_drift_that_has_passed_when_it_ends_opens_nothing(world: World, streams: MonitorStreams, drift: Sequence[Pane]) -> None:
    after = world.panes(world.ordinary(3_200, 5), after=60)
    assert decided(streams, world.panes(world.ordinary(320, 1)), [pause(after[120].last_time)], drift[:12], after) == []
    assert describe_status(streams)["maintenance"]["withheld"] == 1


def test_a_person_ends_it_early(world: World, streams: MonitorStreams, drift: Sequence[Pane]) -> None:
    assert decided(streams, world.panes(world.ordinary(320, 1)), [pause(1e9)], drift[:30]) == []
    (alarm,) = decided(streams, [pause(None, id="p2")], drift[30:31])
    assert alarm.opened == drift[30].last_time


def test_a_longer_one_goes_on_counting_the_same(world: World, streams: MonitorStreams, drift: Sequence[Pane]) -> None:
    ends = drift[39].last_time
    decided(streams, world.panes(world.ordinary(320, 1)), [pause(drift[30].last_time)], drift[:25])
    assert decided(streams, [pause(ends, id="p2")], drift[25:39]) == []
    assert (streams.pause.until, len(streams.pause.withheld)) == (ends, 1)


def test_what_is_open_goes_on(world: World, streams: MonitorStreams, drift: Sequence[Pane]) -> None:
    opened, *_ = decided(streams, world.panes(world.ordinary(320, 1)), drift[:30])
    decided(streams, [pause(1e9)], drift[30:])
    assert list(streams.alarms) == [opened.id]
    assert streams.pause.withheld == []


def test_the_feed_keeps_quiet_too(world: World, streams: MonitorStreams) -> None:
    lost = [replace(pane, losses={"type": 16}) for pane in world.panes(world.ordinary(640, 2), after=20)]
    ends = lost[39].last_time
    silence = Event("s1", "chat", SILENCE, ends - 1.0, "driftgate", body={"seconds": 60.0, "log_time": 1.0})
    assert decided(streams, world.panes(world.ordinary(320, 1)), [pause(ends)], lost[:39], [silence]) == []
    assert streams.pause.withheld == [f"{Family.FEED} {WHOLE}"]
    (alarm,) = decided(streams, lost[39:])
    assert alarm.kind.startswith("blind")


def test_a_silence_during_it_is_told_after_it() -> None:
    """The clock's side: nothing is written while it lasts, and what is silent then has an id of its own."""
    feed = {"silence_after": 60.0, "silent": False, "total": {}}
    status: dict[str, Any] = {"feed": feed, "reference_version": 1, "last_time": 1.0, "maintenance": {"until": 1_000.0, "since": 7}}
    told: list[Event] = []

    class Store:
        def samples_taken(self, _monitor: str) -> int:
            return 5

        def status(self, _monitor: str) -> dict[str, Any]:
            return status

        def open_panes(self, _monitor: str) -> list[Pane]:
            return []

        def record_event(self, event: Event) -> Event:
            told.append(event)
            return event

    watching = Silence(Store(), lambda: ["chat"], Silent())  # type: ignore[arg-type]  # what is asked of a store here
    for now in (0.0, 500.0, 990.0):
        watching.step(now)
    assert told == []
    watching.step(1_010.0)
    assert [event.kind for event in told] == [SILENCE]


def test_a_checkpoint_and_a_rebase_keep_it(world: World, streams: MonitorStreams, drift: Sequence[Pane]) -> None:
    decided(streams, world.panes(world.ordinary(320, 1)), [pause(1e9)], drift[:30])
    again, next_reference = (MonitorStreams(world.settings, world.reference) for _ in range(2))
    assert again.restore(streams.checkpoint())
    next_reference.inherit(streams.checkpoint())
    assert again.pause == next_reference.pause == streams.pause


def test_a_replay_of_the_log_decides_the_same(store: SqliteStore, world: World) -> None:
    log = world.log(store)
    deciding = Controller(world.settings, world.reference, store, Silent())
    log.add(world.ordinary(320, 1))
    store.record_event(pause(500.0))
    log.add(world.drifted(320, 2))
    while deciding.step(now=5_000.0):
        pass
    (alarm,) = store.find(Alarm)
    assert alarm.opened >= 500.0
    history = History.of(store, "chat")
    backtest = Backtest(world.settings, lambda _: world.reference, history, as_recorded=True)
    for entries in stored(store, "chat", history):
        for entry in entries:
            backtest.apply(entry)
    assert [alarm.id for alarm in backtest.alarms] == [alarm.id]
    assert differences(backtest, history.alarms) == []


@pytest.mark.parametrize("until", [99.0, 100.0, 1e9, float("inf"), float("nan")])
def test_it_ends_in_the_future_and_within_a_month(until: float) -> None:
    with pytest.raises(InputError, match="within 30 days"):
        paused("chat", until, actor="ana", note="", now=100.0)
