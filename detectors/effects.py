"""How far, with intervals that stay true although the moment of looking was chosen by the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.base import Effect
from detectors.law import Law
from detectors.model import ScanModel, Slice
from detectors.panes import NOVELTY_BINS

RARE_BIN = 95
"""Novelty percentile beyond which a twentieth of the reference's own traffic lies."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowMeans:
    """Mean differences of K windows from the reference, shortest window first."""

    features: NDArray[np.float32]
    """(K, D) in the spectrum's basis."""
    scalars: NDArray[np.float64]
    """(K, S)"""
    samples: NDArray[np.float64]
    """(K,)"""
    panes: NDArray[np.int64]
    """(K,)"""
    scatter: NDArray[np.float64]
    """(K, M) sum over panes of a channel's squared sum over its count: what the window's own spread is told from."""
    error: NDArray[np.float64]
    """(K, 2) variance of the reference's mean, as a share of one row's: of the features, of the scalars."""


@dataclass(frozen=True, slots=True, eq=False)
class EffectMeter:
    """Effects of windows against a slice of the reference."""

    model: ScanModel
    slice: Slice
    law: Law
    """Of the slice."""

    def effect(self, means: WindowMeans, at: tuple[int, int], surprise: float) -> Effect:
        """Of window and channel `at`, with an interval wide enough for a choice that would show `surprise` by chance."""
        k, channel = at
        norms, z = len(self.model.spectrum.weights), tail_z(surprise)
        unit, width = self.model.units[channel], 1 / means.samples[k] + means.error[k, 0]
        if channel >= norms:
            s = channel - norms
            half = z * self.slice.scalar_deviation[s] * np.sqrt(1 / means.samples[k] + means.error[k, 1])
            middle = means.scalars[k, s]
            return Effect(*(float(max(v, 0.0) / unit) for v in (middle, middle - half, middle + half)))
        w = self.model.spectrum.weights[channel].astype(np.float64)
        squared = np.square(means.features[k].astype(np.float64))
        norm = float(w @ squared)
        mean, deviation = self.law.mean[at], self.law.deviation[at]
        along = float((w**2 * squared) @ self.model.eigenvalues) / max(norm, 1e-12)
        extra = max(self._spread(means, at, norm) - self.slice.moments.t1[channel], 0.0)
        slope = 4 * (along + extra) * width * max(mean / self.slice.moments.t1[channel], 1.0)
        theta, noise = norm - mean * width, deviation * width
        low, _ = squared_norm_interval(theta, noise=noise, slope=slope, z=max(self.law.quantile(surprise, at), z))
        _, high = squared_norm_interval(theta, noise=noise, slope=slope, z=z)
        return Effect(*(float(np.sqrt(max(v, 0.0)) / unit) for v in (theta, low, high)))

    def resolved(self, means: WindowMeans) -> float:
        """Upper bound (level .95) of the effect in the unwhitened norm, the smallest over the windows."""
        channel = self.model.spectrum.names.index("mmd")
        squared = np.square(means.features) @ self.model.spectrum.weights[channel]
        width = 1 / means.samples + means.error[:, 0]
        theta = squared - self.law.mean[: len(width), channel] * width
        noise = 1.645 * self.law.deviation[: len(width), channel] * width
        return float(np.sqrt(np.maximum(theta + noise, 0.0)).min() / self.model.units[channel])

    def _spread(self, means: WindowMeans, at: tuple[int, int], norm: float) -> float:
        """Trace of the window's own covariance in a channel's norm, from how its panes scatter."""
        k, channel = at
        if means.panes[k] < 4:
            return float(self.slice.moments.t1[channel])
        return float((means.scatter[at] - means.samples[k] * norm) / (means.panes[k] - 1))


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
