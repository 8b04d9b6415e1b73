"""Bounds and tests of the paired comparison hold what they promise, in simulation and against exact sums."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.comparison import (
    Comparison,
    allowed_flips,
    compare,
    gain_interval,
    least_rows,
    mcnemar,
    paired_rows,
    spent,
    steady_rows,
    upper_bound,
)


def paired(rows: int, negative: float, positive: float, rng: np.random.Generator) -> Comparison:
    """Rows whose flips have the given rates; the rest is right under both models."""
    b, c, rest = rng.multinomial(rows, [negative, positive, 1 - negative - positive])
    return Comparison(rows, old_right=int(rest + b), new_right=int(rest + c), negative_flips=int(b), positive_flips=int(c))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_counts_add_up(pairs: list[tuple[bool, bool]]) -> None:
    old, new = (np.array(side, bool) for side in zip(*pairs, strict=True))
    found = compare(old, new)
    assert found.new_right - found.old_right == found.positive_flips - found.negative_flips
    assert found.gain == pytest.approx(found.new_accuracy - found.old_accuracy)
    assert found.negative_flip_rate == pytest.approx(sum(a and not b for a, b in pairs) / len(pairs))


@pytest.mark.parametrize("rate", [0.002, 0.01, 0.05, 0.4])
def test_the_upper_bound_covers_at_least_as_often_as_it_says(rate: float) -> None:
    rng = np.random.default_rng(17)
    draws = rng.binomial(400, rate, 4000)
    bounds = {int(count): upper_bound(int(count), 400, error=0.1) for count in np.unique(draws)}
    covered = np.mean([bounds[int(count)] >= rate for count in draws])
    assert covered >= 0.9 - 3 * math.sqrt(0.09 / 4000)  # three standard errors of the simulation


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.01, 0.45))
def test_the_bound_lies_above_the_observed_rate(counts: tuple[int, int], error: float) -> None:
    count, rows = counts
    assert count / rows <= upper_bound(count, rows, error=error) <= 1


def test_the_upper_bound_solves_the_binomial_equation() -> None:
    bound = upper_bound(3, 120, error=0.05)
    tail = sum(math.comb(120, k) * bound**k * (1 - bound) ** (120 - k) for k in range(4))
    assert tail == pytest.approx(0.05, abs=1e-9)


@given(st.floats(0.002, 0.3), st.floats(0.01, 0.4), st.integers(0, 5))
def test_least_rows_are_the_fewest_that_pass(rate: float, error: float, count: int) -> None:
    rows = least_rows(rate, error=error, count=count)
    assert upper_bound(count, rows, error=error) <= rate
    assert rows - 1 < max(count, 1) or upper_bound(count, rows - 1, error=error) > rate


@given(st.integers(1, 4000), st.floats(0.002, 0.2), st.floats(1e-9, 0.4))
def test_allowed_flips_are_the_most_that_pass(rows: int, rate: float, error: float) -> None:
    flips = allowed_flips(rows, rate, error=error)
    assert flips < 0 or least_rows(rate, error=error, count=flips) <= rows
    assert least_rows(rate, error=error, count=flips + 1) > rows


@pytest.mark.parametrize(
    ("error", "rate", "first", "thousand", "three_thousand"),
    [(0.1, 0.005, 460, 1, 9), (0.1, 0.01, 230, 5, 22), (0.05, 0.005, 598, 1, 8), (0.05, 0.01, 299, 4, 20)],
)
def test_sample_sizes_as_published(error: float, rate: float, first: int, thousand: int, three_thousand: int) -> None:
    assert least_rows(rate, error=error) == first
    assert [allowed_flips(rows, rate, error=error) for rows in (first - 1, first, 1000, 3000)] == [-1, 0, thousand, three_thousand]


@given(st.floats(0.002, 0.2), st.floats(0.001, 0.2))
def test_steady_rows_allow_half_of_the_rate(rate: float, error: float) -> None:
    rows = steady_rows(rate, error=error)
    assert allowed_flips(rows, rate, error=error) >= rows * rate / 2


def test_paired_rows_tell_the_difference_as_often_as_they_say() -> None:
    rng = np.random.default_rng(31)
    rows = paired_rows(0.1, flips=0.3, error=0.1, power=0.8)
    told = [gain_interval(paired(rows, 0.1, 0.2, rng), confidence=0.9)[0] > 0 for _ in range(1000)]
    assert abs(np.mean(told) - 0.8) < 0.05


@pytest.mark.parametrize("outcomes", [3, 41])
def test_all_that_can_be_spent_is_below_the_error_and_never_nothing(outcomes: int) -> None:
    each = [spent(0.1, use, outcomes=outcomes) for use in range(1, 2000)]
    assert sum(outcomes ** (use - 1) * one for use, one in enumerate(each[:50], 1)) < 0.1
    assert min(each) > 0
    assert each == sorted(each, reverse=True)


def test_mcnemar_rejects_equal_models_no_more_often_than_it_says() -> None:
    rng = np.random.default_rng(23)
    values = np.array([mcnemar(paired(300, 0.05, 0.05, rng)) for _ in range(3000)])
    for level in (0.01, 0.05, 0.2):
        assert np.mean(values <= level) <= level + 3 * math.sqrt(level * (1 - level) / 3000)


def test_mcnemar_finds_a_model_that_breaks_more_than_it_mends() -> None:
    rng = np.random.default_rng(29)
    assert np.mean([mcnemar(paired(600, 0.08, 0.02, rng)) <= 0.05 for _ in range(300)]) > 0.95
    assert mcnemar(Comparison(50, 40, 40, 0, 0)) == 1.0


@pytest.mark.parametrize(("negative", "positive"), [(0.01, 0.01), (0.02, 0.12), (0.1, 0.1)])
def test_the_gain_interval_covers_the_true_gain(negative: float, positive: float) -> None:
    rng = np.random.default_rng(31)
    hits = []
    for _ in range(2000):
        low, high = gain_interval(paired(200, negative, positive, rng), confidence=0.9)
        hits.append(low <= positive - negative <= high)
    assert np.mean(hits) >= 0.9 - 0.02 - 3 * math.sqrt(0.09 / 2000)  # approximate: two points below nominal at most


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="same rows for both"):
        compare(np.zeros(2, bool), np.zeros(3, bool))
    with pytest.raises(ValueError, match="at least one"):
        compare(np.zeros(0, bool), np.zeros(0, bool))
    with pytest.raises(ValueError, match="count: between 0 and rows"):
        upper_bound(4, 3, error=0.1)
    with pytest.raises(ValueError, match="error: between 0 and 1, found 1"):
        upper_bound(1, 3, error=1)
    with pytest.raises(ValueError, match="rate: between 0 and 1"):
        least_rows(0, error=0.1)
