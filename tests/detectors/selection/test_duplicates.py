"""Near-duplicates: merged greedily, grouped by chains."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.selection.duplicates import duplicate_groups, merge_duplicates
from detectors.selection.kernel import Scales, directions

DIMENSION = 24


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@given(st.integers(0, 2**32 - 1), st.integers(1, 1200), st.floats(0.3, 0.99))
def test_every_merged_row_is_near_its_representative(seed: int, count: int, limit: float) -> None:
    rows = unit(np.random.default_rng(seed).standard_normal((count, 3)))
    stands = merge_duplicates(rows, limit)
    leaders = np.unique(stands)
    assert (stands[leaders] == leaders).all()
    assert (np.einsum("ij,ij->i", rows, rows[stands]) >= limit - 1e-5).all()
    between = rows[leaders] @ rows[leaders].T
    assert (between[~np.eye(len(leaders), dtype=bool)] < limit + 1e-5).all()


def test_a_chain_of_near_duplicates_is_one_group_and_strangers_are_not() -> None:
    rng = np.random.default_rng(2)
    strangers = rng.standard_normal((700, DIMENSION))
    copies = strangers[rng.integers(0, 40, 400)] + 0.01 * rng.standard_normal((400, DIMENSION))
    rows = np.concatenate([strangers, copies]).astype(np.float32)
    groups = duplicate_groups(rows)
    seen = directions(rows, rows.mean(0))
    near = seen @ seen.T >= Scales.fit(seen).duplicate
    assert (groups[:, None] == groups[None, :])[near].all()
    assert (groups[groups] == groups).all()
    assert len(np.unique(groups[40:700])) == 660


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_rows_for_a_pair_are_groups_of_their_own(count: int) -> None:
    assert list(duplicate_groups(np.ones((count, 4), np.float32))) == list(range(count))
