"""The null law of the scan: streams resampled from the calibration part, freed of what a finite reference adds to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.law import Law
from detectors.spectrum import Moments
from detectors.thresholds import ThresholdCurve
from detectors.windows import SCALES, mean_lengths

Progress = Callable[[float], None]
"""Called with the share done, 0 to 1."""

_PANES, _STREAMS = 1500, 80
_RUNS = 8
"""Rows are drawn in runs of an eighth of the calibration part."""

_CONSTANT = 1e-6
"""A scalar that varies by less than this is constant."""

_LIMIT_LAW = 1024
"""Samples from which a window's law is the weighted chi-square of its limit."""

LEAST_SLICE_WINDOW = 64
"""Samples from which a window's law is known from the moments of a slice alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What decides: the law of each window length and channel, and the threshold curve."""

    law: Law
    curve: ThresholdCurve
    slice_curve: ThresholdCurve
    """Of a scan that weighs no windows below `LEAST_SLICE_WINDOW`: fewer chances of a false alarm, so a lower threshold."""
    moments: Moments
    scalar_deviation: NDArray[np.float64]
    rows: int
    """Rows behind the reference mean."""
    scalar_rows: int
    """Rows behind the scalar channels' means."""
    block: int
    supported: float
    """Longest run length that this many rows can hold to."""

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """All that `from_arrays` needs."""
        return {
            "law": np.stack([self.law.mean, self.law.deviation, self.law.skewness]),
            "curve": self.curve.to_array(),
            "slice_curve": self.slice_curve.to_array(),
            "moments": np.stack([self.moments.t1, self.moments.t2, self.moments.t3]),
            "scalars": self.scalar_deviation,
            "rows": np.array([self.rows, self.scalar_rows, self.block, self.supported], np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Restores what `to_arrays` gave."""
        rows, scalar_rows, block, supported = (float(v) for v in np.asarray(arrays["rows"], np.float64))
        return cls(
            Law(*np.asarray(arrays["law"], np.float64)),
            ThresholdCurve(*np.asarray(arrays["curve"], np.float64)),
            ThresholdCurve(*np.asarray(arrays["slice_curve"], np.float64)),
            Moments(*np.asarray(arrays["moments"], np.float64)),
            np.asarray(arrays["scalars"], np.float64),
            int(rows),
            int(scalar_rows),
            int(block),
            supported,
        )


@dataclass(frozen=True, slots=True, eq=False)
class NullWorld:
    """Streams drawn from the calibration rows, each against its own redrawn reference mean.

    rows : (n, D + S) float32, features in the spectrum's basis and scalars, freed of what the calibration part's own profile explains.
    """

    rows: NDArray[np.float32]
    weights: NDArray[np.float32]
    """(G, D)"""
    deviation: NDArray[np.float64]
    """(S,) of the scalars."""
    reference: tuple[int, int]
    """Rows behind the reference mean of the features and of the scalars."""
    pane: int
    block: int

    @classmethod
    def of(cls, rows: NDArray[np.float32], *, weights: NDArray[np.float32], total: int, pane: int, block: int) -> Self:
        """From the calibration part's rows (n, D + S); `total` rows stand behind the mean feature."""
        own = rows[:, weights.shape[1] :].std(0, dtype=np.float64)
        return cls(rows, weights, np.where(own > _CONSTANT, own, 1.0), (total, len(rows)), pane, block)

    def statistics(self, rng: np.random.Generator, panes: int) -> NDArray[np.float32]:
        """(panes, K, M): every channel's statistic for every window of one null stream; NaN before a window exists."""
        out = np.full((panes, SCALES, len(self.weights) + len(self.deviation)), np.nan, np.float32)
        total = np.zeros((panes + 1, self.rows.shape[1]), np.float32)
        np.cumsum(self._pane_sums(rng, panes), axis=0, out=total[1:])
        shift = self._reference_error(rng)
        for k in range(min(SCALES, int(panes).bit_length())):
            t = np.arange(2**k, panes + 1)
            start = (t // 2**k - 1) * 2**k
            n = ((t - start) * self.pane).astype(np.float32)
            difference = total[2**k :] - total[start]
            difference /= n[:, None] * np.sqrt(self._kept_variance(start * self.pane, t * self.pane))[:, None]
            difference -= shift
            out[2**k - 1 :, k] = self._channels(difference, n)
        return out

    def _channels(self, difference: NDArray[np.float32], n: NDArray[np.float32]) -> NDArray[np.float32]:
        width = self.weights.shape[1]
        scalars = difference[:, width:] / self.deviation.astype(np.float32)
        quadratic = np.square(difference[:, :width]) @ self.weights.T
        scale = [n / (1 + n / rows) for rows in self.reference]
        return np.hstack([quadratic * scale[0][:, None], scalars * np.sqrt(scale[1])[:, None]])

    def _pane_sums(self, rng: np.random.Generator, panes: int) -> NDArray[np.float32]:
        index = self._drawn(rng, panes * self.pane).reshape(panes, self.pane)
        return np.concatenate([self.rows[part].sum(1) for part in np.array_split(index, max(1, panes // 128))])

    def _drawn(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Rows of a null stream: blocks of neighbours where they depend on each other; else runs without repetition, because a row
        that comes twice in a short window is an alarm that fresh traffic would not raise."""
        rows, length = len(self.rows), self.block if self.block > 1 else self.run
        draws = range(-(-count // length))
        if self.block > 1:
            starts = rng.integers(0, rows - length + 1, len(draws))
            return np.asarray((starts[:, None] + np.arange(length)).ravel()[:count])
        return np.concatenate([rng.choice(rows, length, replace=False) for _ in draws])[:count]

    @property
    def run(self) -> int:
        """Rows drawn without repetition."""
        return max(len(self.rows) // _RUNS, 1)

    def _kept_variance(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float32]:
        """Share of a window sum's variance that drawing without repetition leaves: parts of n rows of a run keep 1 - n / rows."""
        if self.block > 1:
            return np.ones(len(start), np.float32)
        run, rows = self.run, len(self.rows)
        whole = np.maximum(end // run - -(-start // run), 0)
        inside = start // run == end // run
        head = np.where(inside, end - start, -start % run)
        tail = np.where(inside, 0, end % run)
        parts = head * (1 - head / rows) + tail * (1 - tail / rows) + whole * run * (1 - run / rows)
        return np.asarray(parts / (end - start), np.float32)

    def repetition(self) -> NDArray[np.float64]:
        """(K,) share of the pairs of a window that were drawn independently, so that a row may have met itself."""
        ratio = mean_lengths() * self.pane / self.run
        return np.where(ratio <= 1, ratio / 3, 1 - 1 / ratio + 1 / (3 * ratio**2))

    def _reference_error(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """A Gaussian draw of the reference mean's error, with the blocks' own covariance."""
        blocks = len(self.rows) // self.block
        sums = self.rows[: blocks * self.block].reshape(blocks, self.block, -1).sum(1) if self.block > 1 else self.rows
        draw = rng.standard_normal(blocks, np.float32) @ sums / (blocks * self.block) ** 0.5
        width = self.weights.shape[1]
        return np.concatenate([draw[:width] / self.reference[0] ** 0.5, draw[width:] / self.reference[1] ** 0.5]).astype(np.float32)

    def simulate(self, rng: np.random.Generator, limit: Moments, progress: Progress) -> tuple[Law, tuple[ThresholdCurve, ThresholdCurve]]:
        """The law of each window length in this world, and the threshold curves of the largest surprise under it: of all windows, and
        of those that slices weigh.

        limit : the world's own (plug-in) traces, which give the law of long windows of independent rows exactly.
        """
        streams = []
        for done in range(_STREAMS):
            streams.append(self.statistics(rng, _PANES))
            progress(0.9 * (done + 1) / _STREAMS)
        law = self._law(streams)
        if self.block == 1:
            law = self._with_limit(law, limit)
        peaks = np.stack([law.peaks(stream) for stream in streams])
        progress(1.0)
        longer = np.arange(SCALES) >= math.log2(LEAST_SLICE_WINDOW / self.pane)
        return law, (ThresholdCurve.simulate(peaks.max(2), self.pane), ThresholdCurve.simulate(peaks[..., longer].max(2), self.pane))

    def _law(self, streams: list[NDArray[np.float32]]) -> Law:
        laws: list[Law] = []
        for k in range(SCALES):
            first = min(2**k, _PANES) - 1
            values = np.concatenate([s[first:, k] for s in streams]).astype(np.float64)
            laws.append(Law.of(values.T) if 2 ** (k + 2) <= _PANES else laws[-1])
        mean, deviation, skewness = (np.stack([getattr(law, name) for law in laws]) for name in ("mean", "deviation", "skewness"))
        return Law(mean, deviation, skewness)

    def _with_limit(self, law: Law, limit: Moments) -> Law:
        """Long windows are a weighted chi-square (norms) and nearly normal (scalars, whose skewness falls with the root of their length);
        their simulated moments would only add noise."""
        long = 2 ** np.arange(SCALES) * self.pane >= _LIMIT_LAW
        n = mean_lengths()[long, None] * self.pane
        skewed = self._scalar_skewness() / np.sqrt(n) / (1 + n / self.reference[1]) ** 1.5
        scalars = len(self.deviation)
        mean, deviation, skewness = law.mean.copy(), law.deviation.copy(), law.skewness.copy()
        mean[long] = np.concatenate([limit.t1, np.zeros(scalars)])
        deviation[long] = np.concatenate([np.sqrt(2 * limit.t2), np.ones(scalars)])
        skewness[long] = np.hstack([np.broadcast_to(limit.skewness, (long.sum(), len(limit.skewness))), skewed])
        return Law(mean, deviation, skewness)

    def _scalar_skewness(self) -> NDArray[np.float64]:
        """(S,) of a row."""
        return np.asarray(((self.rows[:, self.weights.shape[1] :] / self.deviation) ** 3).mean(0), np.float64)
