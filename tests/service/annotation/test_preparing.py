"""What is chosen becomes a batch: gold, answers by several, priorities; and what is answered becomes data by the scheme of the day."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service import annotation
from service.annotation.adopting import adopt, proposals
from service.annotation.editing import edited
from service.annotation.manifest import is_intact
from service.annotation.scheme import added, renamed
from service.datasets import payload_digest
from service.records import AnnotationBatch, BatchState, CycleState, Label, LabelScheme, Purpose, SchemeClass
from tests.service.refresh_bench import CLASSES, Bench

pytestmark = pytest.mark.long

MakeBench = Callable[..., Bench]


def answered(bench: Bench, word: Callable[[str], str], *, annotators: tuple[str, ...] = ("ana",)) -> AnnotationBatch:
    """Everything that was asked, gold too, by annotators who say `word` of each item's id."""
    batch = bench.batch()
    labels = [
        Label("chat", batch.id, key, word(item.id), 4_000.0, who)
        for key, item in annotation.items_by_shown(batch).items()
        for who in annotators[: max(1, item.answers)]
    ]
    return annotation.take_back(bench.store, labels, quota=1.0, now=4_001.0).batch


def test_a_batch_is_sealed_with_digests_and_goes_out_with_gold_and_second_answers(make_bench: MakeBench) -> None:
    bench = make_bench(annotation={"gold_share": 0.2, "double_share": 0.25, "price": 0.5})
    bench.golden(300)
    bench.drift()
    batch = bench.batch()
    select = {row.sample.id: row.sample for row in bench.data_sets.load("chat", "golden").part("select").rows}
    assert len(batch.gold) == int(np.ceil(0.2 * len(batch.items)))
    assert {item.id for item in batch.gold} <= set(select)
    assert all(item.truth == select[item.id].label and item.digest == payload_digest(select[item.id].payload) for item in batch.gold)
    assert {item.segment for item in batch.gold} <= {item.segment for item in batch.items}
    assert sum(item.answers == 2 for item in batch.items) == round(0.25 * len(batch.items))
    pool = {sample.id: sample.payload for sample in bench.data_sets.load("chat", "pool").samples}
    assert all(item.digest == payload_digest(pool[item.id]) for item in batch.items)
    assert is_intact(batch)
    (item,) = bench.store.outbox()
    assert item.payload["price_estimate"] == 0.5 * annotation.labels_asked(batch)


def test_gold_is_in_no_data_set_and_in_no_outcome_and_the_next_batch_has_other_rows(make_bench: MakeBench) -> None:
    bench = make_bench(annotation={"gold_share": 0.2}, selection={"rounds": 2})
    bench.golden(300)
    bench.drift()
    first = answered(bench, lambda _: "early")
    assert first.state is BatchState.CLOSED
    bench.refresher.step(now=4_002.0)
    second = bench.batch()
    assert second.id != first.id
    assert not {item.id for item in first.gold} & {item.id for item in second.gold}
    answered(bench, lambda _: "early")
    bench.refresher.step(now=4_003.0)
    assert bench.cycle().state is CycleState.TRAINING
    rows = {sample.id for sample in (*bench.data_sets.load("chat", "train").samples, *bench.data_sets.load("chat", "challenge").samples)}
    assert not rows & {item.id for item in (*first.gold, *second.gold)}


def test_preparing_again_makes_the_same_batch(make_bench: MakeBench) -> None:
    bench = make_bench(annotation={"gold_share": 0.2, "double_share": 0.5, "approval": "operator"})
    bench.golden(300)
    bench.drift()
    ready = [bench.restarted()._preparing.ready(bench.site.settings, bench.batch().items, {}, key="a", now=9.0) for _ in range(2)]
    assert ready[0] == ready[1]
    assert any(item.purpose is Purpose.GOLD for item in ready[0])


# --- schemes and data -------------------------------------------------------------------------------------------------


def test_a_rename_reaches_every_data_set_and_the_words_that_come_after_it(bench: Bench) -> None:
    bench.golden(300)
    before = {sample.id: sample.label for sample in bench.data_sets.load("chat", "golden").samples}
    bench.drift()
    edited(bench.store, bench.site.settings, lambda scheme: renamed(scheme, "late", "overdue", actor="ana", now=3_900.0), now=3_900.0)
    bench.answer()
    bench.refresher.step(now=4_002.0)
    train = bench.data_sets.load("chat", "train")
    assert {sample.label for sample in train.samples} <= {"early", "overdue"}
    golden = bench.data_sets.load("chat", "golden")
    assert {sample.id: sample.label for sample in golden.samples} == {
        key: {"late": "overdue"}.get(label or "", label) for key, label in before.items()
    }
    assert {row.sample.id: row.part for row in golden.rows} == {
        row.sample.id: row.part for row in bench.data_sets.load("chat", "golden", 1).rows
    }


