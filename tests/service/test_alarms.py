"""The life of an alarm: every step named, nothing after the end, calm and hold-back by their rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from detectors import Effect, Evidence
from service.alarms import (
    Episode,
    HeldBack,
    Reason,
    Rules,
    apply_event,
    calm,
    closed_at,
    judge_late,
    severity,
    should_open,
    step,
    withhold,
)
from service.errors import ConflictError
from service.records import Alarm, AlarmState, Event, Family, Measured, Severity, Step, Verdict

DAY = 86_400.0
RULES = Rules(tolerance=0.05, critical=0.25, calm_samples=2_000)
CROSSED = Episode(crossed=True)


def evidence(low: float = 0.1, *, above: bool = True) -> Evidence:
    return Evidence(False, above, 500, 9.0, 4.0, 160, "mmd", lambda: (Effect(low + 0.05, low, low + 0.1), "mmd"))


def alarm(**changes: Any) -> Alarm:
    opened = Alarm(
        id="a1", monitor="chat", segment="all", family=Family.INPUT, reference_version=1, kind="new content",
        severity=Severity.WARNING, state=AlarmState.OPEN, at_sample=500, at_sequence=20, opened=50.0, window_samples=160,
        window_start=40.0, effect=Measured(0.2, 0.1, 0.3), novel_share=Measured(0.2, 0.1, 0.3), channel="mmd",
        history=(Step("open", Reason.DRIFT, 50.0),), version=1,
    )  # fmt: skip
    return replace(opened, **changes)


def event(kind: str, **body: Any) -> Event:
    return Event("e1", "chat", kind, 60.0, "ana", "a1", body, 21)


# --- opening ---------------------------------------------------------------------------------------------------------


def test_an_episode_opens_on_a_crossing_with_evidence_and_effect() -> None:
    assert should_open(CROSSED, evidence(), RULES, 0.0)
    assert not should_open(Episode(), evidence(), RULES, 0.0)
    assert not should_open(CROSSED, evidence(above=False), RULES, 0.0)
    assert not should_open(CROSSED, evidence(low=0.05), RULES, 0.0)
    assert not should_open(replace(CROSSED, alarm="a1"), evidence(low=0.9), RULES, 0.0)


def test_a_held_back_drift_opens_when_it_has_grown_or_the_time_is_over() -> None:
    held = replace(CROSSED, held_back=HeldBack(beyond=0.3, until=7 * DAY))

    assert not should_open(held, evidence(low=0.3), RULES, 0.0)
    assert should_open(held, evidence(low=0.31), RULES, 0.0)
    assert not should_open(held, evidence(low=0.1), RULES, 7 * DAY - 1)
    assert should_open(held, evidence(low=0.1), RULES, 7 * DAY)


def test_what_a_hold_back_kept_from_opening_is_counted_once_and_can_open_later() -> None:
    held = replace(CROSSED, held_back=HeldBack(beyond=0.3, until=7 * DAY))

    assert withhold(held, evidence(above=False), RULES, 0.0) == held
    once = withhold(held, evidence(low=0.1), RULES, 0.0)
    assert once.withheld == 1
    assert withhold(once, evidence(low=0.1), RULES, 60.0) == once
    assert should_open(once, evidence(low=0.4), RULES, 120.0)
    assert withhold(CROSSED, evidence(), RULES, 0.0) == CROSSED


@pytest.mark.parametrize(("low", "expected"), [(0.06, Severity.WARNING), (0.249, Severity.WARNING), (0.25, Severity.CRITICAL)])
def test_an_alarm_is_critical_when_its_lower_bound_is(low: float, expected: Severity) -> None:
    assert severity(Effect(0.9, low, 1.0), RULES) is expected


# --- calm ------------------------------------------------------------------------------------------------------------


def test_calm_over_the_longest_window_resolves() -> None:
    episode, over = calm(Episode(alarm="a1"), 0.04, samples=10_000, now=0.0, rules=RULES)
    assert (episode.calm_since, over) == ((10_000, 0.0), False)
    assert not calm(episode, 0.04, samples=11_999, now=1.0, rules=RULES)[1]
    assert calm(episode, 0.04, samples=12_000, now=1.0, rules=RULES)[1]


def test_calm_over_a_week_resolves_if_there_were_samples_enough() -> None:
    episode, _ = calm(Episode(alarm="a1"), 0.04, samples=10_000, now=0.0, rules=RULES)
    assert not calm(episode, 0.04, samples=10_499, now=30 * DAY, rules=RULES)[1]
    assert not calm(episode, 0.04, samples=10_500, now=7 * DAY - 1, rules=RULES)[1]
    assert calm(episode, 0.04, samples=10_500, now=7 * DAY, rules=RULES)[1]


def test_one_bound_at_the_tolerance_starts_the_calm_anew() -> None:
    episode, _ = calm(Episode(alarm="a1"), 0.04, samples=10_000, now=0.0, rules=RULES)
    episode, over = calm(episode, 0.05, samples=11_999, now=1.0, rules=RULES)
    assert (episode.calm_since, over) == (None, False)
    episode, over = calm(episode, 0.04, samples=12_000, now=2.0, rules=RULES)
    assert (episode.calm_since, over) == ((12_000, 2.0), False)


@given(st.lists(st.tuples(st.floats(0, 0.1), st.integers(1, 1_500)), max_size=30))
def test_nothing_resolves_that_was_not_calm_for_as_long(steps: list[tuple[float, int]]) -> None:
    episode, samples, calm_from = Episode(alarm="a1"), 0, 0
    for upper, more in steps:
        samples += more
        calm_from = calm_from if upper < RULES.tolerance and episode.calm_since else samples
        episode, over = calm(episode, upper, samples=samples, now=0.0, rules=RULES)
        assert over == (upper < RULES.tolerance and samples - calm_from >= RULES.calm_samples)


# --- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taken", "state", "reason", "verdict"),
    [
        (event("acknowledge", note="mine"), AlarmState.ACKNOWLEDGED, Reason.SEEN, None),
        (event("resolve", note="mine"), AlarmState.RESOLVED, Reason.CLOSED, None),
        (event("verdict", verdict="true", note="mine"), AlarmState.ACKNOWLEDGED, Reason.TRUE_ALARM, Verdict.TRUE),
        (event("verdict", verdict="false", note="mine"), AlarmState.RESOLVED, Reason.FALSE_ALARM, Verdict.FALSE),
        (event("verdict", verdict="seasonal", note="mine"), AlarmState.RESOLVED, Reason.SEASONAL, Verdict.SEASONAL),
    ],
)
def test_what_people_do_is_a_named_step(taken: Event, state: AlarmState, reason: Reason, verdict: Verdict | None) -> None:
    after = apply_event(alarm(), taken)
    assert (after.state, after.verdict, after.version) == (state, verdict, 2)
    assert after.history == (*alarm().history, Step(state.value, reason.value, 60.0, "ana", "mine"))


def test_acknowledging_twice_changes_nothing() -> None:
    once = apply_event(alarm(), event("acknowledge"))
    assert apply_event(once, event("acknowledge")) is once


@pytest.mark.parametrize("kind", ["acknowledge", "resolve", "verdict"])
def test_a_resolved_alarm_takes_no_more(kind: str) -> None:
    resolved = step(alarm(), AlarmState.RESOLVED, Reason.CALM, time=55.0)
    with pytest.raises(ConflictError, match=r"resolved already .effect stayed below the tolerance"):
        apply_event(resolved, event(kind, verdict="true"))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_what_is_said_of_an_alarm_that_is_over_keeps_its_end(verdict: Verdict) -> None:
    resolved = step(alarm(), AlarmState.RESOLVED, Reason.CALM, time=55.0)
    judged = judge_late(resolved, event("verdict", verdict=verdict.value, note="late"))
    assert (judged.state, judged.verdict, closed_at(judged)) == (AlarmState.RESOLVED, verdict, 55.0)
    assert judged.history[-1].note == "late"
    assert judge_late(alarm(), event("verdict", verdict="true")) == alarm()
    assert judge_late(judged, event("verdict", verdict=verdict.value, note="late")) is judged
    assert judge_late(resolved, event("acknowledge")) is resolved


class Life(RuleBasedStateMachine):
    """Any order of acts leaves a history that tells the whole story."""

    def __init__(self) -> None:
        super().__init__()
        self.alarm = alarm()

    @rule(verdict=st.sampled_from(Verdict))
    def judge(self, verdict: Verdict) -> None:
        self._take(event("verdict", verdict=verdict.value))

    @rule(verdict=st.sampled_from(Verdict))
    def judge_late(self, verdict: Verdict) -> None:
        self.alarm = judge_late(self.alarm, event("verdict", verdict=verdict.value))

    @rule(kind=st.sampled_from(["acknowledge", "resolve"]))
    def act(self, kind: str) -> None:
        self._take(event(kind))

    @rule()
    def worsen(self) -> None:
        if self.alarm.state is not AlarmState.RESOLVED:
            self.alarm = step(self.alarm, self.alarm.state, Reason.WORSE, time=61.0)

    def _take(self, taken: Event) -> None:
        before = self.alarm
        try:
            self.alarm = apply_event(before, taken)
        except ConflictError:
            assert before.state is AlarmState.RESOLVED
        else:
            assert before.state is not AlarmState.RESOLVED

    @invariant()
    def is_told_by_its_history(self) -> None:
        assert self.alarm.history[-1].state == self.alarm.state
        assert self.alarm.version == len(self.alarm.history)
        assert all(taken.reason in set(Reason) for taken in self.alarm.history)
        states = [taken.state for taken in self.alarm.history]
        assert "resolved" not in states or set(states[states.index("resolved") :]) == {"resolved"}
        closing = {Verdict.FALSE, Verdict.SEASONAL}
        assert self.alarm.verdict not in closing or self.alarm.state is AlarmState.RESOLVED


TestLife = Life.TestCase
