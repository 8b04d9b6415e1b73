"""Bounds that follow from inverting a score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special


def tail_z(surprise: float) -> float:
    """Standard normal quantile that a value exceeds with probability 10^-surprise."""
    return float(-special.ndtri(10.0 ** -min(surprise, 300.0)))


def score_bound(
    estimate: NDArray[np.float64], *, noise: NDArray[np.float64], slope: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All θ with |estimate - θ| ≤ (noise² + slope · θ)^½: lowest, cut at 0, and highest.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927 (inverting the score).
    """
    middle = estimate + slope / 2
    half = np.sqrt(np.maximum(noise**2 + slope * estimate + slope**2 / 4, 0.0))
    return np.maximum(middle - half, 0.0), np.maximum(middle + half, 0.0)


def binomial_low(count: float, n: float, surprise: float) -> float:
    """The proportion at which as large a count of n, whole or not, has probability 10^-surprise.

    References
    ----------
    Clopper and Pearson, "The use of confidence or fiducial limits", Biometrika 1934. Far into the tail of a small count the normal
    approximation of a score is not one.

    Examples
    --------
    >>> round(binomial_low(4, 8, 4), 3)
    0.036
    """
    return float(special.betaincinv(count, n - count + 1, 10.0 ** -min(surprise, 300.0))) if count > 0 else 0.0


def proportion_interval(
    share: NDArray[np.float64], n: float | NDArray[np.float64], z: float | NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's score interval of proportions found in n; 0 to 1 where n is 0."""
    spread = z * z / np.maximum(n, 1e-12)
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def difference_interval(
    share: NDArray[np.float64],
    n: float | NDArray[np.float64],
    before: NDArray[np.float64],
    m: float | NDArray[np.float64],
    z: float | NDArray[np.float64],
) -> NDArray[np.float64]:
    """(2, ...) lowest and highest difference of a proportion found in n from one found in m, at ± z standard errors.

    References
    ----------
    Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 1998 (method 10).
    """
    (low, high), (low_before, high_before) = proportion_interval(share, n, z), proportion_interval(before, m, z)
    difference = share - before
    below, above = np.hypot(share - low, high_before - before), np.hypot(high - share, before - low_before)
    return np.stack([difference - below, difference + above])