def test_none_of_these_trains_nothing_and_is_no_junk(bench: Bench) -> None:
    bench.drift()
    odd = {item.id for item in bench.batch().items[:3]}
    closed = answered(bench, lambda sample: "none of these" if sample in odd else "late")
    assert closed.state is BatchState.CLOSED
    bench.refresher.step(now=4_002.0)
    cycle = bench.cycle()
    assert cycle.state is CycleState.TRAINING
    rows = {sample.id for sample in bench.data_sets.load("chat", "train").samples}
    assert not rows & odd
    judged = {item.id: item.outcome for item in bench.batch().items}
    assert "rejected" not in {judged[sample] for sample in odd}
    assert cycle.requested is not None
    assert cycle.requested["labels"]["none of these"] == 3


# --- classes that annotators miss -------------------------------------------------------------------------------------


def around(centre: int, count: int, name: str) -> dict[str, Any]:
    rng = np.random.default_rng(centre)
    return {f"{name}{n}": (np.eye(6)[centre] + 0.1 * rng.standard_normal(6)).astype(np.float32) for n in range(count)}


def test_a_class_joins_once_enough_answers_that_lie_together_name_it(bench: Bench) -> None:
    bench.drift()
    batch = bench.batch()
    ids = [item.id for item in batch.items]
    together, apart = ids[:5], ids[5:10]
    spots = [*around(0, 5, "t").values(), *(vector for n in range(5) for vector in around(1 + n % 5, 1, "x").values())]
    rest = list(around(1, len(ids), "r").values()) + list(around(2, len(ids), "r").values())
    vectors = dict(zip(ids, [*spots, *rest[::2]], strict=False))

    def word(sample: str) -> str:
        return "new: Top up" if sample in together else "new: mess" if sample in apart else "late"

    closed = answered(bench, word)
    agreements = annotation.answers(bench.store, [closed])
    assert [(each.name, len(each.samples)) for each in proposals(agreements)] == [("Top up", 5), ("mess", 5)]
    made = adopt(bench.store, "chat", [closed], lambda _: vectors, now=4_001.5)
    assert made is not None
    assert ([each.name for each in made.classes], made.actor, made.number) == ([*CLASSES, "Top up"], "driftgate", 2)
    assert annotation.answers(bench.store, [closed])[together[0]].label.label == "Top up"
    assert adopt(bench.store, "chat", [closed], lambda _: vectors, now=4_001.6) is None


def test_where_a_person_decides_no_class_joins_by_itself(make_bench: MakeBench) -> None:
    bench = make_bench(annotation={"new_classes": "operator"})
    bench.drift()
    answered(bench, lambda _: "new: top up")
    bench.refresher.step(now=4_002.0)
    assert [scheme.number for scheme in bench.store.find(LabelScheme)] == [1]
    assert bench.cycle().state is CycleState.ANNOTATING, "it waits for the person's word"
    edited(bench.store, bench.site.settings, lambda scheme: added(scheme, SchemeClass("top up"), actor="ana", now=4_003.0), now=4_003.0)
    bench.refresher.step(now=4_100.0)
    assert bench.cycle().state is CycleState.TRAINING
    assert {sample.label for sample in bench.data_sets.load("chat", "train").samples} == {"top up"}


def test_a_cycle_of_which_nothing_can_be_learnt_is_given_up(bench: Bench) -> None:
    bench.drift()
    answered(bench, lambda _: "none of these")
    bench.refresher.step(now=4_002.0)
    assert bench.cycle().state is CycleState.CANCELLED


def test_what_everybody_proposes_is_trained_as_a_class(bench: Bench) -> None:
    bench.drift()
    answered(bench, lambda _: "new: top up")
    bench.refresher.step(now=4_002.0)
    scheme = annotation.scheme_of(bench.store, "chat")
    assert scheme is not None
    assert "top up" in {each.name for each in scheme.classes}
    assert {sample.label for sample in bench.data_sets.load("chat", "train").samples} == {"top up"}


def test_few_answers_make_no_class(bench: Bench) -> None:
    bench.drift()
    few = {item.id for item in bench.batch().items[:4]}
    closed = answered(bench, lambda sample: "new: top up" if sample in few else "late")

    def read(_: object) -> dict[str, Any]:
        raise AssertionError("no vectors are needed for that")

    assert adopt(bench.store, "chat", [closed], read, now=1.0) is None
