"""The log again: the same configuration gives the recorded alarms exactly, another one what it would have given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.sqlite import Retention, SqliteStore
from service.alarms import Reason
from service.backtest import Backtest, History, Span, differences, stored
from service.budget import ALLOCATION, Allocation
from service.controller import Controller
from service.observe import Silent
from service.records import Alarm, AlarmState, Event, Finding, Pane, Step, Verdict
from service.reference import Reference
from service.settings import MonitorSettings
from service.streams import MonitorStreams

if TYPE_CHECKING:
    from tests.service.conftest import World

pytestmark = pytest.mark.long


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


def detecting(world: World, **changes: Any) -> MonitorSettings:
    return world.settings.model_copy(update={"detection": world.settings.detection.model_copy(update=changes)})


def decide(
    store: SqliteStore, world: World, *, version: int = 1, checkpoint: bool = False, chosen: MonitorSettings | None = None
) -> list[Alarm]:
    """A controller's life: it comes, decides what there is, and goes."""
    controller = Controller(chosen or world.settings, world.named(version=version), store, Silent())
    while controller.step(now=5_000.0):
        pass
    if checkpoint:
        controller.checkpoint(now=5_000.0)
    return sorted(store.find(Alarm), key=lambda alarm: alarm.at_sequence)


def say(store: SqliteStore, alarm: Alarm, kind: str, **body: str) -> None:
    store.record_event(Event(f"{kind} {alarm.id} {alarm.version}", "chat", kind, alarm.opened + 5.0, "ana", alarm.id, body))


def again(store: SqliteStore, world: World, chosen: MonitorSettings | None = None, **options: Any) -> Backtest:
    def reference(version: int) -> Reference:
        return world.named(version=version)

    history = History.of(store, "chat")
    backtest = Backtest(chosen or world.settings, reference, history, **{"as_recorded": chosen is None, **options})
    for entries in stored(store, "chat", history):
        for entry in entries:
            backtest.apply(entry)
    return backtest


def live(world: World, store: SqliteStore, verdicts: list[str], *, restarts: bool = False) -> list[Alarm]:
    """Drift after drift, with a verdict on each alarm as soon as it stands, and a new controller for every stretch."""
    log = world.log(store)
    for number, verdict in enumerate(verdicts):
        log.add(world.ordinary(160, 10 * number))
        decide(store, world, checkpoint=restarts)
        log.add(world.drifted(160, 10 * number + 1, 0.6))
        standing = [alarm for alarm in decide(store, world) if alarm.state is not AlarmState.RESOLVED]
        if standing and verdict:
            said = {} if verdict == "resolve" else {"verdict": verdict}
            say(store, standing[0], "verdict" if said else "resolve", **said)
        log.add(world.drifted(64, 10 * number + 5, 0.6))
        decide(store, world)
    return decide(store, world)


# --- the same configuration ------------------------------------------------------------------------------------------


@given(verdicts=st.lists(st.sampled_from(["true", "false", "seasonal", "resolve", ""]), min_size=1, max_size=3), restarts=st.booleans())
@settings(max_examples=5)
def test_the_same_configuration_gives_the_recorded_alarms_exactly(world: World, verdicts: list[str], restarts: bool) -> None:
    """Ids, sequence numbers, effects, verdicts and histories, whatever was said and however often the controller began anew."""
    with closing(SqliteStore(":memory:")) as store:
        recorded = live(world, store, verdicts, restarts=restarts)
        backtest = again(store, world)
        assert recorded
        assert differences(backtest, recorded) == []
        assert [(alarm.id, alarm.at_sequence, alarm.effect) for alarm in backtest.alarms] == [
            (alarm.id, alarm.at_sequence, alarm.effect) for alarm in recorded
        ]


def test_it_starts_from_the_checkpoint_where_the_kept_panes_begin(world: World) -> None:
    """What the panes before would have told is in the checkpoint: half a history decides as the whole one did."""
    size = len(world.panes(world.ordinary(16, 0))[0].summary.to_bytes())
    with closing(SqliteStore(":memory:", panes=Retention(30 * size, 1e12))) as store:
        recorded = live(world, store, ["resolve"] * 4, restarts=True)
        history = History.of(store, "chat")
        assert history.begins > 0
        backtest = again(store, world)
        assert backtest.first is not None
        assert backtest.first.sequence == next(e.sequence for e in store.entries("chat", history.begins, 9) if isinstance(e, Pane))
        kept = [alarm for alarm in recorded if alarm.id in {ours.id for ours in backtest.alarms}]
        assert any(alarm.at_sequence > history.begins for alarm in kept)
        assert all(alarm.at_sequence <= history.begins for alarm in recorded if alarm not in kept)
        assert differences(backtest, kept) == []


