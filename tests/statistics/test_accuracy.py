"""The label-free accuracy by simulation: its interval covers where its assumption holds, and misses where it does not."""

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.accuracy import AccuracyCalibration

TRIALS = 400
LEAST = 0.91
"""At a coverage of .95 fewer than 91 % of 400 trials cover with probability .0003."""


def traffic(n: int, rng: np.random.Generator, *, sure: float, drop: float = 0.0) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Confidences of an over-confident model, and the probability of each of being right; `drop` lowers that beyond what they say."""
    x = rng.normal(sure, 1.5, n)
    return special.expit(x).astype(np.float32), special.expit(0.7 * x - 0.3 - drop)


def covered(rng: np.random.Generator, *, drop: float) -> list[bool]:
    truth = float(traffic(400_000, np.random.default_rng(0), sure=1.0, drop=drop)[1].mean())
    found = []
    for _ in range(TRIALS):
        confidence, probability = traffic(1500, rng, sure=2.5)
        calibration = AccuracyCalibration.fit(confidence, rng.random(1500) < probability)
        window, _ = traffic(300, rng, sure=1.0, drop=drop)
        estimate = calibration.estimate(calibration.terms(window).sum(0))
        found.append(estimate.low <= truth <= estimate.high)
    return found


def test_the_interval_covers_when_only_the_traffic_changed() -> None:
    assert np.mean(covered(np.random.default_rng(1), drop=0.0)) >= LEAST


def test_the_interval_covers_where_the_curve_is_most_wrong() -> None:
    """The lowest tenth of the confidences is right in a fifth of the samples, which no curve of two parameters shows; all traffic comes
    to lie there."""
    rng, found = np.random.default_rng(3), []

    def probability(confidence: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.where(confidence < 0.55, 0.2, confidence).astype(np.float64)

    for _ in range(TRIALS):
        confidence = rng.uniform(0.5, 1.0, 1500).astype(np.float32)
        calibration = AccuracyCalibration.fit(confidence, rng.random(1500) < probability(confidence))
        window = rng.uniform(0.5, 0.55, 300).astype(np.float32)
        estimate = calibration.estimate(calibration.terms(window).sum(0))
        found.append(estimate.low <= 0.2 <= estimate.high)
    assert np.mean(found) >= LEAST


def test_it_does_not_when_a_confidence_no_longer_means_what_it_meant() -> None:
    """The stated limit: what makes the model wrong without making it unsure can't be seen without labels."""
    assert np.mean(covered(np.random.default_rng(2), drop=1.0)) <= 0.1
