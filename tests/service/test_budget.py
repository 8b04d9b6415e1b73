"""The budget of false alarms: shares that sum to it whatever the traffic, and reasons to share it anew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.budget import DAY, MOST_WEEKS, WEEK, Allocation, Demand, Due, Exposures, Share, allocate, due, week_of, week_start

MONTHLY = 1 / (30 * DAY)

rates = st.one_of(st.just(0.0), st.floats(1e-9, 1e5))
importances = st.floats(1e-3, 1e3)


UNBOUNDED = st.just(math.inf)


@st.composite
def demanding(draw: st.DrawFn, supported: st.SearchStrategy[float] = UNBOUNDED, shadow: bool = False) -> list[Demand]:
    """Streams with any traffic, at least one with some."""
    number = draw(st.integers(1, 20))
    found = [
        Demand("chat", f"s{i}", draw(rates), draw(importances), draw(supported), shadow=shadow and draw(st.booleans()))
        for i in range(number)
    ]
    return [replace(found[0], rate=draw(st.floats(1e-9, 1e5))), *found[1:]]


# --- shares ----------------------------------------------------------------------------------------------------------


@given(demanding(), st.floats(1e-8, 1.0))
def test_shares_are_positive_and_sum_to_the_budget(demands: list[Demand], per_second: float) -> None:
    shares = allocate(demands, per_second)
    assert math.fsum(share.share for share in shares) == pytest.approx(1.0, rel=1e-12)
    assert all(share.share > 0 for share in shares)


@given(demanding(), st.floats(1e-7, 1e-5))
def test_false_alarms_at_the_traffic_there_is_come_to_the_budget(demands: list[Demand], per_second: float) -> None:
    """Each stream's rate over its run length, unless the run length stood at a limit; never more where it was raised to the least."""
    busy = [replace(demand, rate=max(demand.rate, 1.0), importance=1.0) for demand in demands]
    shares = allocate(busy, per_second)
    if all(share.run_length < 1e10 for share in shares):
        assert sum(share.demand.rate / share.run_length for share in shares) <= per_second * 1.02 * (1 + 1e-9)
        assert sum(share.demand.rate / share.run_length for share in shares) >= per_second * 0.97


@given(demanding(st.floats(500, 1e10), shadow=True), st.floats(1e-8, 1e-2))
def test_the_budget_is_for_those_who_can_hold_to_it(demands: list[Demand], per_second: float) -> None:
    shares = allocate(demands, per_second)
    inside = [share for share in shares if share.share]
    outside = [share for share in shares if not share.share]
    assert not inside or math.fsum(share.share for share in inside) == pytest.approx(1.0, rel=1e-12)
    assert all(share.run_length <= max(share.demand.supported * (1 + 1e-9), 500) and not share.demand.shadow for share in inside)
    assert all(
        share.demand.shadow or share.run_length > share.demand.supported * (1 - 1e-9) for share in outside if share.run_length < 1e10
    )


@given(demanding(), st.integers(0, 19), st.floats(1.5, 10))
def test_importance_buys_a_shorter_wait(demands: list[Demand], at: int, factor: float) -> None:
    at %= len(demands)
    dearer = [replace(d, importance=d.importance * factor) if i == at else d for i, d in enumerate(demands)]
    before, after = allocate(demands, MONTHLY)[at], allocate(dearer, MONTHLY)[at]
    assert after.share >= before.share
    assert after.run_length <= before.run_length * (1 + 1e-9)


def test_every_stream_waits_as_many_samples_where_none_matters_more() -> None:
    """Twice the traffic, twice the share: a sample risks a false alarm alike wherever it goes."""
    shares = allocate([Demand("a", "all", 2.0), Demand("b", "all", 1.0), Demand("b", "locale=de", 0.0)], MONTHLY)
    assert len({share.run_length for share in shares}) == 1
    assert shares[0].run_length == pytest.approx(3.002 * 30 * DAY)
    assert shares[0].share == pytest.approx(2 * shares[1].share)


def test_a_stream_beyond_its_reference_leaves_the_budget_to_the_others() -> None:
    small, large = Demand("a", "all", 1.0, supported=50_000), Demand("b", "all", 0.1, supported=300_000)
    outside, inside = allocate([small, large], MONTHLY)
    assert (outside.share, inside.share) == (0.0, 1.0)
    assert inside.run_length == pytest.approx(0.1 * 30 * DAY)
    assert outside.run_length == pytest.approx(1.1 * 30 * DAY)


def test_a_shadow_is_tuned_as_if_it_took_part_and_takes_nothing() -> None:
    active, shadow = allocate([Demand("a", "all", 1.0), Demand("b", "all", 1.0, shadow=True)], MONTHLY)
    assert (active.share, shadow.share) == (1.0, 0.0)
    assert shadow.run_length == 2 * active.run_length


def test_without_traffic_there_is_nothing_to_share() -> None:
    assert [share.share for share in allocate([Demand("a", "all", 0.0)], MONTHLY)] == [0.0]
    assert allocate([], MONTHLY) == []


# --- when ------------------------------------------------------------------------------------------------------------

