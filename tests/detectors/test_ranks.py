"""Ranks put every scalar on one scale, for the rows that made them and for fresh ones alike."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.ranks import Percentiles, exceedance


def test_rows_rank_among_themselves_as_fresh_ones_do() -> None:
    rng = np.random.default_rng(0)
    apart = []
    for _ in range(400):
        own, fresh = rng.standard_normal(100).astype(np.float32), rng.standard_normal(2_000).astype(np.float32)
        ranks = Percentiles.of(own)
        apart.append(float(exceedance(ranks(fresh)).mean() - exceedance(ranks(own)).mean()))
    assert abs(np.mean(apart)) < 0.02  # standard error .005; ranks of "below" alone would give .035


def test_a_frequent_value_leaves_room_on_both_sides() -> None:
    ranks = Percentiles.of(np.zeros(99, np.float32))
    assert ranks(np.array([-1, 0, 1], np.float32)).tolist() == pytest.approx([0.0, 0.5, 0.99])


@pytest.mark.parametrize("values", [np.arange(500), np.arange(500) % 3, np.arange(500) == 0, np.zeros(500)])
def test_what_is_not_known_shifts_no_mean(values: NDArray[np.float32]) -> None:
    own = values.astype(np.float32)
    ranks = Percentiles.of(np.append(own, np.full(200, np.nan, np.float32)))
    assert len(ranks.sorted) == 500
    assert exceedance(ranks(np.array([np.nan], np.float32)))[0] == pytest.approx(exceedance(ranks(own)).mean(), rel=1e-4)


def test_ranks_among_nothing_say_nothing() -> None:
    ranks = Percentiles.of(np.full(10, np.nan, np.float32))
    assert exceedance(ranks(np.array([-1, 3, np.nan], np.float32))).tolist() == pytest.approx([1.0, 1.0, 1.0])
