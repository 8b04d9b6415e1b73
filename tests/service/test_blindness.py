"""A window that lost too much says nothing about drift; one alarm says that instead, and when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.adapters.sqlite import SqliteStore
from service.alarms import Reason, of_drift
from service.backtest import Backtest, History, differences
from service.blindness import Feed
from service.figures import describe_status
from service.ledger import keep
from service.losses import LATE, RETENTION, UNMATCHED, Loss, unanswered
from service.records import WHOLE, Alarm, AlarmState, Event, Family, Pane, Severity, Verdict
from service.refresh import wanted
from service.scoring import assess
from service.settings import BudgetSettings
from service.silence import SILENCE
from service.streams import MonitorStreams
from tests.service.conftest import monitor_settings

if TYPE_CHECKING:
    from tests.service.conftest import World

Entry = Pane | Event
Losses = Mapping[str, int]
TIMEOUT = unanswered("timeout")


def numbered(*parts: Iterable[Entry]) -> list[Entry]:
    return [replace(entry, sequence=n) for n, entry in enumerate((entry for part in parts for entry in part), 1)]


def decided(streams: MonitorStreams, log: Iterable[Entry]) -> list[Alarm]:
    return [alarm for entry in log for alarm in streams.apply(entry).alarms]


def lossy(world: World, rows: NDArray[np.float32], losses: Losses, *, after: int = 0, segment: str = WHOLE) -> list[Pane]:
    """Panes that each lost so much."""
    return [replace(pane, losses=losses) for pane in world.panes(rows, after=after, segment=segment)]


def empty(world: World, losses: Losses, *, after: int, count: int) -> list[Pane]:
    """Panes that hold nothing but losses."""
    nothing = world.reference.summarizer.empty()
    shown = world.panes(world.ordinary(16 * count, 1), after=after)
    return [replace(pane, summary=nothing, losses=losses) for pane in shown]


def silence(world: World, sequence: int, *, time: float = 9_000.0, log_time: float = 1_400.0) -> Event:
    body = {"seconds": 300.0, "log_time": log_time}
    return Event(f"quiet{sequence}", world.settings.name, SILENCE, time, "driftgate", body=body, sequence=sequence)


def with_settings(world: World, **changes: Any) -> MonitorStreams:
    return MonitorStreams(monitor_settings(**changes), world.reference)


def joined(responses: str) -> Mapping[str, Any]:
    return {"kserve": {"responses": responses}}


@pytest.fixture
def streams(world: World) -> MonitorStreams:
    return MonitorStreams(world.settings, world.reference)


def families(alarms: Iterable[Alarm]) -> set[Family]:
    return {alarm.family for alarm in alarms}


# --- blind ------------------------------------------------------------------------------------------------------------


def test_a_window_that_lost_too_much_opens_one_alarm_that_says_so_and_none_of_drift(world: World, streams: MonitorStreams) -> None:
    quiet = world.panes(world.ordinary(640, 1))
    blind = lossy(world, world.drifted(640, 2), {"type": 6, "time": 2}, after=40)
    (opened,) = decided(streams, numbered(quiet, blind))
    assert (opened.family, opened.segment, opened.severity) == (Family.FEED, WHOLE, Severity.CRITICAL)
    assert opened.kind.startswith("blind: ")
    assert opened.kind.endswith(" % lost (type)")
    assert [step.reason for step in opened.history] == [Reason.BLIND]
    assert {finding.what: "dlq list" in finding.advice for finding in opened.findings} == {"type": True, "time": True}
    assert describe_status(streams)["state"] == "blind"
    assert (opened.effect.low, opened.effect.high) == (0.0, 1.0)


def test_less_than_the_share_hides_nothing(world: World, streams: MonitorStreams) -> None:
    quiet = lossy(world, world.ordinary(640, 1), {"type": 3})
    drift = lossy(world, world.drifted(640, 2), {"type": 3}, after=40)
    assert families(decided(streams, numbered(quiet, drift))) == {Family.INPUT}


def test_the_share_is_the_monitors_own(world: World) -> None:
    log = numbered(lossy(world, world.ordinary(640, 1), {"type": 8}), lossy(world, world.drifted(640, 2), {"type": 8}, after=40))
    detection = {"run_length": 2_000, "pane_samples": 16}
    assert families(decided(with_settings(world, detection={**detection, "blind_share": 0.4}), log)) == {Family.INPUT}
    assert families(decided(with_settings(world, detection={**detection, "blind_share": 0.3}), log)) == {Family.FEED}


def test_a_drift_of_a_segment_is_hidden_by_what_the_whole_lost(world: World, streams: MonitorStreams) -> None:
    whole = lossy(world, world.ordinary(640, 1), {"type": 3})
    lost = lossy(world, world.ordinary(640, 2), {"type": 8}, after=40)
    german = world.panes(world.new(320, 3), after=40, segment="locale=de")
    log = numbered(whole, *zip(lost[:20], german, strict=True))
    assert families(decided(streams, log)) == {Family.FEED}


def test_a_monitor_that_loses_everything_is_blind_without_any_drift(world: World, streams: MonitorStreams) -> None:
    quiet = world.panes(world.ordinary(640, 1))
    (opened,) = decided(streams, numbered(quiet, empty(world, {RETENTION: 16}, after=40, count=10)))
    assert opened.kind.endswith(f"({RETENTION})")
    status = describe_status(streams)
    assert (status["state"], status["samples"], status["feed"]["blind"]) == ("blind", 640, True)


def test_empty_panes_move_no_detector(world: World, streams: MonitorStreams) -> None:
    log = numbered(world.panes(world.ordinary(640, 1)))
    decided(streams, log)
    before = dict(streams.streams[WHOLE].scan.state())
    evidence = streams.streams[WHOLE].evidence
    decided(streams, empty(world, {"type": 1}, after=40, count=5))
    after = streams.streams[WHOLE].scan.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert streams.streams[WHOLE].evidence is evidence


def test_it_is_over_when_the_loss_has_stayed_below_for_a_window(world: World, streams: MonitorStreams) -> None:
    quiet = world.panes(world.ordinary(320, 1))
    blind = lossy(world, world.ordinary(320, 2), {"type": 16}, after=20)
    clear = world.panes(world.ordinary(1_600, 3), after=40)
    opened, closed = decided(streams, numbered(quiet, blind, clear))
    assert (closed.id, closed.state, closed.history[-1].reason) == (opened.id, AlarmState.RESOLVED, Reason.SEEING)
    calm = closed.history[-1].time - blind[-1].last_time
    assert 2 * 160 * 0.8 <= calm <= 3 * 160 + 320
    assert streams.alarms == {}
    assert describe_status(streams)["state"] == "watching"


def test_a_drift_that_is_still_there_when_the_window_is_whole_again_is_told(world: World, streams: MonitorStreams) -> None:
    blind = lossy(world, world.ordinary(640, 1), {"type": 16})
    drift = world.panes(world.drifted(2_560, 2), after=40)
    found = decided(streams, numbered(blind, drift))
    assert families(found) == {Family.FEED, Family.INPUT}
    first = next(alarm for alarm in found if alarm.family is Family.INPUT)
    assert streams.lost(first).share <= 0.2


def test_while_blind_no_drift_is_called_over(world: World, streams: MonitorStreams) -> None:
    """What would show it may be what is lost."""
    streams.rules = replace(streams.rules, tolerance=0.06)
    start = numbered(world.panes(world.ordinary(320, 1)), world.panes(world.drifted(640, 2), after=20))
    (drift, *_) = decided(streams, start)
    calm = lossy(world, world.ordinary(9_600, 20), {"type": 16}, after=60)
    spread = [replace(pane, last_time=pane.last_time + n * 3_600.0) for n, pane in enumerate(calm)]
    decided(streams, spread)
    assert streams.alarms[drift.id].state is AlarmState.OPEN


def test_a_person_who_closes_it_hears_of_it_again_after_a_calm_window_only(world: World, streams: MonitorStreams) -> None:
    blind = lossy(world, world.ordinary(320, 1), {"type": 16})
    (opened,) = decided(streams, numbered(blind))
    (closed,) = decided(streams, [Event("e1", "chat", "resolve", 9_000.0, "ana", opened.id, {}, 21)])
    assert (closed.state, closed.history[-1].reason) == (AlarmState.RESOLVED, Reason.CLOSED)
    assert decided(streams, lossy(world, world.ordinary(320, 2), {"type": 16}, after=21)) == []
    assert decided(streams, world.panes(world.ordinary(1_600, 3), after=41)) == []
    again = decided(streams, lossy(world, world.ordinary(320, 4), {"type": 16}, after=141))
    assert [alarm.state for alarm in again] == [AlarmState.OPEN]
    assert again[0].id != opened.id


def test_in_shadow_it_notifies_nobody(world: World) -> None:
    shadowed = with_settings(world, detection={"run_length": 2_000, "pane_samples": 16, "mode": "shadow"})
    (opened,) = decided(shadowed, numbered(lossy(world, world.ordinary(320, 1), {"type": 16})))
    assert opened.quiet


def test_it_takes_nothing_of_the_budget_and_opens_no_cycle(world: World, streams: MonitorStreams) -> None:
    (opened,) = decided(streams, numbered(lossy(world, world.ordinary(320, 1), {"type": 16})))
    seasonal = replace(opened, verdict=Verdict.SEASONAL, id="seasonal", version=1)
    assert of_drift([opened, seasonal, replace(opened, family=Family.INPUT, id="drift")])[0].id == "drift"
    assert not wanted(opened, world.settings.refresh, [], now=0.0)
    assert wanted(replace(opened, family=Family.INPUT), world.settings.refresh, [], now=0.0)
    with closing(SqliteStore(":memory:")) as store:
        store.save(opened, seasonal)
        ledger = keep(store, ["chat"], BudgetSettings(), weeks=4)
    assert (ledger.total.alarms, ledger.total.outside, ledger.proposals) == (0, 0, ())
    assert ledger.entries[0].says == f"{opened.kind} (feed, critical, active)"


def test_a_backtest_judges_drift_alone(world: World, story: Sequence[Entry]) -> None:
    tested = Backtest(world.settings, lambda _: world.reference)
    for entry in story:
        tested.apply(entry)
    judged = assess("mine", tested, recorded=tested.alarms, marks=[])
    assert Family.FEED in families(tested.alarms)
    assert Family.FEED not in families(judged.alarms)
    assert judged.counts["false"] == len(judged.alarms) > 0


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("responses", ["required", "optional"])
def test_an_unanswered_request_alone_never_silences_drift_of_inputs(world: World, responses: str) -> None:
    quiet = lossy(world, world.ordinary(640, 1), {TIMEOUT: 16})
    drift = lossy(world, world.drifted(640, 2), {TIMEOUT: 16}, after=40)
    found = decided(with_settings(world, **joined(responses)), numbered(quiet, drift))
    assert Family.INPUT in families(found)
    told = [alarm for alarm in found if alarm.family is Family.FEED]
    assert [alarm.kind for alarm in told] == (["blind: 100 % unanswered (timeout)"] if responses == "required" else [])


def test_for_answers_missing_ones_count_too(world: World) -> None:
    feed, loss = Feed(world.settings, 1), Loss({TIMEOUT: 30}, 100)
    assert (feed.hides(Family.INPUT, loss), feed.hides(Family.QUALITY, loss), feed.hides(Family.OUTPUT, loss)) == (False, False, True)


@pytest.mark.parametrize("reason", [LATE, UNMATCHED, "response: json"])
def test_what_takes_nothing_from_the_input_blinds_nobody(world: World, streams: MonitorStreams, reason: str) -> None:
    quiet = lossy(world, world.ordinary(640, 1), {reason: 16})
    drift = lossy(world, world.drifted(640, 2), {reason: 16}, after=40)
    assert families(decided(streams, numbered(quiet, drift))) == {Family.INPUT}


# --- silence ----------------------------------------------------------------------------------------------------------


def test_a_silence_is_told_until_the_next_pane(world: World, streams: MonitorStreams) -> None:
    panes = numbered(world.panes(world.ordinary(320, 1)))
    decided(streams, panes)
    (opened,) = streams.apply(silence(world, 21)).alarms
    assert (opened.kind, opened.family, opened.severity) == ("no traffic for 5 min", Family.FEED, Severity.WARNING)
    assert describe_status(streams)["state"] == "silent"
    assert streams.apply(silence(world, 22)).alarms == ()

    old = world.panes(world.ordinary(16, 2), after=4)  # one that another monitor's record has closed
    assert decided(streams, old) == []
    (closed,) = decided(streams, world.panes(world.ordinary(16, 2), after=40))
    assert (closed.id, closed.history[-1].reason) == (opened.id, Reason.RESUMED)
    assert describe_status(streams)["state"] == "watching"


def test_where_the_logs_clock_is_ahead_any_pane_ends_a_silence(world: World, streams: MonitorStreams) -> None:
    decided(streams, numbered(world.panes(world.ordinary(320, 1))))
    streams.apply(silence(world, 21, time=500.0))
    (closed,) = decided(streams, world.panes(world.ordinary(16, 2), after=4))
    assert closed.state is AlarmState.RESOLVED


def test_losses_end_a_silence_too(world: World, streams: MonitorStreams) -> None:
    decided(streams, numbered(world.panes(world.ordinary(320, 1))))
    streams.apply(silence(world, 21))
    (closed,) = decided(streams, empty(world, {"type": 1}, after=40, count=1))
    assert closed.state is AlarmState.RESOLVED


@pytest.mark.parametrize(("seconds", "said"), [(61.0, "61 s"), (600.0, "10 min"), (36_000.0, "10 h"), (1e6, "12 days")])
def test_a_silence_is_as_long_as_one_would_say(world: World, streams: MonitorStreams, seconds: float, said: str) -> None:
    event = replace(silence(world, 1), body={"seconds": seconds, "log_time": 0.0})
    assert streams.apply(event).alarms[0].kind == f"no traffic for {said}"


# --- a function of the log --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def story(world: World) -> list[Entry]:
    """Quiet, blind with a drift inside, a silence, losses alone, and light again."""
    return numbered(
        world.panes(world.ordinary(320, 1)),
        lossy(world, world.drifted(320, 2), {"type": 8, TIMEOUT: 3}, after=20),
        [silence(world, 0, log_time=1_640.0)],
        empty(world, {RETENTION: 4, LATE: 1}, after=41, count=3),
        lossy(world, world.drifted(1_600, 4), {"time": 1}, after=44),
    )


def test_the_story_has_something_to_tell(world: World, story: Sequence[Entry]) -> None:
    found = decided(MonitorStreams(world.settings, world.reference), story)
    reasons = {alarm.history[-1].reason for alarm in found}
    assert reasons >= {Reason.BLIND, Reason.SEEING, Reason.SILENT, Reason.RESUMED, Reason.DRIFT}


@pytest.mark.parametrize("cut", [30, 40, 41, 43, 48])  # blind; about the silence; among losses alone; growing calm
def test_a_restart_changes_nothing(world: World, story: Sequence[Entry], cut: int) -> None:
    """Everything up to where light comes back."""
    undisturbed, first, second = (MonitorStreams(world.settings, world.reference) for _ in range(3))
    expected = decided(undisturbed, story[:90])
    found = decided(first, story[:cut])
    assert second.restore(first.checkpoint())
    assert [*found, *decided(second, story[cut:90])] == expected
    assert describe_status(second) == describe_status(undisturbed)


def test_a_backtest_of_the_recorded_log_decides_the_same(world: World, story: Sequence[Entry]) -> None:
    recorded = {alarm.id: alarm for alarm in decided(MonitorStreams(world.settings, world.reference), story)}
    tested = Backtest(world.settings, lambda _: world.reference, History(tuple(recorded.values())))
    for entry in story:
        tested.apply(entry)
    assert differences(tested, recorded.values()) == []
    assert Family.FEED in families(tested.alarms)


def test_what_was_lost_outlives_the_reference(world: World, story: Sequence[Entry]) -> None:
    before, after = MonitorStreams(world.settings, world.reference), MonitorStreams(world.settings, world.named(version=2))
    decided(before, story)
    after.inherit(before.checkpoint())
    assert describe_status(after)["feed"]["total"] == describe_status(before)["feed"]["total"]
    assert after.alarms == {}