def test_a_rebase_is_where_it_was(store: SqliteStore, world: World) -> None:
    """Also for panes of the former reference that were closed when the next one had already taken over: nobody decided them."""
    log = world.log(store)
    log.add(world.ordinary(320, 2))
    log.add(world.drifted(320, 102))
    decide(store, world)
    log.add(world.ordinary(64, 7))
    Controller(world.settings, world.named(version=2), store, Silent())
    log.add(world.new(32, 8))
    log.add(world.new(320, 3), version=2)
    recorded = decide(store, world, version=2)
    assert [alarm.reference_version for alarm in recorded] == [1, 2]
    backtest = again(store, world)
    assert differences(backtest, recorded) == []
    assert backtest.alarms[0].history[-1].reason == Reason.REBASED


@pytest.mark.parametrize("rebased", [False, True])
def test_other_settings_decide_from_where_they_took_effect(store: SqliteStore, world: World, rebased: bool) -> None:
    """As recorded: today's for what came since, the former for what came before, in a rebase too."""
    former, now = detecting(world, run_length=1_000.0, critical=0.9), detecting(world, run_length=4_000.0, tolerance=0.2)
    log = world.log(store)
    log.add(world.ordinary(320, 2))
    log.add(world.drifted(320, 102))
    alarm = decide(store, world, chosen=former)[0]
    say(store, alarm, "resolve")
    version = 2 if rebased else 1
    decide(store, world, chosen=now, version=version)
    log.add(world.drifted(640, 33), version=version)
    recorded = decide(store, world, chosen=now, version=version)
    assert {((alarm.run_length or 0.0) > 2_000, alarm.reference_version) for alarm in recorded} == {(False, 1), (True, version)}
    assert differences(again(store, world, now, as_recorded=True), recorded) == []
    assert differences(again(store, world, now), recorded) != [], "another configuration decides all of it"


@pytest.mark.parametrize("rebased", [False, True])
def test_an_allocation_takes_effect_where_it_stands_in_the_log(store: SqliteStore, world: World, rebased: bool) -> None:
    """Across restarts and, since the next reference inherits it, across a rebase; twice the budget halves every run length."""
    chosen, log, version = detecting(world, run_length=None), world.log(store), 2 if rebased else 1
    log.add(world.ordinary(320, 2))
    decide(store, world, chosen=chosen)
    lengths = dict.fromkeys(world.reference.slices, 600.0)
    allocation = Allocation("r1", 1_320.0, "first", lengths, dict.fromkeys(lengths, 1.0), dict.fromkeys(lengths, 0.1), 3, "terms")
    store.record_event(Event("a1", "chat", ALLOCATION, 1_320.0, "driftgate", body=allocation.body()))
    log.add(world.ordinary(160, 4))
    decide(store, world, chosen=chosen)
    log.add(world.drifted(320, 102, 0.3), version=version)
    recorded = decide(store, world, chosen=chosen, version=version)

    backtest = again(store, world, chosen, as_recorded=True)
    assert recorded
    assert recorded[0].run_length == 600.0
    assert differences(backtest, recorded) == []
    twice = again(store, world, chosen, budget=2.0)
    assert {alarm.run_length for alarm in twice.alarms} == {300.0}


def test_another_budget_scales_the_allocation_that_the_kept_panes_begin_with(store: SqliteStore, world: World) -> None:
    chosen = detecting(world, run_length=None)
    decided = MonitorStreams(chosen, world.reference)
    lengths = dict.fromkeys(world.reference.slices, 600.0)
    allocation = Allocation("r1", 1_320.0, "first", lengths, dict.fromkeys(lengths, 1.0), dict.fromkeys(lengths, 0.1), 3, "terms")
    decided.apply(Event("a1", "chat", ALLOCATION, 1_320.0, "driftgate", body=allocation.body(), sequence=20))
    history = History(begins=20, checkpoint=decided.checkpoint())
    for budget, length in ((1.0, 600.0), (2.0, 300.0)):
        backtest = Backtest(chosen, lambda _: world.reference, history, budget=budget)
        for pane in world.panes(world.drifted(320, 102), after=20):
            backtest.apply(pane)
        assert {alarm.run_length for alarm in backtest.alarms} == {length}


def test_what_explains_an_alarm_is_no_difference(store: SqliteStore, world: World) -> None:
    (recorded,) = live(world, store, [""])
    renamed = Step(recorded.state.value, Reason.RENAMED, recorded.opened, note="was new content")
    history = (recorded.history[0], renamed, *recorded.history[1:])
    explained = replace(recorded, kind="feed: input lost", findings=(Finding("gap in time", 0.6, 0.0, "look"),), history=history)
    assert differences(again(store, world), [explained]) == []


