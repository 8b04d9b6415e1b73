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

_LEAST_BLOCKS, _LEAST_BATCHES = 20, 10
_BLOCK = 10
"""Lengths of the dependence in a block."""
_DEPENDS = 1.5
"""Long-run over a row's own variance from which rows are not taken for independent."""
_SURE = 4.5
"""Standard errors, if rows were independent, by which their long-run variance must stand out: a few hundred rows, several channels and
several lengths tried are many chances."""
_QUIET = 5
"""Lags in a row that sink into noise where the dependence ends: users who take turns are correlated at their own turns only. Politis
and White's max(5, √log₁₀ n)."""
_GROWS = 1.3
"""From batches of one length to twice that, where the dependence outlasts them."""
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
    """False when the dependence outlasts what so many rows can tell of: lags of an eighth of them, batches of a tenth."""

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
        beyond which correlations are noise). Long-run variances are raised to what batch means show, where that is more.
        """
        n, lags = len(rows), len(rows) // 8
        own = rows[:, weights.shape[1] :].var(0)
        constant = own < _LEAST_VARIANCE
        channels = block_diag(weights, np.diag(np.where(constant, 0.0, 1 / np.maximum(own, _LEAST_VARIANCE))))
        pairs = n - np.arange(lags + 1)
        g = np.stack([np.fft.irfft(power)[: lags + 1] for power in _power(rows, channels)]) / pairs
        g[len(weights) :, 0] += constant  # of variance 1 and independent
        noise = np.sqrt(np.einsum("mi,ij,mj->m", channels, np.square(rows.T @ rows / n), channels) / n)  # (tr Σ² / n)^½, if independent
        last, quiet = _cut(g[:, 1:] <= 2 * noise[:, None])
        length, batched, settled = _batched(rows, channels, noise * np.sqrt(n) / g[:, 0])
        last = np.minimum(np.maximum(last, length), lags)
        within = np.arange(1, lags + 1) <= last[:, None]
        g[:, 1:][~within] = 0.0
        long_run = g[:, 0]
        for _ in range(6):  # centring by the sample mean took long_run / n from each lag
            long_run = 2 * g.sum(1) - g[:, 0] + (2 * last + 1) * long_run / n
        g[:, 0] += long_run / n
        more = np.maximum(batched - long_run, 0.0)
        g[:, 1:] += np.where(within, (long_run / n + more / (2 * last))[:, None], 0.0)
        long_run = long_run + more
        depends = long_run >= g[:, 0] + np.maximum((_DEPENDS - 1) * g[:, 0], _SURE * 2 * np.sqrt(last) * noise) * (length == 0)
        if not depends.any():
            return cls.none(len(channels))
        longest = int(last[depends].max())
        block = min(n // _LEAST_BLOCKS, _BLOCK * longest)
        return cls(g[:, : longest + 1], long_run, block, bool((quiet & settled)[depends].all()))

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
        spread freed of the finite number of blocks. Only for blocks of more than one row."""
        norms = len(world.weights)
        mean, deviation = law.mean.copy(), law.deviation.copy()
        spread = np.array([self._block_spread(world.rows[:, : world.weights.shape[1]] * np.sqrt(w)) for w in world.weights])
        rows = (np.square(world.rows[:, : world.weights.shape[1]]) @ world.weights.T).mean(0, dtype=np.float64)
        for k, n in enumerate(mean_lengths() * world.pane):
            share = max(1.0, n / self.block)
            ratio = rows * self.expected(n, world.reference[0])[:norms] / np.maximum(law.mean[k, :norms], 1e-12)
            mean[k, :norms] *= ratio
            deviation[k, :norms] *= ratio * np.sqrt(spread * (1 - 1 / share) + 1 / share)
            deviation[k, norms:] = np.sqrt(self.expected(n, world.reference[1])[norms:])
        mean[:, norms:] = 0.0
        return Law(mean, deviation, law.skewness)

    def _block_spread(self, rows: NDArray[np.float32]) -> float:
        """Unbiased over plug-in estimate of tr Σ² of block sums."""
        count = len(rows) // self.block
        sums = rows[: count * self.block].reshape(count, self.block, -1).sum(1, dtype=np.float64)
        gram = sums @ sums.T
        plug_in = float((gram**2).sum()) / count**2
        unbiased = float((gram**2).sum() - (np.diag(gram) ** 2).sum()) / (count * (count - 1))
        return min(max(unbiased / plug_in, 0.1), 1.0)


def _cut(quiet: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(M, lags) quiet from lag 1 on → (M,) twice the last lag before enough quiet ones, at least 2; whether there are enough."""
    lags = quiet.shape[1]
    ends = np.asarray(np.lib.stride_tricks.sliding_window_view(quiet, min(_QUIET, lags), axis=1).all(2), np.bool_)
    found = np.asarray(ends.any(1), np.bool_)
    return np.where(found, np.clip(2 * ends.argmax(1), 2, lags), lags).astype(np.int64), found


def _batched(
    rows: NDArray[np.float32], channels: NDArray[np.float64], spread: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """(M,) length of the batches of neighbours whose sums vary most beyond independence, 0 where none do; that long-run variance; False
    where the longest batches still show much more than those of half their length.

    A correlation too weak to stand out at any lag, as of many users who come in turn, still adds up over a batch.

    spread : (M,) (tr Σ²)^½ / tr Σ of a row.

    References
    ----------
    Conway, "Some tactical problems in digital simulation", Management Science 1963 (batch means).
    """
    n = len(rows)
    own = (np.square(rows) @ channels.T.astype(np.float32)).mean(0, dtype=np.float64)
    length, found, settled = np.zeros(len(channels), np.int64), np.zeros(len(channels)), np.ones(len(channels), np.bool_)
    for batch in 2 ** np.arange(2, int(np.log2(n / _LEAST_BATCHES)) + 1):
        count = n // batch
        sums = rows[: count * batch].reshape(count, batch, -1).sum(1, dtype=np.float64)
        variance = (np.square(sums) @ channels.T).mean(0) / (batch * (1 - batch / n))
        stands_out = variance > own * np.maximum(_DEPENDS, 1 + _SURE * np.sqrt(2 / count) * spread)
        larger = stands_out & (variance > found)
        settled = ~stands_out | (variance < _GROWS * found)
        length[larger], found[larger] = batch, variance[larger]
    return length, found, settled


def _power(rows: NDArray[np.float32], channels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M, frequencies) power of the rows, padded so that lags do not wrap around."""
    size = 1 << int(np.ceil(np.log2(2 * len(rows))))
    power = np.zeros((len(channels), size // 2 + 1))
    for part in np.array_split(np.arange(rows.shape[1]), 16):
        power += channels[:, part] @ np.square(np.abs(np.fft.rfft(rows[:, part], size, axis=0))).T
    return power
