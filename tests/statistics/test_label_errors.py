"""The interval around the rate of wrong labels, where classes overlap: right labels look wrong there."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.label_errors import Rate, label_errors

RUNS = 20


def rate_of(seed: int, classes: int, count: int, apart: float, share: float) -> tuple[float, Rate]:
    """The share of wrong labels in Gaussian classes, `apart` · √2 standard deviations from each other, and what is said of it."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    rows: NDArray[np.float32] = (apart * np.eye(classes, 8)[truth] + rng.standard_normal((count, 8))).astype(np.float32)
    wrong = rng.random(count) < share
    labels = np.where(wrong, (truth + rng.integers(1, classes, count)) % classes, truth)
    return float(wrong.mean()), label_errors(rows, labels, rng=rng).rate


@pytest.mark.parametrize(("classes", "count", "apart"), [(2, 300, 1.0), (4, 1_000, 1.0), (4, 1_000, 1.5)])
def test_right_labels_of_overlapping_classes_are_not_surely_wrong(classes: int, count: int, apart: float) -> None:
    lows = [rate_of(seed, classes, count, apart, 0.0)[1].low for seed in range(100, 100 + RUNS)]
    assert np.mean(np.array(lows) > 0) <= 0.1


@pytest.mark.parametrize("apart", [1.5, 2.5])
def test_wrong_labels_of_overlapping_classes_lie_in_the_interval(apart: float) -> None:
    found = [rate_of(seed, 4, 1_000, apart, 0.1) for seed in range(100, 100 + RUNS)]
    assert np.mean([rate.low <= wrong <= rate.high for wrong, rate in found]) >= 0.9
    assert np.mean([rate.low > 0 for _, rate in found]) >= 0.7
