"""How far, with intervals that stay true although the moment of looking was chosen by the detector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.base import Effect
from detectors.panes import NOVELTY_BINS

RARE_BIN = 95
"""Novelty percentile beyond which a twentieth of the reference's own traffic lies."""


def tail_z(surprise: float) -> float:
    """Standard normal quantile that a value exceeds with probability 10^-surprise."""
    return float(-special.ndtri(10.0 ** -min(surprise, 300.0)))


def squared_norm_interval(estimate: float, *, noise: float, slope: float, z: float) -> tuple[float, float]:
    """Score interval of a squared mean difference θ whose unbiased estimate has variance noise² + slope · θ.

    All θ with |estimate - θ| ≤ z (noise² + slope θ)^½, cut at 0.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927 (inverting the score).
    """
    middle = estimate + z * z * slope / 2
    half = z * np.sqrt(max(noise**2 + slope * estimate + z * z * slope**2 / 4, 0.0))
    return max(middle - half, 0.0), max(middle + half, 0.0)


def proportion_interval(count: float, n: int, z: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion, count of n."""
    if n == 0:
        return 0.0, 1.0
    p, spread = count / n, z * z / n
    middle = (p + spread / 2) / (1 + spread)
    half = z / (1 + spread) * float(np.sqrt(p * (1 - p) / n + spread / (4 * n)))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def novel_share(novelty: NDArray[np.int64], *, rows: int, z: float = 1.96) -> Effect:
    """Share of traffic beyond what the reference's own novelty explains, from the (100,) histogram of a window.

    Samples beyond the 95th percentile, less the twentieth of ordinary traffic that is expected there. A lower bound on new
    content: new samples that look ordinary are not counted. The percentile itself is known from `rows` calibration rows only,
    which the interval counts as if the window were that much shorter.
    """
    n, rare = int(novelty.sum()), 1 - RARE_BIN / NOVELTY_BINS
    share = int(novelty[RARE_BIN:].sum()) / n if n else rare
    known = round(1 / (1 / n + 1 / rows)) if n else 0
    low, high = proportion_interval(share * known, known, z)
    estimate, low, high = ((p - rare) / (1 - rare) for p in (share, low, high))
    return Effect(max(estimate, 0.0), max(low, 0.0), max(high, 0.0))
