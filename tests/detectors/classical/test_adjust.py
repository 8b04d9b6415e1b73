"""Adjusted p-values against a hand-computed Holm and scipy's false-discovery control."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from detectors.classical import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def by_hand(p_values: list[float]) -> list[float]:
    """Holm's steps one after the other."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, (len(p_values) - rank) * p_values[at])
        adjusted[at] = min(largest, 1.0)
    return adjusted


@given(P_VALUES)
def test_holm_is_the_stepwise_procedure(p_values: list[float]) -> None:
    np.testing.assert_allclose(holm(p_values), by_hand(p_values), rtol=1e-12)


@given(P_VALUES)
def test_benjamini_hochberg_is_scipys(p_values: list[float]) -> None:
    np.testing.assert_allclose(benjamini_hochberg(p_values), stats.false_discovery_control(p_values), rtol=1e-12)


def test_a_hand_computed_table() -> None:
    """Four hypotheses: 4 · .01, 3 · .02, 2 · .03 (not below the one before), 1 · .5."""
    np.testing.assert_allclose(holm([0.5, 0.01, 0.03, 0.02]), [0.5, 0.04, 0.06, 0.06])


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_many_families_at_once(adjust: Callable[..., NDArray[np.float64]]) -> None:
    p_values = np.random.default_rng(0).random((3, 4, 7))
    np.testing.assert_array_equal(adjust(p_values)[2, 1], adjust(p_values[2, 1]))
    assert adjust(np.empty((0,))).shape == (0,)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@pytest.mark.parametrize("wrong", [[0.5, 1.1], [-0.1], [float("nan"), 0.2], 0.5])
def test_what_is_no_p_value_is_refused(adjust: Callable[..., NDArray[np.float64]], wrong: object) -> None:
    with pytest.raises(ValueError, match="p_values"):
        adjust(wrong)
