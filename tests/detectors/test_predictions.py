"""A class is surprising only where the inputs do not explain it."""

import numpy as np
from numpy.typing import NDArray

from detectors.predictions import Predictions


def drawn(n: int, seed: int, *, mix: tuple[float, float] = (0.5, 0.5)) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Two clusters, each with a class of its own in nine of ten rows."""
    rng = np.random.default_rng(seed)
    cluster = rng.choice(2, n, p=mix)
    return cluster, np.where(rng.random(n) < 0.9, np.array(["cat", "dog"])[cluster], "other")


def test_changed_answers_are_seen_and_a_changed_mix_is_not() -> None:
    answers = Predictions.fit(*drawn(2_000, 1), clusters=2, calibration=drawn(2_000, 2))
    usual = answers.values(*drawn(2_000, 3)).mean()
    assert abs(answers.values(*drawn(2_000, 4, mix=(0.9, 0.1))).mean() - usual) < 0.1  # standard errors: .02 each
    cluster, given = drawn(2_000, 5)
    assert answers.values(1 - cluster, given).mean() > usual + 1


def test_unknown_and_missing_classes() -> None:
    answers = Predictions.fit(*drawn(500, 1), clusters=2, calibration=drawn(500, 2))
    values = answers.values(np.array([0, 0, 0]), np.array(["cat", "horse", ""]))
    assert values[1] > values[0] + 3
    assert np.isnan(values[2])
    again = Predictions.from_arrays(answers.to_arrays())
    np.testing.assert_array_equal(again.values(np.array([1]), np.array(["dog"])), answers.values(np.array([1]), np.array(["dog"])))