def test_what_was_said_of_an_alarm_that_was_over_is_said_of_that_one(store: SqliteStore, world: World) -> None:
    """Not of the one that stands on its stream by then, and again in a backtest."""
    first, second = live(world, store, ["resolve", ""])[:2]
    say(store, first, "verdict", verdict="false")
    recorded = decide(store, world)
    assert [(alarm.verdict, alarm.state) for alarm in recorded[:2]] == [(Verdict.FALSE, AlarmState.RESOLVED), (None, second.state)]
    backtest = again(store, world)
    assert differences(backtest, recorded) == []
    assert [alarm.verdict for alarm in again(store, world, detecting(world, critical=0.99)).alarms[:2]] == [Verdict.FALSE, None]


def test_a_changed_log_is_noticed(store: SqliteStore, world: World) -> None:
    recorded = live(world, store, ["true"])
    other = replace(recorded[0], at_sequence=recorded[0].at_sequence + 1)
    assert differences(again(store, world), [other]) == [recorded[0].id]
    assert differences(again(store, world), []) == [recorded[0].id]


# --- another configuration -------------------------------------------------------------------------------------------


class Crossings(Backtest):
    """Notes each pane whose evidence is above the threshold."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.above: set[tuple[str, int]] = set()

    def apply(self, entry: Pane | Event) -> None:
        super().apply(entry)
        assert self._streams is not None
        self.above |= {(entry.key.segment, entry.sequence)} if isinstance(entry, Pane) and self._closest() > 1 else set()

    def _closest(self) -> float:
        return self.course.closeness[-1] if self.course.closeness else 0.0


@given(seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.1, 0.3]), lengths=st.tuples(st.integers(500, 4_000), st.integers(500, 4_000)))
@settings(max_examples=5)
def test_a_shorter_run_length_crosses_wherever_a_longer_one_does(world: World, seed: int, share: float, lengths: tuple[int, int]) -> None:
    """As long as no episode ends in between: nothing that was opened earlier has made a detector forget."""
    panes = world.panes(np.concatenate([world.ordinary(320, seed), world.drifted(640, seed + 1, share)]))
    above = []
    for length in sorted(lengths):
        backtest = Crossings(detecting(world, run_length=length), lambda _: world.reference)
        for pane in panes:
            backtest.apply(pane)
        above.append(backtest.above)
    assert above[0] >= above[1]


def test_another_tolerance_opens_other_alarms(store: SqliteStore, world: World) -> None:
    recorded = live(world, store, [""])
    quieter = again(store, world, detecting(world, tolerance=0.9))
    assert (len(recorded), len(quieter.alarms)) == (1, 0)
    assert again(store, world, detecting(world, critical=0.99)).alarms[0].id == recorded[0].id


def test_what_was_said_of_an_alarm_counts_for_the_one_in_its_place(store: SqliteStore, world: World) -> None:
    """Raised a few panes later it has another id, and the verdict closes it all the same."""
    log = world.log(store)
    log.add(world.ordinary(320, 2))
    log.add(world.drifted(320, 102))
    (recorded,) = decide(store, world)
    say(store, recorded, "verdict", verdict="false")
    decide(store, world)
    (found,) = again(store, world, detecting(world, run_length=50_000, accept_supported=True, tolerance=0.4)).alarms
    assert found.id != recorded.id
    assert (found.verdict, found.state) == ("false", AlarmState.RESOLVED)


def test_only_the_span_is_judged_and_all_before_it_is_remembered(store: SqliteStore, world: World) -> None:
    recorded = live(world, store, ["true", "resolve"])
    whole = again(store, world)
    late = again(store, world, span=Span(since=recorded[-1].opened - 1.0))
    early = again(store, world, span=Span(until=recorded[0].opened - 1.0))
    assert [alarm.id for alarm in late.alarms] == [recorded[-1].id]
    assert early.alarms == []
    assert 0 < late.expected < whole.expected
    assert early.expected + late.expected < whole.expected


def test_nothing_is_changed(store: SqliteStore, world: World, tmp_path: Any) -> None:
    live(world, store, ["true"])
    with store._database.read() as connection:
        before = list(connection.iterdump())
    again(store, world)
    again(store, world, detecting(world, run_length=500))
    with store._database.read() as connection:
        assert list(connection.iterdump()) == before


def test_an_empty_log_has_no_figures(store: SqliteStore, world: World) -> None:
    backtest = again(store, world)
    assert (backtest.alarms, backtest.figures(), backtest.first) == ([], {}, None)
