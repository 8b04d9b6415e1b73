"""Weights by leaving out: exact where parts add up, bounded in what they cost, and honest where parts stand in for each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.occlusion import Measure, occlude, occlude_grid


def additive(worth: NDArray[np.float64], *, asked: list[int] | None = None) -> Measure:
    """What is left adds up; `asked` hears how many variants were measured."""

    def measure(out: NDArray[np.bool_]) -> NDArray[np.float64]:
        if asked is not None:
            asked.append(len(out))
        return np.stack([~out @ worth, ~out @ (worth**2)], 1)

    return measure


@given(st.lists(st.integers(-8, 8), min_size=2, max_size=30))
def test_where_parts_add_up_the_weights_are_their_worth(worth: list[int]) -> None:
    values = np.array(worth, np.float64)
    found = occlude(len(values), additive(values), variants=32)
    np.testing.assert_allclose(found.weight, np.stack([values, values**2], 1), atol=1e-9)
    np.testing.assert_allclose(found.whole, [values.sum(), (values**2).sum()])
    np.testing.assert_allclose(found.together, found.weight[found.strongest].sum(0), atol=1e-9)
    assert len(found.strongest) < len(values)


@given(st.integers(2, 3_000), st.integers(8, 130), st.integers(0, 2**32 - 1))
def test_groups_cover_all_parts_in_order_and_within_the_budget(parts: int, variants: int, seed: int) -> None:
    worth, asked = np.random.default_rng(seed).normal(size=parts), list[int]()
    found = occlude(parts, additive(worth, asked=asked), variants=variants)
    assert sum(asked) <= variants
    assert found.groups[0, 0] == 0
    assert found.groups[-1, 1] == parts
    assert (found.groups[1:, 0] == found.groups[:-1, 1]).all()
    assert (found.groups[:, 1] > found.groups[:, 0]).all()
    np.testing.assert_allclose(found.weight.sum(0), found.whole, atol=1e-8)


def test_the_part_that_counts_is_found_among_a_thousand() -> None:
    worth = np.zeros(1_000)
    worth[377] = 3.0
    found = occlude(1_000, additive(worth), variants=128)
    first, end = found.groups[found.strongest[0]]
    assert (first, end) == (377, 378)


def test_parts_that_stand_in_for_each_other_show_together() -> None:
    found = occlude(4, lambda out: np.array([[float(not (row[0] and row[2]))] for row in out]), variants=8)
    assert not found.weight.any()
    assert not len(found.strongest)
    either = occlude(4, lambda out: np.array([[0.1 * (2 - row[0] - row[2]) + 5.0 * (not (row[0] and row[2]))] for row in out]), variants=8)
    assert either.strongest.tolist() == [0, 2]
    assert either.together[0] > 10 * either.weight[:, 0].sum()


def test_a_variant_that_cannot_be_measured_has_no_weight() -> None:
    found = occlude(3, lambda out: np.where(out[:, :1], np.nan, ~out[:, 1:2] * 2.0), variants=8)
    assert np.isnan(found.weight[0]).all()
    assert found.weight[1:].ravel().tolist() == [2.0, 0.0]
    assert found.strongest.tolist() == [1]


@pytest.mark.parametrize(("parts", "variants"), [(1, 32), (5, 7)])
def test_too_little_to_leave_out_is_refused(parts: int, variants: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        occlude(parts, additive(np.ones(parts)), variants=variants)


@given(st.integers(0, 6), st.integers(0, 6))
def test_the_cell_that_counts_weighs_most(row: int, column: int) -> None:
    worth = np.zeros((7, 7))
    worth[row, column] = 1.0
    weight, whole = occlude_grid(7, additive(worth.ravel()))
    assert whole.tolist() == [1.0, 1.0]
    assert weight[row, column, 0] == 1.0
    assert np.flatnonzero(weight[:, :, 0] == 1.0).tolist() == [7 * row + column]


def test_cells_that_no_square_could_measure_weigh_nothing() -> None:
    weight, _ = occlude_grid(3, lambda out: np.where(out.any(1, keepdims=True), np.nan, 1.0))
    assert not weight.any()


def test_a_square_is_smaller_than_the_grid() -> None:
    with pytest.raises(ValueError, match="between 1 and 2"):
        occlude_grid(3, additive(np.ones(9)), width=3)
