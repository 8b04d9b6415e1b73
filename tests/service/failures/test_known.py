"""What counts as a failure, how dear it is, and how it is kept."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.sqlite import SqliteStore
from service.failures.gathering import Gathering
from service.failures.known import LEAST_NATS, MOST_NATS, PART, UNKNOWN_NATS, gather, known_failures, loss_of
from service.failures.rows import failure_rows
from service.records import Output, Truths
from tests.service.failures.conftest import CLASSES, answered, judged

if TYPE_CHECKING:
    from tests.service.failures.conftest import Failing


def ids(failing: Failing) -> list[str]:
    return [each.row.id for each in known_failures(failing.site.store, failing.settings, version=1)]


def kept(failing: Failing) -> set[str]:
    return {each.row.id for each in failing.site.store.reserve("chat", part=PART)}


def test_an_answer_that_its_truth_contradicts_is_a_failure(failing: Failing) -> None:
    wrong = failing.fail(["the refund is still with it", "my money please"], "refund", "parcel", prefix="w")
    right = [answered("right", "the courier is late", "parcel")]
    failing.site.keep([*right, answered("untold", "my parcel", "weather")])
    failing.tell(right, "parcel")
    found = known_failures(failing.site.store, failing.settings, version=1)
    assert [(each.row.id, each.label, each.answer) for each in found] == [(sample.id, "refund", "parcel") for sample in wrong]
    assert found[0].loss == pytest.approx(-math.log(0.05))


def test_a_label_that_comes_with_the_sample_counts_too(failing: Failing) -> None:
    failing.site.keep(
        [replace(answered("own", "my money", "parcel"), label="refund"), replace(answered("ok", "my parcel", "parcel"), label="parcel")]
    )
    assert ids(failing) == ["own"]


def test_gathered_failures_outlive_the_recent_samples_and_a_correction(failing: Failing) -> None:
    with closing(SqliteStore(":memory:", pool_rows={"chat": 4})) as store:
        failing.site = replace(failing.site, store=store)
        wrong = failing.fail(["the refund is still with it", "rain today"], "refund", "parcel", prefix="w")
        assert gather(store, failing.settings, now=2_000.0) == 2
        assert gather(store, failing.settings, now=2_001.0) == 2
        failing.site.keep([answered(f"later{i}", "the courier", "parcel") for i in range(4)])
        assert [row.id for row in store.pool("chat")] == [f"later{i}" for i in range(4)]
        assert ids(failing) == ["w0", "w1"]
        assert {each.row.label for each in store.reserve("chat", part=PART)} == {"refund"}
        store.judge(Truths("chat", (judged(wrong[0], "parcel", told=1_950.0),), 1_000))
        assert ids(failing) == ["w1"]
        assert gather(store, failing.settings, now=2_100.0) == 1
        assert kept(failing) == {"w1"}


def test_without_a_reserve_nothing_is_kept_beyond_the_recent_samples(failing: Failing) -> None:
    failing.fail(["my money"], "refund", "parcel", prefix="w")
    failing.settings = failing.settings.model_copy(update={"pool": failing.settings.pool.model_copy(update={"reserve_rows": 0})})
    assert gather(failing.site.store, failing.settings, now=2_000.0) == 1
    assert kept(failing) == set()


def test_failures_under_another_reference_say_nothing_of_this_model(failing: Failing) -> None:
    samples = [answered("old", "my money", "parcel")]
    failing.site.keep(samples, version=7)
    failing.tell(samples, "refund")
    assert ids(failing) == []
    assert [each.row.id for each in known_failures(failing.site.store, failing.settings)] == ["old"]
    assert len(failure_rows(failing.site.store, failing.site.references.load("chat"), failing.settings)) == 0


def test_a_new_model_is_shown_what_the_last_one_failed_on(failing: Failing) -> None:
    old = [answered("mended", "the refund is still with it", "parcel"), answered("worse", "my courier please", "weather")]
    failing.site.keep(old)
    failing.tell(old, "refund")
    assert failing.failures.gather("chat", now=2_000.0) == 2
    reference = replace(failing.site.references.load("chat"), version=2)
    later: Any = SimpleNamespace(load=lambda _: reference, active=lambda _: 2)
    failing.site = replace(failing.site, references=later)
    assert failing.failures.gather("chat", now=2_050.0) == 2
    (found,) = known_failures(failing.site.store, failing.settings, version=2)
    assert (found.row.id, found.label, found.answer) == ("worse", "refund", "parcel")  # as the model in force answers
    assert failing.failures.gather("chat", now=2_100.0) == 1
    assert kept(failing) == {"mended", "worse"}  # it was hard once, and is worth keeping


def test_those_who_choose_candidates_get_one_row_of_each_group(failing: Failing) -> None:
    assert failure_rows(failing.site.store, failing.site.references.load("chat"), failing.settings).embeddings.shape == (0, 8)
    failing.fail(["my money is still about", "my money is still about", "my money is still about"], "refund", "parcel", prefix="a")
    failing.fail(["a storm today"], "weather", "parcel", prefix="b")
    found = failure_rows(failing.site.store, failing.site.references.load("chat"), failing.settings)
    assert (found.embeddings.shape, len(found)) == ((2, 8), 2)
    assert set(zip(found.ids, found.labels, found.answers, found.counts.tolist(), strict=True)) == {
        ("a0", "refund", "parcel", 3),
        ("b0", "weather", "parcel", 1),
    }
    assert len(set(found.clusters)) == 2
    assert not found.marked.any()


def test_a_look_is_taken_only_where_labels_have_come(failing: Failing) -> None:
    gathering = Gathering(failing.site.store, failing.failures, lambda: ["chat"], failing.site.references.active)
    assert gathering.step(0.0) == 0
    failing.fail(["my money"], "refund", "parcel", prefix="w")
    assert (gathering.step(10.0), kept(failing)) == (0, set())  # too soon
    assert (gathering.step(40.0), kept(failing)) == (1, {"w0"})
    assert gathering.step(80.0) == 0


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.sampled_from(CLASSES))
def test_a_loss_is_that_of_the_right_class(weights: list[float], label: str) -> None:
    total = sum(weights) or 1.0
    probabilities = tuple(weight / total for weight in weights)
    right = probabilities[CLASSES.index(label)]
    expected = min(max(-math.log(max(right, 1e-9)), LEAST_NATS), MOST_NATS)
    assert loss_of(Output(probabilities=probabilities), label, math.nan, CLASSES) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("output", "label", "confidence", "expected"),
    [
        (None, "refund", math.nan, UNKNOWN_NATS),
        (Output("parcel"), None, math.nan, UNKNOWN_NATS),
        (Output("parcel"), "refund", 0.9, -math.log(0.05)),  # half of what the answer left
        (Output("parcel", probabilities=(0.1, 0.8, 0.1)), None, math.nan, -math.log(0.1)),
        (Output("parcel", probabilities=(0.1, 0.8, 0.1)), "a class of tomorrow", math.nan, MOST_NATS),
        (Output("parcel", logits=(0.0, math.log(8.0), 0.0)), "refund", math.nan, -math.log(0.1)),
    ],
)
def test_a_loss_where_less_is_known(output: Output | None, label: str | None, confidence: float, expected: float) -> None:
    assert loss_of(output, label, confidence, CLASSES) == pytest.approx(expected)
