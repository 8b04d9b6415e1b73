"""Traffic whose neighbours depend on each other: how long, how much, and what that does to the null law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from detectors.law import Law

if TYPE_CHECKING:
    from detectors.calibration import NullWorld

_LEAST_BLOCKS = 20
_BLOCK = 10
"""Lengths of the dependence in a block."""


@dataclass(frozen=True, slots=True, eq=False)
class Dependence:
    """Autocovariance of the rows in the whitened norm: inner products (lags + 1,), the lag where they sink into noise, the
    long-run sum, and the block length that resampling needs (1 when neighbours are independent)."""

    autocovariance: NDArray[np.float64]
    last: int
    long_run: float
    block: int
    measured: bool = True
    """False when the dependence outlasts the longest lag that so many rows can tell of, an eighth of them."""

    @classmethod
    def none(cls) -> Self:
        """Independent rows."""
        return cls(np.ones(1), 0, 1.0, 1)

    @classmethod
    def measure(cls, rows: NDArray[np.float32]) -> Self:
        """From (n, D) whitened, centred rows in time order.

        References
        ----------
        Politis and White, "Automatic Block-Length Selection for the Dependent Bootstrap", Econometric Reviews 2004 (the lag
        beyond which correlations are noise).
        """
        n = len(rows)
        lags, size = n // 8, 1 << int(np.ceil(np.log2(2 * n)))
        power = np.zeros(size // 2 + 1)
        for part in np.array_split(np.arange(rows.shape[1]), 16):
            power += (np.abs(np.fft.rfft(rows[:, part], size, axis=0)) ** 2).sum(1)
        g = np.fft.irfft(power, size)[: lags + 1] / (n - np.arange(lags + 1))
        noise = float(np.linalg.norm(rows.T @ rows)) / n**1.5  # of an inner product's mean over n independent pairs: (tr Σ² / n)^½
        quiet = np.flatnonzero(g[1:] < 2 * noise)
        last = min(lags, 2 * (int(quiet[0]) + 1 if len(quiet) else lags))
        long_run = float(g[0])
        for _ in range(6):  # centring by the sample mean took long_run / n from each lag
            long_run = float(g[0] + long_run / n + 2 * (g[1 : last + 1] + long_run / n).sum())
        block = 1 if long_run < 1.5 * g[0] else min(n // _LEAST_BLOCKS, _BLOCK * last)
        return cls(g[: last + 1] + long_run / n, last, long_run, block, block == 1 or bool(len(quiet)))

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """All that `from_arrays` needs."""
        head = np.array([self.last, self.long_run, self.block, self.measured], np.float64)
        return {"autocovariance": self.autocovariance, "head": head}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Restores what `to_arrays` gave."""
        last, long_run, block, measured = (float(v) for v in np.asarray(arrays["head"], np.float64))
        return cls(np.asarray(arrays["autocovariance"], np.float64), int(last), long_run, int(block), bool(measured))

    @property
    def inflation(self) -> float:
        """How many dependent rows are worth one independent row."""
        return max(self.long_run / float(self.autocovariance[0]), 1.0) if self.block > 1 else 1.0

    def expected(self, n: float, reference: int) -> float:
        """Mean squared norm of a window of n rows, scaled as the scan scales it, against a mean of `reference` rows."""
        g = self.autocovariance
        lag = np.arange(1, min(int(n), self.last + 1))
        own = float(g[0] + 2 * ((1 - lag / n) * g[lag]).sum())
        return (own + n / reference * self.long_run) / (1 + n / reference)

    def correct(self, law: Law, world: NullWorld) -> Law:
        """Undoes what cutting the timeline into blocks does to each window's law: the mean from the rows' own autocovariance, the
        spread freed of the finite number of blocks."""
        if self.block == 1:
            return law
        norms = len(world.weights)
        mean, deviation = law.mean.copy(), law.deviation.copy()
        spread = self._block_spread(world.rows[:, : world.weights.shape[1]] * np.sqrt(world.weights[0]))
        for k in range(len(mean)):
            n = 1.5 * 2**k * world.pane
            ratio = self.expected(n, world.reference[0]) / max(law.mean[k, 0], 1e-12)
            share = max(1.0, n / self.block)
            mean[k, :norms] *= ratio
            deviation[k, :norms] *= ratio * np.sqrt(spread * (1 - 1 / share) + 1 / share)
            deviation[k, norms:] *= np.sqrt(ratio)
        return Law(mean, deviation, law.skewness)

    def _block_spread(self, rows: NDArray[np.float32]) -> float:
        """Unbiased over plug-in estimate of tr Σ² of block sums."""
        count = len(rows) // self.block
        sums = rows[: count * self.block].reshape(count, self.block, -1).sum(1, dtype=np.float64)
        gram = sums @ sums.T
        plug_in = float((gram**2).sum()) / count**2
        unbiased = float((gram**2).sum() - (np.diag(gram) ** 2).sum()) / (count * (count - 1))
        return min(max(unbiased / plug_in, 0.1), 1.0)
