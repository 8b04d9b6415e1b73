"""Budgets in labels and in money, of a cycle and of a period."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.records import AnnotationBatch, BatchState, Candidate, Purpose
from service.selecting.spending import Cost, Purse, Wanted, candidates_purse, purses
from service.settings import MonitorSettings

DAY = 86_400.0
NOW = 100 * DAY


def monitor(price: float | None = 0.5, budget: int = 40, **selection: Any) -> MonitorSettings:
    annotation = {"budget": budget, "price": price}
    document = {"name": "chat", "embedder": {"model": "m.onnx"}, "annotation": annotation, "selection": selection}
    return MonitorSettings.model_validate(document)


def batch(cycle: str, labels: int, *, age: float = 0.0, challenge: int = 0, state: BatchState = BatchState.SENT) -> AnnotationBatch:
    items = [Candidate(f"s{i}", "", 0.1, "all") for i in range(labels)]
    items += [Candidate(f"c{i}", "", 0.0, "all", purpose=Purpose.CHALLENGE) for i in range(challenge)]
    return AnnotationBatch(f"{cycle}-{age}", "chat", cycle, 1, state, tuple(items), NOW - age, returned=3)


def test_without_limits_there_is_no_purse_but_that_of_the_cycles_candidates() -> None:
    assert purses(monitor(), [batch("a", 10)], "a", now=NOW) == ()
    assert candidates_purse(monitor(), [batch("a", 10, challenge=20), batch("b", 9)], "a").left == 30


def test_a_period_counts_every_cycle_of_thirty_days_and_nothing_before() -> None:
    batches = [batch("a", 10, age=31 * DAY), batch("b", 10, age=29 * DAY, challenge=5), batch("c", 4)]
    (labels,) = purses(monitor(period_labels=30), batches, "c", now=NOW)
    assert (labels.spent, labels.left, labels.labels) == (19, 11, 11)


def test_money_counts_challenge_rows_too() -> None:
    cycle, period = purses(monitor(cycle_cost=20, period_cost=30), [batch("a", 10, challenge=6), batch("b", 20)], "a", now=NOW)
    assert (cycle.spent, cycle.labels) == (8.0, 24)
    assert (period.spent, period.labels) == (18.0, 24)


def test_of_a_cancelled_batch_what_was_answered_is_paid() -> None:
    (labels,) = purses(monitor(period_labels=30), [batch("a", 10, state=BatchState.CANCELLED)], "a", now=NOW)
    assert labels.spent == 3


def test_a_price_is_needed_for_limits_in_money() -> None:
    with pytest.raises(ValidationError, match=r"selection\.cycle_cost: a limit in money needs `annotation\.price`"):
        monitor(price=None, cycle_cost=10)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 1_200))
def test_what_is_asked_never_passes_a_limit_and_is_cut_alike(candidates: int, challenge: int, limit: int) -> None:
    found = Wanted(candidates, challenge).within([Purse("labels", "", limit, 0)])
    assert found.labels == min(limit, candidates + challenge)
    assert 0 <= found.candidates <= candidates
    assert 0 <= found.challenge <= challenge
    if candidates and challenge and found.labels:
        assert abs(found.challenge - found.labels * challenge / (candidates + challenge)) < 1


def test_money_is_said_where_there_is_a_price() -> None:
    cost = Cost(12, 0.35, ())
    assert cost.money == 4.2
    assert replace(cost, price=None).money is None


def test_money_that_pays_whole_labels_loses_none_to_rounding() -> None:
    assert Purse("money", "", 0.3, 0.0, 0.1).labels == 3


def test_a_share_of_a_batch_for_the_challenge_set_becomes_a_budget_of_its_own() -> None:
    document = {"name": "chat", "embedder": {"model": "m.onnx"}, "annotation": {"budget": 80}, "refresh": {"challenge_share": 0.25}}
    found = MonitorSettings.model_validate(document)
    assert (found.annotation.budget, found.selection.challenge) == (60, 20)
    assert MonitorSettings.model_validate(found.model_dump()) == found
    assert MonitorSettings.model_validate({**document, "selection": {"challenge": 7}}).selection.challenge == 7
