"""Answers in doubt go back once, blind and within the budget, before anything is made of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import pytest

from service import annotation, refresh
from service.label_checks.events import CHECKED, HELD_BACK
from service.records import AnnotationBatch, BatchState, Candidate, CycleState, Label, Outcome, Sample
from service.selecting.asking import is_challenge
from tests.service.refresh_bench import CLASSES, Bench, dying

pytestmark = pytest.mark.long


def doubting(make_bench: Callable[..., Bench], opinions: float = 0.25, **options: object) -> Bench:
    bench = make_bench(annotation={"budget": 32, "destination": "vendor", "second_opinions": opinions}, **options)
    rows = bench.world.ordinary(600, 77)
    samples = [Sample("chat", f"g{i}", 1.0, row, label=label) for i, (row, label) in enumerate(zip(rows, bench.truth(rows), strict=True))]
    embedder = replace(bench.models["old.onnx"], fingerprint=bench.site.references.load("chat").fingerprint)
    bench.data_sets.add("chat", "golden", samples, embedder, now=1.0, classes=CLASSES)
    bench.drift()
    return bench


def answer(bench: Bench, *, wrong: Collection[str] = (), annotator: str = "ana", rejected: Collection[str] = ()) -> None:
    """The newest batch: what is right, but for these."""
    batch = bench.batch()
    ids = [item.id for item in batch.items]
    truth = dict(zip(ids, bench.truth(bench.vectors(ids)), strict=True))
    other = {"early": "late", "late": "early"}
    given = {name: None if name in rejected else other[truth[name]] if name in wrong else truth[name] for name in ids}
    labels = [Label("chat", batch.id, name, label, 4_000.0, annotator, unusable=label is None) for name, label in given.items()]
    annotation.take_back(bench.store, labels, quota=1.0, now=4_001.0)


def candidates(bench: Bench) -> list[Candidate]:
    return [item for item in bench.batch().items if not is_challenge(item)]


def one_of_each_topic(bench: Bench) -> set[str]:
    """Candidates far from each other, so that no wrong label bears out another."""
    ids = [item.id for item in candidates(bench)]
    nearest = ((bench.vectors(ids)[:, None] - bench.world.topics[None]) ** 2).sum(2).argmin(1)
    return {ids[int(np.flatnonzero(nearest == topic)[0])] for topic in np.unique(nearest[nearest >= 12])}


def test_what_is_in_doubt_is_asked_once_more_blind_and_what_comes_back_is_believed(make_bench: Callable[..., Bench]) -> None:
    bench = doubting(make_bench)
    first = bench.batch()
    planted = one_of_each_topic(bench)
    answer(bench, wrong=planted)
    assert bench.refresher.step(now=4_002.0) == 1
    second = bench.batch()
    assert second.id != first.id
    assert (second.round, second.state, bench.cycle().state) == (1, BatchState.SENT, CycleState.ANNOTATING)
    planted &= {item.id for item in second.items}
    assert len(planted) >= 3
    assert all(item.again == first.id and item.blind and item.doubt is None for item in second.items)
    doubted = {item.id: item for item in bench.store.get(AnnotationBatch, first.id).items}
    assert all((doubted[name].doubt or 0) > 0.5 and doubted[name].against for name in planted)
    assert all(item.outcome is None for item in doubted.values())
    assert bench.refresher.step(now=4_003.0) == 0  # waits for the answers

    answer(bench, annotator="ben")
    assert bench.refresher.step(now=4_004.0) == 1
    assert bench.cycle().state is CycleState.TRAINING
    items = {item.id: item for item in bench.store.get(AnnotationBatch, first.id).items}
    truth = dict(zip(planted, bench.truth(bench.vectors_of(planted)), strict=True))
    assert {name: items[name].settled for name in planted} == truth
    assert all((items[name].doubt or 0) < 0.5 and items[name].outcome is not Outcome.REFUSED for name in planted)
    trained = {sample.id: sample.label for sample in bench.data_sets.load("chat", "train").samples}
    assert {name: trained[name] for name in planted} == truth
    assert len(bench.cycle().batches) == 2
    (told,) = [event for event in bench.store.events("chat") if event.kind == CHECKED]
    assert (told.subject, told.body["asked_again"], told.body["settled"]) == (first.id, len(second.items), len(planted))


def test_what_stays_in_doubt_is_held_back_and_what_that_spares_is_told(make_bench: Callable[..., Bench]) -> None:
    bench = doubting(make_bench, opinions=0.0)
    planted = one_of_each_topic(bench)
    answer(bench, wrong=planted)
    assert bench.refresher.step(now=4_002.0) == 1
    assert bench.cycle().state is CycleState.TRAINING
    refused = {item.id for item in bench.batch().items if item.outcome is Outcome.REFUSED}
    assert len(planted & refused) >= 3
    assert not refused & {sample.id for sample in bench.data_sets.load("chat", "train").samples}
    (held,) = [event.body for event in bench.store.events("chat") if event.kind == HELD_BACK]
    assert held["labels"] == len(refused)
    assert 0 <= held["flips_avoided"]["low"] <= held["flips_avoided"]["estimate"] <= held["flips_avoided"]["high"] <= 1


def test_a_rejection_as_second_opinion_settles_on_no_label(make_bench: Callable[..., Bench]) -> None:
    bench = doubting(make_bench)
    first = bench.batch()
    planted = one_of_each_topic(bench)
    answer(bench, wrong=planted)
    bench.refresher.step(now=4_002.0)
    planted &= {item.id for item in bench.batch().items}
    answer(bench, annotator="ben", rejected=planted)
    bench.refresher.step(now=4_003.0)
    items = {item.id: item for item in bench.store.get(AnnotationBatch, first.id).items}
    assert all(items[name].settled == "" for name in planted)
    assert not planted & {sample.id for sample in bench.data_sets.load("chat", "train").samples}


def test_annotators_who_differ_are_in_doubt_whatever_lies_around(make_bench: Callable[..., Bench]) -> None:
    bench = doubting(make_bench)
    first, differ = bench.batch(), one_of_each_topic(bench)
    answer(bench)
    answer(bench, wrong=differ, annotator="ben")
    bench.refresher.step(now=4_002.0)
    items = {item.id: item for item in bench.store.get(AnnotationBatch, first.id).items}
    assert all(items[name].against[0] == "answers differ" for name in differ)
    assert all("answers differ" not in item.against for name, item in items.items() if name not in differ)
    assert max(items[name].doubt or 0 for name in items if name not in differ) < min(items[name].doubt or 0 for name in differ)


def test_no_more_go_back_than_the_budget_pays(make_bench: Callable[..., Bench]) -> None:
    bench = doubting(make_bench, opinions=0.1)
    answer(bench, wrong={item.id for item in candidates(bench)[:8]})
    bench.refresher.step(now=4_002.0)
    assert len(bench.batch().items) == 3


def test_second_opinions_are_no_rounds(make_bench: Callable[..., Bench]) -> None:
    bench = doubting(make_bench, selection={"rounds": 2, "challenge": 0})
    answer(bench, wrong={item.id for item in candidates(bench)[:2]})
    bench.refresher.step(now=4_002.0)
    answer(bench, annotator="ben")
    assert bench.refresher.step(now=4_003.0) == 1
    assert (bench.batch().round, len(bench.cycle().batches), bench.cycle().rounds) == (2, 3, 2)
    assert not any(item.again for item in bench.batch().items)
    assert sum(len(bench.store.get(AnnotationBatch, name).items) for name in bench.cycle().batches[::2]) == 32


def test_a_crash_while_second_opinions_are_asked_loses_and_doubles_nothing(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = doubting(make_bench)
    answer(bench, wrong={item.id for item in candidates(bench)[:3]})
    with dying(monkeypatch, bench.store, "save"):
        bench.refresher.step(now=4_002.0)
    assert bench.cycle().earlier == ()
    assert bench.restarted().step(now=4_003.0) == 1
    again = bench.cycle().batch
    assert bench.restarted().step(now=4_004.0) == 0
    assert bench.cycle().batch == again
    answer(bench, annotator="ben")
    for method in ("record_event", "save"):
        with dying(monkeypatch, bench.store, method):
            bench.restarted().step(now=4_005.0)
    assert bench.restarted().step(now=4_006.0) == 1
    assert bench.cycle().state is CycleState.TRAINING
    assert sum(item.kind == "annotation.batch" for item in bench.store.outbox()) == 2
    assert sum(event.kind == CHECKED for event in bench.store.events("chat")) == 1


def test_a_batch_of_second_opinions_that_a_person_closes_counts_for_what_came(make_bench: Callable[..., Bench]) -> None:
    bench = doubting(make_bench)
    planted = one_of_each_topic(bench)
    answer(bench, wrong=planted)
    bench.refresher.step(now=4_002.0)
    planted &= {item.id for item in bench.batch().items}
    refresh.finish(bench.store, bench.cycle().id, actor="ana", now=4_003.0)
    bench.refresher.step(now=4_004.0)
    assert bench.cycle().state is CycleState.TRAINING
    assert not planted & {sample.id for sample in bench.data_sets.load("chat", "train").samples}


def test_challenge_rows_may_be_asked_again_and_are_never_left_out(make_bench: Callable[..., Bench]) -> None:
    bench = doubting(make_bench)
    drawn = {item.id for item in bench.batch().items if is_challenge(item)}
    answer(bench, wrong=drawn)
    bench.refresher.step(now=4_002.0)
    asked = {item.id for item in bench.batch().items if is_challenge(item)}
    answer(bench, annotator="ben")
    bench.refresher.step(now=4_003.0)
    kept = {sample.id: sample.label for sample in bench.data_sets.load("chat", "challenge").samples}
    assert kept.keys() == drawn
    truth = dict(zip(asked, bench.truth(bench.vectors_of(asked)), strict=True))
    assert asked
    assert {name: kept[name] for name in asked} == truth
