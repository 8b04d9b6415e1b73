"""Calibrated confidence: sums, bounds, and rows that can't calibrate anything."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.accuracy import AccuracyCalibration


def labelled(n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Confidences that are right as often as they say."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.4, 1.0, n).astype(np.float32)
    return confidence, rng.random(n) < confidence


@pytest.fixture(scope="module")
def calibration() -> AccuracyCalibration:
    return AccuracyCalibration.fit(*labelled(3000, seed=1))


def test_confidence_that_means_what_it_says_has_slope_one(calibration: AccuracyCalibration) -> None:
    slope, intercept = calibration.reliability
    assert slope.low < 1 < slope.high
    assert intercept.low < 0 < intercept.high
    assert calibration.misfit < 0.03


def test_an_over_confident_model_has_a_smaller_slope() -> None:
    confidence, right = labelled(3000, seed=2)
    odds = (confidence / (1 - confidence + 1e-7)) ** 2
    slope, _ = AccuracyCalibration.fit((odds / (1 + odds)).astype(np.float32), right).reliability
    assert slope.high < 0.7


def test_terms_of_parts_sum_to_the_whole(calibration: AccuracyCalibration) -> None:
    confidence, _ = labelled(500, seed=3)
    parts = sum(calibration.terms(part).sum(0) for part in np.split(confidence, [7, 300]))
    assert np.allclose(parts, calibration.terms(confidence).sum(0))


def test_a_sample_without_confidence_says_nothing(calibration: AccuracyCalibration) -> None:
    confidence = labelled(200, seed=6)[0]
    mixed = np.concatenate([confidence, np.full(300, np.nan, np.float32)])
    assert calibration.estimate(calibration.terms(mixed).sum(0)) == calibration.estimate(calibration.terms(confidence).sum(0))


def test_more_samples_narrow_the_interval_down_to_the_calibrations_own(calibration: AccuracyCalibration) -> None:
    mean = calibration.terms(labelled(2000, seed=4)[0]).mean(0)
    widths = [found.high - found.low for found in (calibration.estimate(mean * n) for n in (30, 300, 10**9))]
    assert widths == sorted(widths, reverse=True)
    assert 0.01 < widths[-1] < 0.1


def test_dependent_samples_widen_the_interval(calibration: AccuracyCalibration) -> None:
    sums = calibration.terms(labelled(400, seed=7)[0]).sum(0)
    independent, dependent = calibration.estimate(sums), calibration.estimate(sums, inflation=4.0)
    without = 2 * calibration.misfit
    ratio = (dependent.high - dependent.low - without) / (independent.high - independent.low - without)
    assert ratio == pytest.approx(2.0, rel=0.05)


def test_no_samples_tell_nothing(calibration: AccuracyCalibration) -> None:
    found = calibration.estimate(np.zeros(4))
    assert (found.low, found.high) == (0.0, 1.0)


def test_perfectly_separated_rows_stay_finite() -> None:
    right = np.arange(400) < 350
    found = AccuracyCalibration.fit(np.where(right, 0.99, 0.5).astype(np.float32), right)
    estimate = found.estimate(found.terms(np.full(100, 0.99, np.float32)).sum(0))
    assert estimate.estimate > 0.95
    assert np.isfinite(found.covariance).all()


def test_arrays_restore_it(calibration: AccuracyCalibration) -> None:
    again = AccuracyCalibration.from_arrays(calibration.to_arrays())
    sums = calibration.terms(labelled(50, seed=5)[0]).sum(0)
    assert again.estimate(sums) == calibration.estimate(sums)
    assert again.reference == calibration.reference


@pytest.mark.parametrize(
    ("confidence", "right", "message"),
    [
        (np.full(99, 0.9), np.arange(99) < 50, "at least 100 labelled rows"),
        (np.full(500, 0.9), np.arange(500) < 498, "5 wrong"),
        (np.full(500, 1.1), np.arange(500) < 400, "between 0 and 1"),
        (np.full(500, np.nan), np.arange(500) < 400, "every labelled row has one"),
        (np.full(500, 0.9), np.arange(400) < 300, "found"),
    ],
    ids=["few rows", "no errors", "no probability", "no confidence", "shapes"],
)
def test_rows_that_cannot_calibrate_are_refused(confidence: NDArray[np.float64], right: NDArray[np.bool_], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AccuracyCalibration.fit(confidence.astype(np.float32), right)
