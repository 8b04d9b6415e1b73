"""Tail probabilities of a statistic known by its first three moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

_LEAST_SKEW, _LEAST_DEVIATION, _MOST = 0.02, 1e-6, 300.0


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """Pearson type III (shifted gamma) laws, one per window length and channel: arrays (K, M) of mean, deviation and skewness.

    A sum of weighted chi-squares, which a squared mean difference tends to, is matched to a few per cent far into its tail.

    References
    ----------
    Imhof, "Computing the distribution of quadratic forms in normal variables", Biometrika 1961 (three-moment approximation).
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    skewness: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """From (..., n) simulated values: moments along the last axis."""
        mean, own = values.mean(-1), values.std(-1)
        deviation = np.maximum(own, _LEAST_DEVIATION * (1 + np.abs(mean)))  # a channel that is constant says nothing
        return cls(mean, deviation, ((values - mean[..., None]) ** 3).mean(-1) / deviation**3)

    def quantile(self, surprise: float) -> NDArray[np.float64]:
        """(K, M) the standardised value that each law exceeds with probability 10^-surprise."""
        skewness = np.maximum(self.skewness, _LEAST_SKEW)
        shape = 4.0 / skewness**2
        return np.asarray((special.gammainccinv(shape, 10.0 ** -min(surprise, _MOST)) - shape) * skewness / 2)

    def surprise(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """-log10 of the probability of at least each value, 0 to 300; shapes broadcast against (K, M)."""
        return tail_surprise((values - self.mean) / self.deviation, self.skewness)

    def peaks(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """(panes, K, M) → (panes, K) largest surprise of each window; 0 where nothing lies a deviation above its mean (or all is NaN)."""
        standard = (values - self.mean) / self.deviation
        high = np.nonzero(standard > 1.0)
        surprise = tail_surprise(standard[high], self.skewness[high[1], high[2]])
        peaks = np.zeros(values.shape[:2])
        np.maximum.at(peaks, high[:2], surprise)
        return peaks

    def scaled(self, mean: NDArray[np.float64], deviation: NDArray[np.float64], skewness: NDArray[np.float64]) -> Law:
        """The law with each moment multiplied by a factor."""
        return Law(self.mean * mean, self.deviation * deviation, self.skewness * skewness)


def tail_surprise(standard: NDArray[np.float64], skewness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of standardised values; a gamma law of shape 4 / skewness², shifted."""
    skewness = np.maximum(skewness, _LEAST_SKEW)
    shape = 4.0 / skewness**2
    tail = special.gammaincc(shape, np.maximum(shape + 2.0 * standard / skewness, 0.0))
    return np.asarray(np.minimum(-np.log10(np.maximum(tail, 10.0**-_MOST)), _MOST))