DEMANDS = [Demand("a", "all", 1.0), Demand("b", "all", 0.5), Demand("b", "locale=de", 0.1)]
TERMS = {"a": "1", "b": "1"}


def shares(demands: Sequence[Demand]) -> list[Share]:
    return allocate(demands, MONTHLY)


def standing(demands: Sequence[Demand] = DEMANDS, **rounds: str) -> dict[str, Allocation | None]:
    found: dict[str, Allocation | None] = {}
    for monitor in ("a", "b"):
        own = {s.demand.segment: s for s in shares(demands) if s.demand.monitor == monitor}
        lengths, given = {name: share.run_length for name, share in own.items()}, {name: share.share for name, share in own.items()}
        rates = {name: share.demand.rate for name, share in own.items()}
        found[monitor] = Allocation(rounds.get(monitor, "r1"), 1_000.0, "", lengths, rates, given, len(demands), "1")
    return found


def test_all_is_well_while_nothing_changes() -> None:
    assert due(standing(), shares(DEMANDS), TERMS, 1_000.0 + 300 * DAY) is None


def test_the_first_allocation_waits_for_traffic_and_not_for_a_day() -> None:
    assert due({}, [], {}, 0.0) is None
    assert due({"a": None}, shares(DEMANDS[:1]), TERMS, 0.0) is Due.FIRST


@pytest.mark.parametrize(
    ("demands", "reason"),
    [
        ([replace(DEMANDS[0], rate=2.1), *DEMANDS[1:]], Due.TRAFFIC),
        ([replace(DEMANDS[0], rate=0.4), *DEMANDS[1:]], Due.TRAFFIC),
        ([replace(DEMANDS[0], rate=1.9), *DEMANDS[1:]], None),
        (DEMANDS[:2], Due.STREAMS),
        ([*DEMANDS[:2], Demand("b", "locale=fr", 0.1)], Due.STREAMS),
        ([replace(DEMANDS[0], supported=600.0), *DEMANDS[1:]], Due.INSIDE),
    ],
)
def test_changes_count_after_a_day(demands: list[Demand], reason: Due | None) -> None:
    assert due(standing(), shares(demands), TERMS, 1_000.0 + DAY - 1) is None
    assert due(standing(), shares(demands), TERMS, 1_000.0 + DAY) is reason


def test_a_monitor_that_came_waits_for_no_day_and_one_that_left_does() -> None:
    assert due({**standing(DEMANDS[:1]), "b": None}, shares(DEMANDS), TERMS, 1_001.0) is Due.STREAMS
    assert due({"a": standing()["a"]}, shares(DEMANDS[:1]), TERMS, 1_000.0 + DAY - 1) is None
    assert due({"a": standing()["a"]}, shares(DEMANDS[:1]), TERMS, 1_000.0 + DAY) is Due.STREAMS


def test_a_round_that_a_monitor_has_not_taken_up_yet_is_not_repeated_at_once() -> None:
    """Its log may stand still: the others would be told anew every minute."""
    assert due({**standing(), "b": None}, shares(DEMANDS), TERMS, 1_001.0) is None
    assert due({**standing(), "b": None}, shares(DEMANDS), TERMS, 1_000.0 + DAY) is Due.STREAMS


def test_a_stream_whose_reference_has_grown_into_its_share_is_given_it() -> None:
    small = [replace(DEMANDS[0], supported=600.0), *DEMANDS[1:]]
    assert due(standing(small), shares(small), TERMS, 1_000.0 + DAY) is None
    assert due(standing(small), shares(DEMANDS), TERMS, 1_000.0 + DAY) is Due.INSIDE


def test_streams_that_hardly_have_traffic_move_nothing() -> None:
    quiet = [*DEMANDS[:2], replace(DEMANDS[2], rate=1e-5)]
    louder = [*DEMANDS[:2], replace(DEMANDS[2], rate=5e-5)]
    assert due(standing(quiet), shares(louder), TERMS, 1_000.0 + DAY) is None


def test_other_terms_are_a_reason() -> None:
    assert due(standing(), shares(DEMANDS), {"a": "1", "b": "2"}, 1_000.0 + DAY) is Due.BUDGET


def test_a_round_that_did_not_reach_everybody_is_made_good_the_next_day() -> None:
    assert due(standing(b="r0"), shares(DEMANDS), TERMS, 1_000.0 + DAY - 1) is None
    assert due(standing(b="r0"), shares(DEMANDS), TERMS, 1_000.0 + DAY) is Due.UNFINISHED


# --- what is spent ---------------------------------------------------------------------------------------------------


def test_weeks_begin_on_monday() -> None:
    monday = 1_772_409_600.0  # 2026-03-02T00:00:00Z
    assert week_start(week_of(monday)) == monday
    assert week_of(monday - 1) == week_of(monday) - 1
    assert week_of(monday + WEEK - 1) == week_of(monday)


def test_old_weeks_make_room() -> None:
    exposures = Exposures()
    for week in range(MOST_WEEKS + 5):
        exposures.add(week * WEEK, samples=1)
    assert len(exposures.weeks) == MOST_WEEKS
    assert min(exposures.weeks) == week_of(5 * WEEK)
