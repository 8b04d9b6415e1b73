"""Batches of a cycle one after the other, each chosen by what the ones before taught, as far as the budgets reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from service import refresh
from service.errors import InputError
from service.records import (
    AnnotationBatch,
    BatchState,
    CycleState,
)
from service.selecting.asking import is_challenge
from tests.service.refresh_bench import Bench, dying

pytestmark = pytest.mark.long


def in_rounds(make_bench: Callable[..., Bench], rounds: int = 3) -> Bench:
    bench = make_bench(selection={"rounds": rounds})
    bench.drift()
    return bench


def test_each_round_asks_something_new_until_the_budget_is_out(make_bench: Callable[..., Bench]) -> None:
    bench = in_rounds(make_bench)
    assert bench.refresher.step(now=4_000.0) == 0
    for number in (1, 2, 3):
        batch = bench.batch()
        assert (batch.round, batch.state, len(bench.cycle().earlier)) == (number, BatchState.SENT, number - 1)
        bench.answer()
        assert bench.refresher.step(now=4_002.0 + number) == 1
    cycle = bench.cycle()
    assert (cycle.state, len(cycle.batches)) == (CycleState.TRAINING, 3)
    items = [item for name in cycle.batches for item in bench.store.get(AnnotationBatch, name).items]
    assert len({item.id for item in items}) == len(items) <= 40
    assert sum(is_challenge(item) for item in items) == 8
    assert all(not is_challenge(item) for item in bench.batch().items)
    assert sum(item.kind == "annotation.batch" for item in bench.store.outbox()) == 3
    assert len(bench.data_sets.load("chat", "train").rows) == len(items) - 8


def test_a_crash_between_rounds_neither_loses_nor_doubles_a_batch(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = in_rounds(make_bench)
    bench.answer()
    with dying(monkeypatch, bench.store, "save"):
        bench.refresher.step(now=4_002.0)
    assert bench.cycle().earlier == ()

    assert bench.restarted().step(now=4_003.0) == 1
    second = bench.cycle().batch
    assert bench.restarted().step(now=4_004.0) == 0
    assert bench.cycle().batch == second
    assert len(bench.data_sets.versions("chat", "pool")) == 2
    assert sum(item.kind == "annotation.batch" for item in bench.store.outbox()) == 2


def test_whoever_takes_the_same_step_at_the_same_time_is_refused(make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = in_rounds(make_bench)
    bench.answer()
    late, other = bench.refresher, bench.restarted()
    propose = late.selection.propose

    def overtaken(*arguments: Any, **options: Any) -> Any:
        found = propose(*arguments, **options)
        monkeypatch.setattr(late.selection, "propose", propose)
        assert other.step(now=4_002.0) == 1
        return found

    monkeypatch.setattr(late.selection, "propose", overtaken)
    assert late.step(now=4_002.0) == 0
    assert len(bench.cycle().batches) == 2
    assert sum(item.kind == "annotation.batch" for item in bench.store.outbox()) == 2


def test_a_person_ends_the_rounds(make_bench: Callable[..., Bench]) -> None:
    from service import refresh

    bench = in_rounds(make_bench)
    bench.answer()
    bench.refresher.step(now=4_002.0)
    refresh.finish(bench.store, bench.cycle().id, actor="ana", now=4_003.0, note="enough")
    assert bench.batch().state is BatchState.CLOSED
    assert bench.refresher.step(now=4_004.0) == 1
    cycle = bench.cycle()
    assert (cycle.state, cycle.rounds) == (CycleState.TRAINING, 2)


def test_rounds_end_when_the_money_is_spent(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(
        annotation={"budget": 30, "destination": "vendor", "price": 0.5}, selection={"rounds": 3, "cycle_cost": 12.0, "challenge": 4}
    )
    bench.drift()
    for _ in range(3):
        bench.answer()
        bench.refresher.step(now=4_002.0)
    cycle = bench.cycle()
    assert cycle.state is CycleState.TRAINING
    assert sum(len(bench.store.get(AnnotationBatch, name).items) for name in cycle.batches) == 24
    if cycle.rounds < 3:
        assert "limit of money per cycle is reached" in cycle.history[-2].note


def test_why_no_further_batch_was_sent_is_in_the_history_and_why_none_would_be_beside_what_is_shown(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(selection={"rounds": 3, "challenge": 0, "period_labels": 12})
    alarm = bench.drift()
    for _ in range(2):
        bench.answer()
        bench.refresher.step(now=4_002.0)
    cycle = bench.cycle()
    assert (cycle.state, cycle.rounds, len(cycle.batches)) == (CycleState.TRAINING, 2, 2)
    assert [step.reason for step in cycle.history[-2:]] == ["no further batch is sent", "the labels are in"]
    assert "limit of labels per 30 days is reached (12 of 12 spent); raise selection.period_labels" in cycle.history[-2].note
    shown = bench.refresher.preview(bench.refresher.about("chat", alarm.id), now=4_003.0)
    assert "limit of labels per 30 days is reached" in shown.notes[-1]


def test_a_period_without_budget_opens_nothing_and_says_why(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(selection={"period_labels": 20, "rounds": 1}, refresh={"automatic": False})
    alarm = bench.drift()
    bench.refresher.open("chat", alarm.id, now=4_000.0)
    assert len(bench.batch().items) == 20
    bench.answer()
    refresh.cancel(bench.store, bench.cycle().id, actor="ana", now=4_000.5)
    with pytest.raises(InputError, match=r"limit of labels per 30 days is reached \(20 of 20 spent\); raise selection\.period_labels"):
        bench.refresher.open("chat", "another", now=4_001.0)
    assert len(bench.refresher.open("chat", "another", now=4_001.0 + 31 * 86_400).batches) == 1
