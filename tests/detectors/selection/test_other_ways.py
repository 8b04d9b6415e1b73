"""The ways of choosing that others came up with: what all of them promise, and what each is known for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.selection import UNKNOWN, Known, Pool, Selector, Why
from detectors.selection.coreset import Coreset, distances
from detectors.selection.dcd import FailureDistance
from detectors.selection.random_choice import RandomChoice
from detectors.selection.typiclust import TypiClust
from detectors.selection.uncertainty import Uncertainty, entropy, margin

WAYS: list[Selector] = [RandomChoice(), Uncertainty("margin"), Uncertainty("entropy"), Coreset(), TypiClust(), FailureDistance()]
DIMENSION, CLASSES = 8, 3


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def around(topic: NDArray[np.int64], seed: int, *, noise: float = 0.15) -> NDArray[np.float32]:
    return unit(np.eye(DIMENSION)[topic] + noise * rng(seed).standard_normal((len(topic), DIMENSION)))


def drawn(rows: int, seed: int) -> tuple[Pool, Known]:
    """Topics 0 to 2 are known, 3 and 4 fail."""
    topic = rng(seed).integers(0, 5, rows)
    chances = rng(seed).dirichlet(np.ones(CLASSES), rows).astype(np.float32)
    known = Known(
        around(np.arange(60) % 3, 90),
        labels=np.arange(60) % 3,
        failures=around(np.array([3, 4]), 91),
        failure_labels=np.array([3, 4]),
    )
    return Pool(around(topic, seed), chances), known


@pytest.mark.parametrize("way", WAYS, ids=repr)
@settings(max_examples=12, deadline=None)
@given(rows=st.integers(0, 40), budget=st.integers(1, 60), seed=st.integers(0, 5))
def test_picks_are_distinct_rows_within_the_budget_and_the_same_for_the_same_seed(way: Selector, rows: int, budget: int, seed: int) -> None:
    pool, known = drawn(rows, seed)
    told: list[float] = []
    picks = way.pick(pool, known, budget=budget, rng=rng(seed), progress=told.append)
    chosen = [pick.row for pick in picks]
    assert len(set(chosen)) == len(chosen) <= min(budget, rows)
    assert all(0 <= row < rows for row in chosen)
    assert way.pick(pool, known, budget=budget, rng=rng(seed)) == picks
    assert not rows or told[-1] <= 1


@pytest.mark.parametrize("way", WAYS, ids=repr)
def test_a_large_budget_takes_every_row_but_copies(way: Selector) -> None:
    pool, known = drawn(30, 3)
    picks = way.pick(pool, known, budget=100, rng=rng())
    assert sorted(row for pick in picks for row in (pick.row, *pick.copies)) == list(range(30))


@pytest.mark.parametrize("way", WAYS, ids=repr)
def test_what_can_not_be_done_is_said(way: Selector) -> None:
    pool, known = drawn(10, 0)
    with pytest.raises(ValueError, match="budget: at least 1, found 0"):
        way.pick(pool, known, budget=0, rng=rng())
    with pytest.raises(ValueError, match="both must come from one embedder"):
        way.pick(Pool(np.ones((4, 3), np.float32)), known, budget=1, rng=rng())


def test_random_picks_are_a_fair_sample() -> None:
    pool, known = drawn(20, 0)
    counts = np.zeros(20)
    for seed in range(2_000):
        counts[[pick.row for pick in RandomChoice().pick(pool, known, budget=5, rng=rng(seed))]] += 1
    assert abs(counts / 2_000 - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 2_000)


# --- uncertainty --------------------------------------------------------------------------------------------------------


@given(st.integers(2, 6), st.integers(0, 50))
def test_certainty_is_none_at_equal_chances_and_whole_at_one(classes: int, seed: int) -> None:
    sure, unsure = np.eye(classes, dtype=np.float32)[:1], np.full((1, classes), 1 / classes, np.float32)
    some = rng(seed).dirichlet(np.ones(classes), 5).astype(np.float32)
    for measure in (entropy, margin):
        assert measure(sure) == pytest.approx([0], abs=1e-5)
        assert measure(unsure) == pytest.approx([1], abs=1e-5)
        assert ((measure(some) >= 0) & (measure(some) <= 1 + 1e-5)).all()


@pytest.mark.parametrize("way", ["margin", "entropy"])
def test_what_the_model_said_nothing_of_comes_last(way: str) -> None:
    pool, known = drawn(12, 1)
    assert pool.probabilities is not None
    pool.probabilities[[2, 5]] = np.nan
    picks = Uncertainty("margin" if way == "margin" else "entropy").pick(pool, known, budget=12, rng=rng())
    assert {pick.row for pick in picks[-2:]} == {2, 5}
    values = [pick.value for pick in picks]
    assert values == sorted(values, reverse=True)


def test_uncertainty_needs_probabilities() -> None:
    pool, known = drawn(5, 0)
    with pytest.raises(ValueError, match="takes the model's probabilities, found none"):
        Uncertainty().pick(Pool(pool.embeddings), known, budget=1, rng=rng())


def test_a_single_class_is_never_in_doubt() -> None:
    assert margin(np.ones((3, 1), np.float32)).tolist() == [0, 0, 0]


# --- coreset, TypiClust -------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 30), budget=st.integers(1, 8))
def test_each_step_of_a_coreset_takes_what_is_farthest(seed: int, budget: int) -> None:
    pool, known = drawn(25, seed)
    assert known.failures is not None
    centres = [*known.reference, *known.failures]
    for pick in Coreset().pick(pool, known, budget=budget, rng=rng()):
        far = [min(float(np.linalg.norm(row - centre)) for centre in centres) for row in pool.embeddings]
        assert pick.value == pytest.approx(max(far), abs=2e-3)
        centres.append(pool.embeddings[pick.row])


def test_nothing_is_infinitely_far_from_all() -> None:
    assert np.isinf(distances(np.ones((2, 3), np.float32), np.empty((0, 3), np.float32))).all()


def test_typical_rows_of_the_largest_clusters_come_first() -> None:
    topic = np.repeat([0, 1, 2], [40, 30, 20])
    outliers = unit(rng(5).standard_normal((5, DIMENSION)))
    pool = Pool(np.concatenate([around(topic, 4), outliers]))
    for seed in range(5):
        picks = TypiClust().pick(pool, Known(pool.embeddings[:2]), budget=3, rng=rng(seed))
        assert all(pick.row < len(topic) for pick in picks)


def test_clusters_that_have_answers_wait() -> None:
    topic = np.repeat([0, 1], [40, 30])
    pool = Pool(around(topic, 6, noise=0.05))
    known = Known(pool.embeddings[:2], answered=around(np.array([0]), 7, noise=0.05), answers=np.array([0]))
    picks = TypiClust().pick(pool, known, budget=1, rng=rng(3))
    assert topic[picks[0].row] == 1


# --- distance to failures -----------------------------------------------------------------------------------------------


def test_classes_that_fail_have_equal_shares_of_what_lies_near_their_failures() -> None:
    topic = np.repeat([0, 3, 4], [50, 10, 10])
    known = drawn(1, 0)[1]
    picks = FailureDistance().pick(Pool(around(topic, 8)), known, budget=12, rng=rng())
    assert [pick.label for pick in picks] == [3, 4] * 6
    assert [int(topic[pick.row]) for pick in picks] == [3, 4] * 6
    assert all(pick.why is Why.EXPAND for pick in picks)


def test_copies_are_taken_once_and_told() -> None:
    topic = np.array([3, 4, 0, 0])
    rows = around(topic, 9)
    known = drawn(1, 0)[1]
    pool = Pool(np.concatenate([rows, rows[:1] + np.float32(1e-4), rows[:1] - np.float32(1e-4)]))
    picks = FailureDistance().pick(pool, known, budget=6, rng=rng())
    assert {pick.row: pick.copies for pick in picks}[0] == (4, 5)
    assert {pick.row for pick in picks} == {0, 1, 2, 3}


def test_copies_of_failures_and_of_what_was_asked_about_are_left_out() -> None:
    rows = around(np.array([3, 4, 3, 4]), 10)
    base = drawn(1, 0)[1]
    known = Known(base.reference, failures=rows[:1], failure_labels=np.array([3]), answered=rows[1:2], answers=np.array([4]))
    assert {pick.row for pick in FailureDistance().pick(Pool(rows), known, budget=4, rng=rng())} == {2, 3}


def test_weak_labels_say_in_which_line_a_row_stands() -> None:
    rows = around(np.array([3, 3, 4, 4, 0]), 11)
    pool = Pool(rows, weak=np.array([4, 3, UNKNOWN, 4, 3]))
    picks = FailureDistance().pick(pool, drawn(1, 0)[1], budget=5, rng=rng())
    assert {pick.row: pick.label for pick in picks} == {1: 3, 3: 4, 4: 3, 0: 4}


def test_without_failures_the_most_novel_comes_first() -> None:
    rows = around(np.array([0, 1, 6, 2]), 12)
    reference = drawn(1, 0)[1].reference
    picks = FailureDistance().pick(Pool(rows), Known(reference), budget=2, rng=rng())
    assert picks[0].row == 2
    assert picks[0].why is Why.METHOD
