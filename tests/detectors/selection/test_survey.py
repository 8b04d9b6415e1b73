"""A draw keeps to its chances exactly, and what it says of the whole is right on average."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.selection.survey import draw, inclusion_probabilities, weighted_share

weights = st.lists(st.floats(0.01, 1e4), min_size=1, max_size=60).map(np.array)


@given(weights, st.integers(0, 80))
def test_chances_follow_the_weights_and_add_up(found: np.ndarray, size: int) -> None:
    chances = inclusion_probabilities(found, size)
    assert chances.sum() == pytest.approx(min(size, len(found)))
    assert ((chances >= 0) & (chances <= 1)).all()
    order = np.argsort(found)
    assert (np.diff(chances[order]) >= -1e-12).all()
    free = chances < 1
    if free.any() and size:
        assert np.ptp(chances[free] / found[free]) == pytest.approx(0, abs=1e-9 * size / found.min())


@given(weights, st.integers(0, 80), st.integers(0, 2**32))
def test_exactly_so_many_rows_are_drawn_once_each(found: np.ndarray, size: int, seed: int) -> None:
    chances = inclusion_probabilities(found, size)
    rows = draw(chances, np.random.default_rng(seed))
    assert len(rows) == len(set(rows.tolist())) == min(size, len(found))
    assert set(np.flatnonzero(chances == 1)) <= set(rows.tolist())


def test_each_row_comes_as_often_as_its_chance_says() -> None:
    """4,000 draws: a share's standard error is at most .008, so 4.5 of them are reached once in 150,000 by luck, of 40 rows."""
    rng = np.random.default_rng(1)
    chances = inclusion_probabilities(rng.gamma(0.5, size=40) + 0.01, 12)
    drawn = np.zeros(40)
    for _ in range(4_000):
        drawn[draw(chances, rng)] += 1
    assert np.abs(drawn / 4_000 - chances).max() < 4.5 * 0.5 / np.sqrt(4_000)


def test_a_draw_by_drift_still_tells_the_share_of_all() -> None:
    """Rows that are likelier drawn are also likelier wrong: the plain mean of the drawn is far off, the weighted one is not."""
    rng = np.random.default_rng(2)
    novelty = rng.random(2_000)
    right = (rng.random(2_000) > novelty).astype(float)
    chances = inclusion_probabilities(1 / (1.05 - novelty), 100)
    found, plain, covered = [], [], 0
    for _ in range(300):
        rows = draw(chances, rng)
        share = weighted_share(right[rows], chances[rows], confidence=0.9)
        found.append(share.estimate)
        plain.append(right[rows].mean())
        covered += share.low <= right.mean() <= share.high
    assert abs(np.mean(found) - right.mean()) < 0.015
    assert abs(np.mean(plain) - right.mean()) > 0.1
    assert covered / 300 > 0.86


def test_unusable_rows_are_no_part_of_what_is_estimated() -> None:
    values, chances = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.5, 0.5, 0.5, 0.1])
    found = weighted_share(values, chances, confidence=0.9, usable=np.array([True, True, True, False]))
    assert found.estimate == pytest.approx(2 / 3)
    assert found.rows == 3


def test_no_change_at_all_claims_no_certainty() -> None:
    found = weighted_share(np.zeros(60), np.full(60, 0.2), confidence=0.9)
    assert found.estimate == 0
    assert found.high > 0.02


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: inclusion_probabilities(np.array([1.0, 0.0]), 1), "positive weights"),
        (lambda: inclusion_probabilities(np.array([1.0]), -1), "size of at least 0"),
        (lambda: draw(np.array([1.5]), np.random.default_rng(0)), "between 0 and 1"),
        (lambda: weighted_share(np.zeros(2), np.array([0.5, 0.0]), confidence=0.9), "above 0"),
        (lambda: weighted_share(np.zeros(2), np.ones(2), confidence=0.9, usable=np.zeros(2, bool)), "no usable row"),
        (lambda: weighted_share(np.zeros(2), np.ones(2), confidence=1.0), "confidence: between 0 and 1"),
    ],
)
def test_what_can_not_be_drawn_or_said_is_told(call: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()  # type: ignore[operator]  # a function of no arguments
