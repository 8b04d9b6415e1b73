"""The ledger: every alarm where it belongs, and a false-alarm rate that says how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import poisson

from service import annotation, ledger
from service.adapters.sqlite import SqliteStore
from service.alarms import Reason, apply_event, judge_late, step
from service.annotation.scheme import first
from service.budget import DAY, WEEK, Allocation, week_of, week_start
from service.records import Alarm, AlarmState, Candidate, Decision, Event, Family, Measured, Regime, Severity, Step
from service.records.ledger import Ledger, Tally
from service.refresh import Opening, opened
from service.screens.ledger import ledger_screen
from service.settings import BudgetSettings

MONDAY = 1_772_409_600.0  # 2026-03-02T00:00:00Z
BUDGET = BudgetSettings()


def alarm(name: str, opened: float, *, verdict: str = "", **changes: Any) -> Alarm:
    raised = Alarm(
        id=name, monitor="chat", segment="all", family=Family.INPUT, reference_version=1, kind="new content",
        severity=Severity.WARNING, state=AlarmState.OPEN, at_sample=500, at_sequence=20, opened=opened, window_samples=160,
        window_start=opened - 7_200.0, effect=Measured(0.2, 0.1, 0.3), novel_share=Measured(0.2, 0.1, 0.3), channel="mmd",
        history=(Step("open", Reason.DRIFT, opened),), version=1,
    )  # fmt: skip
    raised = replace(raised, **changes)
    if verdict:
        raised = apply_event(raised, Event("e", "chat", "verdict", opened + 3_600.0, "ana", name, {"verdict": verdict}))
    return replace(raised, version=1)


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


def write(store: SqliteStore, alarms: Sequence[Alarm], *, weeks: int = 4, allowed: float = 0.25, monitor: str = "chat") -> None:
    spent = [{"week": week_of(MONDAY) + n, "seconds": WEEK, "samples": 1_000, "allowed": allowed} for n in range(weeks)]
    state = msgspec.json.encode({"exposures": spent})
    store.decide(Decision(monitor, 0, 0, alarms=tuple(alarms), state=state))


def kept(store: SqliteStore, *monitors: str, weeks: int = 60) -> Ledger:
    return ledger.keep(store, monitors or ["chat"], BUDGET, weeks=weeks)


def test_alarms_stand_in_their_week_under_their_verdict(store: SqliteStore) -> None:
    write(store, [
        alarm("a", MONDAY + 60, verdict="true"),
        alarm("b", MONDAY + WEEK - 60, verdict="false"),
        alarm("c", MONDAY + WEEK + 60, verdict="seasonal"),
        alarm("d", MONDAY + 3 * WEEK),
        alarm("e", MONDAY + 3 * WEEK, regime=Regime.ADVISORY, verdict="false"),
        alarm("f", MONDAY + 3 * WEEK, regime=Regime.SHADOW),
    ])  # fmt: skip
    found = kept(store)
    tallies = [(week.true, week.false, week.seasonal, week.unjudged, week.outside) for week in found.weeks]
    assert tallies == [(1, 1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 0, 0), (0, 0, 0, 1, 2)]
    assert [week.start for week in found.weeks] == [MONDAY + n * WEEK for n in range(4)]
    assert (found.total.alarms, found.total.outside, found.total.precision) == (4, 2, 0.5)


def test_the_rate_is_measured_over_the_time_covered(store: SqliteStore) -> None:
    write(store, [alarm("a", MONDAY + 60, verdict="false"), alarm("b", MONDAY + 90)])
    measured = kept(store).false_alarms
    assert (measured.covered_days, measured.judged_false, measured.unjudged) == (28.0, 1, 1)
    assert measured.measured is not None
    assert measured.measured.estimate == pytest.approx(30 / 28)
    assert measured.measured.low == pytest.approx(0.0253 * 30 / 28, rel=1e-2)
    assert measured.measured.high == pytest.approx(5.572 * 30 / 28, rel=1e-3)
    assert measured.allowed == pytest.approx(1.0 * 30 / 28)
    assert measured.verdict == "no sign of more than the budget"


def test_more_false_alarms_than_chance_allows_are_called_so(store: SqliteStore) -> None:
    write(store, [alarm(f"a{i}", MONDAY + i * DAY, verdict="false") for i in range(8)])
    assert kept(store).false_alarms.verdict == "over the budget"


def test_none_in_a_long_time_is_within_the_budget(store: SqliteStore) -> None:
    write(store, [], weeks=20)
    assert kept(store).false_alarms.verdict == "within the budget"


@given(st.integers(0, 200))
def test_the_interval_is_exact(count: int) -> None:
    low, high = ledger.poisson_interval(count)
    assert poisson.cdf(count, high) == pytest.approx(0.025, abs=1e-9)
    assert poisson.sf(count - 1, low) == pytest.approx(0.025 if count else 1.0, abs=1e-9)


def test_time_that_two_monitors_watch_counts_once(store: SqliteStore) -> None:
    write(store, [])
    write(store, [], monitor="search", allowed=0.5)
    found = kept(store, "chat", "search")
    assert (found.total.seconds, found.total.allowed, found.total.samples) == (4 * WEEK, 3.0, 8_000)


def test_what_happened_before_is_left_out(store: SqliteStore) -> None:
    write(store, [alarm("a", MONDAY + 60), alarm("b", MONDAY + 2 * WEEK)])
    found = kept(store, weeks=3)
    assert found.weeks[0].start == MONDAY + WEEK
    assert {entry.alarm for entry in found.entries} == {"b"}


def test_entries_tell_the_story_in_order(store: SqliteStore) -> None:
    resolved = replace(step(alarm("b", MONDAY + DAY), AlarmState.RESOLVED, Reason.CALM, time=MONDAY + 9 * DAY), version=1)
    write(store, [alarm("a", MONDAY + 60, verdict="false"), resolved])
    given = Allocation("r", MONDAY, "the traffic is known", {"all": 1e5}, {"all": 1.0}, {"all": 0.4}, 2, "t")
    store.record_event(Event("r", "chat", "allocation", MONDAY, "driftgate", body=given.body()))
    entries = kept(store).entries
    assert [entry.what for entry in entries] == ["allocated", "alarm", "verdict", "held back", "alarm", "resolved"]
    assert entries[0].says == "the traffic is known: 40.0 % of the budget over 1 streams"
    assert entries[2].says.endswith("[ana]")
    assert "surely above 30.0 % or for 7 days" in entries[3].says


def test_looks_at_golden_rows_are_kept(store: SqliteStore) -> None:
    write(store, [])
    body = {"part": "calibrate", "version": 2, "fresh": False, "use": 3, "rows": 1_000}
    store.record_event(Event("look", "chat", "golden.looked", MONDAY + 60, "ana", "subject", body))
    (entry,) = kept(store).entries
    assert (entry.what, entry.says) == ("golden", "1,000 rows of golden 2's calibrate part judged a model, use 3 [ana]")


def test_a_verdict_on_an_alarm_that_is_over_counts_and_holds_nothing_back(store: SqliteStore) -> None:
    calm = step(alarm("b", MONDAY + DAY), AlarmState.RESOLVED, Reason.CALM, time=MONDAY + 2 * DAY)
    late = judge_late(calm, Event("e", "chat", "verdict", MONDAY + 9 * DAY, "ana", "b", {"verdict": "false"}))
    write(store, [replace(late, version=1)])
    found = kept(store)
    assert [entry.what for entry in found.entries] == ["alarm", "resolved", "verdict"]
    assert found.total.false == 1


def test_seasonal_proposes_a_reference_over_the_week_that_holds_its_hours(store: SqliteStore) -> None:
    write(store, [alarm("a", MONDAY + 5 * DAY + 9.5 * 3_600, verdict="seasonal")])
    (proposal,) = kept(store).proposals
    assert (proposal.days, proposal.hours) == (("Sat",), (7, 8, 9))
    assert proposal.command == (
        "driftgate reference build --monitor chat --from-stream --since 2026-02-28T09:30:00 --until 2026-03-07T09:30:01"
    )


def test_a_week_that_the_kept_samples_do_not_hold_is_proposed_from_files() -> None:
    raised = alarm("a", MONDAY + 5 * DAY + 9.5 * 3_600, verdict="seasonal")
    assert "--from-stream" in ledger.propose(raised, pool_begins=raised.opened - WEEK).command
    proposed = ledger.propose(raised, pool_begins=raised.opened - WEEK + 1).command
    assert proposed.endswith("--monitor chat --input FILE  # samples of 2026-02-28T09:30:00 to 2026-03-07T09:30:01")


def test_a_season_over_midnight_names_both_days() -> None:
    proposal = ledger.propose(alarm("a", MONDAY + DAY + 1_800.0))
    assert (proposal.days, proposal.hours) == (("Mon", "Tue"), (0, 22, 23))


def test_the_screen_draws_the_weeks_and_the_budget(store: SqliteStore) -> None:
    write(store, [alarm("a", MONDAY + 60, verdict="false"), alarm("b", MONDAY + 90, verdict="seasonal")], allowed=2.0)
    console = Console(width=110)
    with console.capture() as captured:
        console.print(ledger_screen(kept(store)))
    shown = captured.get()
    assert "▒▓│" in shown
    assert "2026-03-02" in shown
    assert "within the budget" in " ".join(shown.split())
    assert "driftgate reference build" in shown


def test_an_empty_ledger_says_so(store: SqliteStore) -> None:
    found = kept(store)
    assert found.false_alarms.verdict == "nothing measured yet"
    assert "nothing in the ledger" in str(ledger_screen(found))
    assert Tally(week_start(0)).precision is None


def test_every_step_of_a_batch_its_cycle_and_its_scheme_is_told(store: SqliteStore) -> None:
    write(store, [])
    cycle = replace(opened(Opening("chat", 1, "request"), now=MONDAY), batch="b")
    batch = annotation.propose(cycle, [Candidate("s0", "new", 0.1, "all")], now=MONDAY)
    approved = annotation.approve(batch, reason=annotation.Reason.APPROVED, actor="ana", now=MONDAY + 1, note="cheap")
    sent = replace(annotation.send(approved, now=MONDAY + 2), version=1)
    store.save(cycle, sent, first("chat", ("a", "b"), now=MONDAY - 1))
    told = [(entry.what, entry.says) for entry in kept(store).entries]
    assert told == [
        ("scheme", "version 1: 2 classes"),
        ("refresh", f"cycle {cycle.id} annotating: opened for new labels"),
        ("annotation", f"batch {batch.id} proposed: candidates were selected"),
        ("annotation", f"batch {batch.id} approved: a person approved it (cheap) [ana]"),
        ("annotation", f"batch {batch.id} sent: handed to the outbox"),
    ]
