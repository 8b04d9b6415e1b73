"""Traffic whose neighbours depend on each other: how long, how much, and what that does to the null law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from detectors.law import Law
from detectors.windows import mean_lengths

if TYPE_CHECKING:
    from detectors.calibration import NullWorld

_LEAST_BLOCKS = 20
_BLOCK = 10
"""Lengths of the dependence in a block."""
_DEPENDS = 1.5
"""Long-run over a row's own variance from which rows are not taken for independent."""
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Dependence:
    """How the rows depend on those before them, in each of M channels: norms, then scalars."""

    autocovariance: NDArray[np.float64]
    """(M, lags + 1) mean inner products, 0 beyond the lag where a channel's sink into noise."""
    long_run: NDArray[np.float64]
    """(M,) their sum over all lags, earlier and later."""
    block: int
    """Rows in a block of a resampled timeline; 1 when neighbours are independent."""
    measured: bool = True
    """False when the dependence outlasts the longest lag that so many rows can tell of, an eighth of them."""

    @classmethod
    def none(cls, channels: int) -> Self:
        """Independent rows."""
        return cls(np.ones((channels, 1)), np.ones(channels), 1)

    @classmethod
    def measure(cls, rows: NDArray[np.float32], weights: NDArray[np.float32]) -> Self:
        """From (n, D + S) centred rows in time order, features and scalars, and the (G, D) weights of the norms.

        References
        ----------
        Politis and White, "Automatic Block-Length Selection for the Dependent Bootstrap", Econometric Reviews 2004 (the lag
        beyond which correlations are noise).
        """
        n, lags = len(rows), len(rows) // 8
        channels = block_diag(weights, np.diag(1 / np.maximum(rows[:, weights.shape[1] :].var(0), _LEAST_VARIANCE)))
        pairs = n - np.arange(lags + 1)
        g = np.stack([np.fft.irfft(power)[: lags + 1] for power in _power(rows, channels)]) / pairs
        noise = np.sqrt(np.einsum("mi,ij,mj->m", channels, np.square(rows.T @ rows / n), channels) / n)  # (tr Σ² / n)^½, if independent
        quiet = g[:, 1:] < 2 * noise[:, None]
        last = np.where(quiet.any(1), np.minimum(2 * (quiet.argmax(1) + 1), lags), lags)
        g[np.arange(lags + 1) > last[:, None]] = 0.0
        long_run = g[:, 0]
        for _ in range(6):  # centring by the sample mean took long_run / n from each lag
            long_run = 2 * g.sum(1) - g[:, 0] + (2 * last + 1) * long_run / n
        g += np.where(np.arange(lags + 1) <= last[:, None], long_run[:, None] / n, 0.0)
        depends = long_run >= _DEPENDS * g[:, 0]
        if not depends.any():
            return cls.none(len(channels))
        longest = int(last[depends].max())
        block = min(n // _LEAST_BLOCKS, _BLOCK * longest)
        return cls(g[:, : longest + 1], long_run, block, bool(quiet[depends].any(1).all()))

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """All that `from_arrays` needs."""
        head = np.array([self.block, self.measured], np.int64)
        return {"autocovariance": self.autocovariance, "long_run": self.long_run, "head": head}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Restores what `to_arrays` gave."""
        block, measured = (int(v) for v in np.asarray(arrays["head"], np.int64))
        return cls(np.asarray(arrays["autocovariance"], np.float64), np.asarray(arrays["long_run"], np.float64), block, bool(measured))

    @property
    def whitened(self) -> float:
        """How many dependent rows are worth one independent row, in the whitened norm."""
        return max(float(self.long_run[0] / self.autocovariance[0, 0]), 1.0)

    @property
    def inflation(self) -> float:
        """The same in the channel where it is most, which is what limits the run length."""
        return max(float((self.long_run / self.autocovariance[:, 0]).max()), 1.0)

    def expected(self, n: float, reference: int) -> NDArray[np.float64]:
        """(M,) mean square of a window of n rows over a row's own, scaled as the scan scales it, against a mean of `reference` rows."""
        g = self.autocovariance
        lag = np.arange(1, min(int(n), g.shape[1]))
        own = g[:, 0] + 2 * g[:, lag] @ (1 - lag / n)
        return np.asarray(np.maximum((own + n / reference * self.long_run) / (1 + n / reference), 0.1 * g[:, 0]) / g[:, 0])

    def correct(self, law: Law, world: NullWorld) -> Law:
        """Undoes what cutting the timeline into blocks does to each window's law: the mean from the rows' own autocovariance, the
        spread freed of the finite number of blocks."""
        if self.block == 1:
            return law
        norms = len(world.weights)
        mean, deviation = law.mean.copy(), law.deviation.copy()
        spread = np.array([self._block_spread(world.rows[:, : world.weights.shape[1]] * np.sqrt(w)) for w in world.weights])
        rows = (np.square(world.rows[:, : world.weights.shape[1]]) @ world.weights.T).mean(0, dtype=np.float64)
        for k, n in enumerate(mean_lengths() * world.pane):
            expected = self.expected(n, world.reference[0])
            share = max(1.0, n / self.block)
            ratio = rows * expected[:norms] / np.maximum(law.mean[k, :norms], 1e-12)
            mean[k, :norms] *= ratio
            deviation[k, :norms] *= ratio * np.sqrt(spread * (1 - 1 / share) + 1 / share)
            deviation[k, norms:] = np.sqrt(expected[norms:])
        return Law(mean, deviation, law.skewness)

    def _block_spread(self, rows: NDArray[np.float32]) -> float:
        """Unbiased over plug-in estimate of tr Σ² of block sums."""
        count = len(rows) // self.block
        sums = rows[: count * self.block].reshape(count, self.block, -1).sum(1, dtype=np.float64)
        gram = sums @ sums.T
        plug_in = float((gram**2).sum()) / count**2
        unbiased = float((gram**2).sum() - (np.diag(gram) ** 2).sum()) / (count * (count - 1))
        return min(max(unbiased / plug_in, 0.1), 1.0)


def _power(rows: NDArray[np.float32], channels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M, frequencies) power of the rows, padded so that lags do not wrap around."""
    size = 1 << int(np.ceil(np.log2(2 * len(rows))))
    power = np.zeros((len(channels), size // 2 + 1))
    for part in np.array_split(np.arange(rows.shape[1]), 16):
        power += channels[:, part] @ np.square(np.abs(np.fft.rfft(rows[:, part], size, axis=0))).T
    return power
