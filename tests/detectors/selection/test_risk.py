"""The risk of asking: calibrated, monotone, moved by outcomes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.selection.assessment import Parts
from detectors.selection.risk import Risk, reliability

SHARE = st.floats(0, 1, width=32)


def parts(*rows: tuple[float, float, float]) -> Parts:
    junk, contested, influence = np.array(rows, np.float32).T
    return Parts(junk, contested, influence, np.zeros((len(rows), 0), np.int64))


@given(rows=st.lists(st.tuples(SHARE, SHARE, SHARE), min_size=1, max_size=30), more=SHARE)
def test_more_of_a_part_is_never_less_risk_whatever_was_learnt(rows: list[tuple[float, float, float]], more: float) -> None:
    rng = np.random.default_rng(len(rows))
    learnt = Risk().updated(np.array(rows, np.float32), rng.random(len(rows)) < 0.5)
    low = (0.2, 0.2, 0.2)
    for part in range(3):
        high = tuple(0.2 + 0.8 * more * (part == i) for i in range(3))
        told = learnt.of(parts(low, (high[0], high[1], high[2])))
        assert told[1] >= told[0] - 1e-6


def test_twenty_outcomes_do_not_overturn_it_and_some_hundred_do() -> None:
    sample = parts((0.1, 0.2, 0.0))
    few = Risk().updated(np.repeat(sample.matrix, 20, axis=0), np.ones(20, bool)).of(sample)[0]
    many = Risk().updated(np.repeat(sample.matrix, 400, axis=0), np.ones(400, bool)).of(sample)[0]
    assert Risk().of(sample)[0] < 0.2
    assert few < 0.9
    assert many > 0.95


def test_one_outcome_more_or_less_hardly_moves_it() -> None:
    sample = parts((0.5, 0.0, 0.0))
    found = [Risk().updated(sample.matrix, np.array([bad])).of(sample)[0] for bad in (True, False)]
    assert found[0] - found[1] < 0.2


def test_outcomes_come_with_three_parts() -> None:
    with pytest.raises(ValueError, match="three parts for each of 2"):
        Risk().updated(np.zeros((2, 2), np.float32), np.zeros(2, bool))


def test_reliability_of_nothing_and_of_one() -> None:
    assert reliability(np.zeros(0, np.float32), np.zeros(0, bool)).count == 0
    one = reliability(np.full(7, 0.5, np.float32), np.arange(7) < 3)
    assert [(found.count, found.low, found.high) for found in one.bins] == [(7, 0.5, 0.5)]
    assert one.error == pytest.approx(abs(3 / 7 - 0.5))


def test_bad_bins_are_named() -> None:
    with pytest.raises(ValueError, match="at least 1 bin"):
        reliability(np.zeros(2, np.float32), np.zeros(2, bool), bins=0)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60), bins=st.integers(1, 8))
def test_bins_hold_each_sample_once_and_lie_apart(seed: int, count: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    risks: NDArray[np.float32] = np.round(rng.random(count), 1).astype(np.float32)
    found = reliability(risks, rng.random(count) < 0.3, bins=bins)
    assert sum(one.count for one in found.bins) == found.count == count
    assert len(found.bins) <= bins
    assert all(one.high < other.low for one, other in zip(found.bins, found.bins[1:], strict=False))
    assert all(one.share_low <= one.share + 1e-9 and one.share <= one.share_high + 1e-9 for one in found.bins)
