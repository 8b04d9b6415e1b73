"""Scalar channels on one scale: how rare a value is among the reference's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Percentiles:
    """Ranks among the calibration part's own values; `sorted` is ascending (n,) float32.

    A value that is one of them ranks as it would among the others, so that the calibration part and fresh traffic have ranks of
    one mean (to 1 in n); equal values share the middle of their ranks, so that both sides of a frequent value are seen.
    """

    sorted: NDArray[np.float32]

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Percentiles:
        """Of the calibration part's values, in any order; those that are not known (NaN) teach nothing."""
        return cls(np.sort(values[~np.isnan(values)]))

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Share of the calibration part below each value, 0 to n / (n + 1); `neutral` for what is not known (NaN).

        Examples
        --------
        >>> Percentiles.of(np.array([1, 2, 3], np.float32))(np.array([0, 2, 2.5, 9], np.float32)).tolist()
        [0.0, 0.5, 0.5, 0.75]
        """
        unknown = np.isnan(values) | (len(self.sorted) == 0)
        low, high = np.searchsorted(self.sorted, values), np.searchsorted(self.sorted, values, side="right")
        ranks = np.where(high > low, (low + high + 1) / 2, low) / (len(self.sorted) + 1)
        return np.where(unknown, self.neutral if unknown.any() else 0.5, ranks).astype(np.float32)

    @property
    def neutral(self) -> float:
        """The percentile whose exceedance is the mean of the calibration part's own, so that what is not known shifts no mean: about
        1 - 1 / e where hardly any values are equal."""
        counts = np.unique(self.sorted, return_counts=True)[1]
        if not len(counts):
            return float(-np.expm1(-1.0))
        ranks = (np.cumsum(counts) - (counts - 1) / 2) / (len(self.sorted) + 1)
        return float(-np.expm1(np.average(np.log1p(-ranks), weights=counts)))


def exceedance(percentile: NDArray[np.float32]) -> NDArray[np.float32]:
    """-log(1 - percentile): standard exponential under the reference, large for what hardly ever occurs there."""
    return -np.log1p(-percentile)
