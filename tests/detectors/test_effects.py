"""Intervals of effects, shares and clusters."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import DriftScan
from detectors.bounds import difference_interval, proportion_interval, score_bound
from detectors.effects import novel_share
from detectors.panes import NOVELTY_BINS, RARE_BIN
from detectors.stream import StreamScan


def draw(n: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((8, 16)) * 1.5
    return (centres[rng.integers(0, 8, n)] + rng.standard_normal((n, 16))).astype(np.float32)


def fed(scan: StreamScan, rows: NDArray[np.float32]) -> StreamScan:
    described = scan.model.summarizer.describe(rows)
    for at in range(0, len(rows), 16):
        scan.update(scan.model.summarizer.summarize(described, slice(at, at + 16)))
    return scan


def histogram(n: int, rare: int) -> NDArray[np.int64]:
    """n samples, of them `rare` beyond the rare percentile."""
    counts = np.zeros(NOVELTY_BINS, np.int64)
    counts[50], counts[RARE_BIN] = n - rare, rare
    return counts


@given(estimate=st.floats(0, 100), noise=st.floats(0.01, 10), slope=st.floats(0, 10), more=st.floats(1, 3))
def test_score_bounds_hold_the_estimate_and_grow_with_noise(estimate: float, noise: float, slope: float, more: float) -> None:
    def bounds(noise: float) -> tuple[float, float]:
        low, high = score_bound(np.array(estimate), noise=np.array(noise), slope=np.array(slope))
        return float(low), float(high)

    low, high = bounds(noise)
    assert 0 <= low <= estimate <= high
    assert (high - estimate) ** 2 == pytest.approx(noise**2 + slope * high, rel=1e-4)
    wider = bounds(more * noise)
    assert wider[0] <= low + 1e-9
    assert wider[1] >= high - 1e-9


@given(count=st.integers(0, 50), n=st.integers(1, 50))
def test_proportions_stay_within_their_interval(count: int, n: int) -> None:
    share = np.array(min(count, n) / n)
    low, high = proportion_interval(share, n, 1.96)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


def test_no_samples_leave_a_proportion_open() -> None:
    low, high = proportion_interval(np.array(0.0), 0, 1.96)
    assert (float(low), float(high)) == pytest.approx((0.0, 1.0), abs=1e-9)


def test_a_difference_counts_the_errors_of_both_samples() -> None:
    share, before = np.array(0.3), np.array(0.2)
    widths = [np.diff(difference_interval(share, 100, before, m, 1.96), axis=0) for m in (50, 500, 10**9)]
    assert widths[0] > widths[1] > widths[2]
    low, high = difference_interval(share, 100, before, 10**9, 1.96)
    assert (low + 0.2, high + 0.2) == pytest.approx(tuple(map(float, proportion_interval(share, 100, 1.96))), abs=1e-3)


def test_the_novel_share_of_a_slice_is_measured_against_its_own(fitted: DriftScan) -> None:
    model = fitted.model
    described = model.summarizer.describe(draw(600, seed=20))
    odd = model.slice(described.take(np.argsort(-described.novelty)[:300]), np.ones(300, np.bool_))
    assert odd.rare_share > model.whole().rare_share
    window = histogram(400, round(400 * odd.rare_share))
    assert novel_share(window, odd, surprise=3.0).estimate < 0.01
    assert novel_share(window, model.whole(), surprise=3.0).low > 0


def test_an_empty_window_says_nothing_about_novelty(fitted: DriftScan) -> None:
    nothing = novel_share(histogram(0, 0), fitted.model.whole(), surprise=3.0)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


def test_dependent_samples_widen_every_interval_as_fewer_would(fitted: DriftScan) -> None:
    whole = fitted.model.whole()
    fewer = replace(whole, scalar_rows=whole.scalar_rows // 5)
    dependent = novel_share(histogram(400, 100), whole, surprise=3.0, inflation=5.0)
    alone = novel_share(histogram(80, 20), fewer, surprise=3.0)
    assert (dependent.low, dependent.high) == pytest.approx((alone.low, alone.high), abs=1e-3)


def test_the_resolved_effect_is_above_the_truth_and_falls_with_samples(fitted: DriftScan) -> None:
    scan = StreamScan(fitted.model, run_length=1e6)
    assert scan.resolved_effect() == float("inf")
    bounds = [fed(scan, draw(n, seed=n)).resolved_effect() for n in (64, 2048)]
    assert bounds[0] > bounds[1] > 0
    assert fed(scan, draw(2048, seed=3) + 1).evidence.effect.low > 0.1


def test_at_a_crossing_the_lower_end_is_farther_down_than_before_one(fitted: DriftScan) -> None:
    """The same rows, looked at by a scan that they crossed and by one that they did not: the crossing itself is chance in part."""
    rows = np.concatenate([draw(512, seed=21), draw(64, seed=22) + 0.25])
    crossed, quiet = (fed(StreamScan(fitted.model, run_length=length), rows) for length in (500.0, 1e10))
    assert crossed.evidence.above
    assert not quiet.evidence.above
    assert crossed.evidence.scale == quiet.evidence.scale
    assert crossed.evidence.effect.low <= quiet.evidence.effect.low
    assert crossed.evidence.effect.high == quiet.evidence.effect.high
