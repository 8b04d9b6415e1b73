"""Tango's score and the exact test on it: against published examples, closed cases, and sums over all that can be drawn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.noninferiority import NonInferiority, joint_power, noninferior_rows, score_interval, tango_score

counts = st.integers(1, 400).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, n)).flatmap(
        lambda nb: st.tuples(st.just(nb[0]), st.just(nb[1]), st.integers(0, nb[0] - nb[1]))
    )
)


@pytest.mark.parametrize(
    ("positive", "negative", "rows", "confidence", "low", "high"),
    [
        (9, 3, 32, 0.95, -0.027, 0.390),  # Tango 1998, section 6.2
        (1, 7, 21, 0.95, -0.517, -0.026),  # Fagerland, Lydersen and Laake, Statistics in Medicine 2014 (stem cell transplantation)
        (0, 1, 44, 0.90, -0.096, 0.037),  # Tango 1998, section 6.1 (its lower end)
    ],
)
def test_intervals_are_those_published(positive: int, negative: int, rows: int, confidence: float, low: float, high: float) -> None:
    assert score_interval(positive, negative, rows, confidence=confidence) == pytest.approx((low, high), abs=6e-4)


def test_at_no_difference_the_score_is_mcnemars() -> None:
    assert float(tango_score(12, 5, 200, difference=0.0)) == pytest.approx((12 - 5) / math.sqrt(12 + 5))


def test_scores_broadcast_and_need_no_flip() -> None:
    found = tango_score(np.array([[0], [3]]), np.array([0, 1, 2]), 50, difference=-0.1)
    assert found.shape == (2, 3)
    assert np.isfinite(found).all()
    assert float(found[0, 0]) == pytest.approx(math.sqrt(50 * 0.1 / 0.9))


@given(counts, st.floats(0.5, 0.999))
def test_intervals_hold_the_estimate_and_turn_with_the_models(drawn: tuple[int, int, int], confidence: float) -> None:
    rows, positive, negative = drawn
    low, high = score_interval(positive, negative, rows, confidence=confidence)
    assert -1 <= low <= (positive - negative) / rows + 1e-6
    assert (positive - negative) / rows - 1e-6 <= high <= 1
    assert score_interval(negative, positive, rows, confidence=confidence) == pytest.approx((-high, -low), abs=1e-6)


@given(counts, st.floats(-0.9, 0.9), st.floats(0.001, 0.09))
def test_the_score_falls_as_the_difference_grows(drawn: tuple[int, int, int], at: float, step: float) -> None:
    rows, positive, negative = drawn
    before, after = (float(tango_score(positive, negative, rows, difference=each)) for each in (at, at + step))
    assert after <= before + 1e-9


def test_the_level_is_the_sum_over_all_that_can_be_drawn() -> None:
    test = NonInferiority.of(40, margin=0.1, error=0.05)
    mended, broken = 0.08, 0.18
    total = 0.0
    for b in range(41):
        for c in range(41 - b):
            if test.shows(b, c):
                ways = math.comb(40, b) * math.comb(40 - b, c)
                total += ways * mended**b * broken**c * (1 - mended - broken) ** (40 - b - c)
    assert test.power(0.26, difference=-0.1) == pytest.approx(total, rel=1e-4)
    assert total <= test.level() <= 0.05


@pytest.mark.parametrize("rows", [1, 5, 99, 150, 1_300])
@pytest.mark.parametrize("error", [0.05, 1e-4])
def test_the_error_is_held_where_the_normal_quantile_lets_too_many_through(rows: int, error: float) -> None:
    test = NonInferiority.of(rows, margin=0.03, error=error)
    assert test.level() <= error
    assert test.critical >= 1.6448


@given(counts, st.sampled_from([0.01, 0.03, 0.2]))
def test_the_test_agrees_with_its_interval(drawn: tuple[int, int, int], margin: float) -> None:
    rows, positive, negative = drawn
    test = NonInferiority(rows, margin, 0.05, 1.7)
    low, _ = test.limits(positive, negative)
    assert abs(low + margin) < 1e-6 or test.shows(positive, negative) == (low > -margin)


def test_without_a_flip_it_takes_as_many_rows_as_the_binomial_says() -> None:
    """A model that is worse by 1 % and mends nothing breaks none of 298 rows with probability .0500... above .05, of 299 below."""
    assert [NonInferiority.of(rows, margin=0.01, error=0.05).shows(0, 0) for rows in (298, 299)] == [False, True]


def test_fewer_flips_and_wider_margins_take_fewer_rows() -> None:
    rows = [noninferior_rows(0.01, flips=flips, error=0.05) for flips in (0.005, 0.02, 0.05)]
    assert rows == sorted(rows)
    assert noninferior_rows(0.03, flips=0.02, error=0.05) < rows[0]
    assert noninferior_rows(0.01, flips=0.02, error=0.005) > rows[1]


def test_wrong_use_is_refused() -> None:
    for bad in (lambda: score_interval(3, 3, 5, confidence=0.9), lambda: NonInferiority.of(0, margin=0.1, error=0.1)):
        with pytest.raises(ValueError, match="flips: 0 or more"):
            bad()
    with pytest.raises(ValueError, match="margin: between 0 and 1"):
        NonInferiority.of(10, margin=0.0, error=0.1)
    with pytest.raises(ValueError, match="flips: between the difference and 1"):
        NonInferiority.of(10, margin=0.1, error=0.1).power(0.01, difference=-0.1)
    assert joint_power([]) == 1.0
