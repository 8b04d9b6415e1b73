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
        """Of the calibration part's values, in any order."""
        return cls(np.sort(values))

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Share of the calibration part below each value, 0 to n / (n + 1); a half for what is not known (NaN).

        Examples
        --------
        >>> Percentiles.of(np.array([1, 2, 3], np.float32))(np.array([0, 2, 2.5, 9], np.float32)).tolist()
        [0.0, 0.5, 0.5, 0.75]
        """
        low, high = np.searchsorted(self.sorted, values), np.searchsorted(self.sorted, values, side="right")
        rank = np.where(high > low, (low + high + 1) / 2, low)
        return np.where(np.isnan(values), 0.5, rank / (len(self.sorted) + 1)).astype(np.float32)


def exceedance(percentile: NDArray[np.float32]) -> NDArray[np.float32]:
    """-log(1 - percentile): standard exponential under the reference, large for what hardly ever occurs there."""
    return -np.log1p(-percentile)
