"""Evidence per stream: bets whose mean is at most 1, a state that is taken up, and which streams stand together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import DriftScan, Summary
from detectors.fleet import Bet, EDetector, e_benjamini_hochberg
from detectors.model import ScanModel
from detectors.stream import StreamScan

ALPHA = 0.1
E_VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=40).map(np.array)


def draw(n: int, seed: int, *, new: float = 0.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((10, 16)) * 1.5
    topic = np.where(rng.random(n) < new, rng.integers(8, 10, n), rng.integers(0, 8, n))
    return (centres[topic] + rng.standard_normal((n, 16))).astype(np.float32)


def panes(model: ScanModel, rows: NDArray[np.float32]) -> list[Summary]:
    described = model.summarizer.describe(rows)
    return [model.summarizer.summarize(described, slice(at, at + 16)) for at in range(0, len(rows), 16)]


def watched(model: ScanModel, rows: NDArray[np.float32]) -> tuple[StreamScan, EDetector]:
    scan, detector = StreamScan(model, run_length=1e5), EDetector(model, model.whole(), tolerance=0.05)
    for pane in panes(model, rows):
        detector.update(scan, pane)
        scan.update(pane)
    return scan, detector


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0.01, 1)), min_size=2, max_size=6),
    st.floats(0, 0.5),
    st.floats(0, 1),
    st.floats(1, 4),
)
def test_a_stake_keeps_its_mean_or_loses_while_drift_is_tolerable(
    atoms: list[tuple[float, float]], allowance: float, promise: float, wider: float
) -> None:
    """For every law of one payoff within the reach, of a mean that is allowed and of the variance or less."""
    value, chance = np.array(atoms).T
    chance /= chance.sum()
    value = (value - value @ chance) / 2 + allowance * value[0]  # within 1.5 of 0, of a mean within the allowance
    mean = float(value @ chance)
    variance = float((value - mean) ** 2 @ chance) * wider + 1e-6
    bet = Bet(0, np.empty(0, np.float32), promise, variance, reach=1.5)
    growth = np.array([np.exp(bet.log_growth(float(v), allowance=allowance, samples=1)) for v in value])
    assert (chance @ growth <= 1 + 1e-9).all()


def test_new_content_shows_and_ordinary_traffic_does_not(fitted: DriftScan) -> None:
    quiet, drifted = (watched(fitted.model, draw(1600, 5, new=new))[1] for new in (0.0, 0.5))
    assert quiet.log10 < np.log10(1600)
    assert drifted.log10 > 10


def test_nothing_is_known_before_the_first_sample_and_after_a_reset(fitted: DriftScan) -> None:
    _, detector = watched(fitted.model, draw(160, 5))
    assert np.isfinite(detector.log10)
    detector.reset()
    assert detector.log10 == -np.inf


def test_evidence_stays_a_number_however_much_there_is(fitted: DriftScan) -> None:
    assert watched(fitted.model, draw(12_800, 6, new=1.0))[1].log10 == 300


@pytest.mark.parametrize("order", ["iid", "time"])
def test_a_restored_detector_goes_on_as_if_nothing_had_been(fitted: DriftScan, order: str) -> None:
    model = fitted.model
    if order == "time":  # sessions of 40 rows
        rng = np.random.default_rng(3)
        centres = np.repeat(rng.standard_normal((100, 16)) * 1.5, 40, axis=0)
        rows = (centres + rng.standard_normal((4000, 16))).astype(np.float32)
        model = DriftScan.fit(rows, run_length=1e5, seed=1, order="time", accept_supported=True).model
    scan, detector = watched(model, draw(1600, 7, new=0.5))
    again = EDetector(model, model.whole(), tolerance=0.05)
    again.restore(detector.state())
    for pane in panes(model, draw(800, 8, new=0.5)):
        detector.update(scan, pane)
        again.update(scan, pane)
        scan.update(pane)
        assert again.log10 == detector.log10
    assert sum(part.nbytes for part in again.state().values()) < 4096


def test_a_known_case_by_hand() -> None:
    """Of 5 at a tenth: the largest needs 50, two need 25 each, three 16.7, four 12.5."""
    e_values = np.array([13.0, 0.0, 14.0, 40.0, 13.0])
    assert e_benjamini_hochberg(e_values, ALPHA).tolist() == [True, False, True, True, True]
    e_values[0] = 12.0
    assert not e_benjamini_hochberg(e_values, ALPHA).any()


@given(E_VALUES, st.data())
def test_more_evidence_never_makes_fewer_stand(e_values: NDArray[np.float64], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(e_values) - 1))
    more = e_values.copy()
    more[at] += data.draw(st.floats(0, 1e6))
    before, after = (e_benjamini_hochberg(values, ALPHA) for values in (e_values, more))
    assert (after | ~before).all()


@given(E_VALUES)
def test_those_that_stand_are_the_largest_and_all_have_enough(e_values: NDArray[np.float64]) -> None:
    stands = e_benjamini_hochberg(e_values, ALPHA)
    if stands.any():
        assert e_values[stands].min() * ALPHA * stands.sum() >= len(e_values)
        assert e_values[stands].min() > e_values[~stands].max(initial=-1.0)


@pytest.mark.parametrize(("e_values", "alpha"), [([1.0], 0.0), ([1.0], 1.1), ([-1.0], 0.1), ([np.nan], 0.1)])
def test_what_is_no_e_value_is_refused(e_values: list[float], alpha: float) -> None:
    with pytest.raises(ValueError, match=r"e-values are|alpha is"):
        e_benjamini_hochberg(np.array(e_values), alpha)
