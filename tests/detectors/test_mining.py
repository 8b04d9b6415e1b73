"""The nearest rows of a pool, and one order of several."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import mining
from detectors.mining import closeness, fused
from detectors.selection.kernel import directions

ROWS = np.random.default_rng(1).normal(size=(300, 7)).astype(np.float32)
CENTRE = ROWS.mean(0)


@given(st.integers(1, 9), st.integers(1, 3_000))
def test_blocks_of_any_size_tell_the_same_as_one_product(queries: int, cells: int) -> None:
    asked = ROWS[::-1][:queries] + np.float32(0.1)
    cosine = directions(ROWS, CENTRE) @ directions(asked, CENTRE).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "_CELLS", cells)
        found = closeness(ROWS, asked, CENTRE)
    assert np.allclose(found.cosine, cosine.max(1), atol=1e-6)
    assert np.allclose(cosine[np.arange(len(ROWS)), found.query], cosine.max(1), atol=1e-6)


def test_rows_may_be_half_as_precise() -> None:
    full, half = (closeness(rows, ROWS[:3], CENTRE).cosine for rows in (ROWS, ROWS.astype(np.float16)))
    assert np.allclose(full, half, atol=5e-3)


def test_progress_ends_and_wrong_shapes_are_named() -> None:
    heard: list[float] = []
    closeness(ROWS, ROWS[:2], CENTRE, progress=heard.append)
    assert heard[-1] == 1.0
    with pytest.raises(ValueError, match="one dimension"):
        closeness(ROWS, ROWS[:2, :3], CENTRE)
    with pytest.raises(ValueError, match="at least one query"):
        closeness(ROWS, ROWS[:0], CENTRE)


@given(st.permutations(range(6)))
def test_orders_that_agree_are_their_fusion(order: list[int]) -> None:
    once = np.array(order)
    assert fused([once, once, once], 6).argsort()[::-1].tolist() == order


def test_what_one_order_leaves_out_counts_for_less_than_what_both_hold() -> None:
    found = fused([np.array([0, 1, 2]), np.array([3, 2, 1])], 5)
    assert found[4] == 0
    assert min(found[1], found[2]) > max(found[0], found[3])
