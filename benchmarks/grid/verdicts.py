"""From paths to figures: thresholds at equal measured run length, delays there, and comparisons with their uncertainty.

Nothing is ever reset. A threshold's run length is the samples until the first crossing, or to the end, over all streams without
drift of a method and set, divided by the streams that cross. A delay is what passes from the change to the first step above the
threshold, at most `CAP`, which a miss counts as however short its stream was. A stream that crosses before the change is left out
of the mean: a delay is that of a detector which is still silent. All intervals resample streams, and every sample of streams sets
its thresholds anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.grid.methods import Path
from benchmarks.grid.paths import Kept
from benchmarks.grid.scenarios import WARM_UP
from benchmarks.trials import Estimate

RUN_LENGTH, CAP = 10_000.0, 5_000.0
RESAMPLES = 2_000
_THRESHOLDS = 600


def first_crossings(path: Path, thresholds: NDArray[np.float64], *, after: int = 0) -> NDArray[np.float64]:
    """(H,) rows seen at the first step beyond row `after` that exceeds each threshold; infinity where none does."""
    beyond = path.rows_seen > after
    highest, rows = np.maximum.accumulate(path.statistic[beyond]), path.rows_seen[beyond]
    return np.append(rows, np.inf)[np.searchsorted(highest, thresholds, side="right")]


def delays(path: Path, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """(H,) capped delay under each threshold; NaN where the path crosses before the change."""
    late = np.minimum(first_crossings(path, thresholds, after=WARM_UP) - WARM_UP, CAP)
    return np.where(first_crossings(path, thresholds) <= WARM_UP, np.nan, late)


class Measured:
    """One method on one set, under every threshold that may become its own."""

    def __init__(self, kept: Mapping[int, Kept]) -> None:
        self.kept = kept
        self.seeds = np.array(sorted(kept))
        streams = [kept[seed].paths["null"] for seed in self.seeds]
        values = np.unique(np.concatenate([path.statistic for path in streams]))
        self.thresholds = values[np.unique(np.linspace(0, len(values) - 1, _THRESHOLDS).astype(np.int64))]
        first = np.stack([first_crossings(path, self.thresholds) for path in streams])
        self._crossed = np.isfinite(first)
        ends = np.array([path.rows_seen[-1] for path in streams], np.float64)
        self._taken = np.minimum(first, ends[:, None])

    @cached_property
    def cells(self) -> dict[str, NDArray[np.float64]]:
        """(S, H) delays of each cell that all streams have."""
        names = [name for name in self.kept[int(self.seeds[0])].paths if name != "null"]
        streams = [self.kept[int(seed)].paths for seed in self.seeds]
        shared = [name for name in names if all(name in stream for stream in streams)]
        return {name: np.stack([delays(stream[name], self.thresholds) for stream in streams]) for name in shared}

    def threshold(self, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        """(B,) which threshold has the run length, streams counted by (B, S) weights: the lowest that reaches it."""
        reached = weights @ self._taken / np.maximum(weights @ self._crossed, 0.5) >= RUN_LENGTH
        reached[:, -1] = True
        return np.asarray(reached.argmax(1))

    @property
    def crossings(self) -> int:
        """Streams without drift that cross the threshold that all of them together give."""
        return int(self._crossed[:, self.threshold(np.ones((1, len(self.seeds))))[0]].sum())

    def missed(self, cell: str) -> int:
        """Streams in which the drift is not found."""
        return int((self._at_threshold(cell) >= CAP).sum())

    def left_out(self, cell: str) -> int:
        """Streams that crossed before the change."""
        return int(np.isnan(self._at_threshold(cell)).sum())

    def _at_threshold(self, cell: str) -> NDArray[np.float64]:
        return self.cells[cell][:, self.threshold(np.ones((1, len(self.seeds))))[0]]

    def means(self, cell: str, weights: NDArray[np.float64], among: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """(B,) mean delay, streams counted by (B, S) weights; `among` some of them, (S,), with the thresholds still those of all."""
        found = self.cells[cell][:, self.threshold(weights)].T
        counted = weights * ~np.isnan(found) * (1.0 if among is None else among)
        with np.errstate(invalid="ignore"):
            return np.asarray((counted * np.nan_to_num(found)).sum(1) / counted.sum(1))


class Streams:
    """The methods on one set, resampled together: row 0 of all that is resampled is the sample itself."""

    def __init__(self, kept: Mapping[str, Mapping[int, Kept]], seed: int) -> None:
        self.methods = {name: Measured(trials) for name, trials in kept.items()}
        count = 1 + max(int(method.seeds.max()) for method in self.methods.values())
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES)
        self._weights = np.vstack([np.ones(count), drawn]).astype(np.float64)

    def means(self, method: str, cell: str, half: int | None = None) -> NDArray[np.float64]:
        """(1 + RESAMPLES,) mean delay; of the streams with even (0) or odd (1) seeds only."""
        measured = self.methods[method]
        among = None if half is None else measured.seeds % 2 == half
        return measured.means(cell, self._weights[:, measured.seeds], among)

    def delay(self, method: str, cell: str) -> Estimate:
        """Mean delay."""
        means = self.means(method, cell)
        return Estimate.of(float(means[0]), means[1:])

    def log_ratios(self, method: str, other: str, cell: str, half: int | None = None) -> NDArray[np.float64]:
        """(1 + RESAMPLES,) logarithm of the first one's mean delay over the other's."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(self.means(method, cell, half) / self.means(other, cell, half)))

    def best(self, among: Iterable[str], cell: str) -> str | None:
        """The method with the smallest mean delay on the streams with even seeds, of those that have odd ones too."""
        ran = [name for name in among if cell in self.methods[name].cells and len(set(self.methods[name].seeds % 2)) == 2]
        means = {name: float(self.means(name, cell, 0)[0]) for name in ran}
        known = {name: mean for name, mean in means.items() if np.isfinite(mean)}
        return min(known, key=known.__getitem__) if known else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A cell's delay over that of the best of the others, which was picked on the other half of the streams."""

    set: str
    cell: str
    rival: str
    ratio: Estimate
    p_value: float
    """That the true ratio is at most the bound."""


def compare(streams: Streams, key: tuple[str, str], ours: str, rivals: Sequence[str], *, bound: float) -> Comparison | None:
    """For `key` (set, cell); None where no rival ran, or too few streams to be compared on."""
    rival = streams.best(rivals, key[1])
    if rival is None:
        return None
    logs = streams.log_ratios(ours, rival, key[1], 1)
    if not np.isfinite(logs[0]):
        return None
    known = logs[1:][np.isfinite(logs[1:])]
    error = float(known.std()) if len(known) else np.nan
    beyond = float(logs[0]) - np.log(bound)
    p_value = float(special.ndtr(-beyond / error)) if error > 0 else float(beyond <= 0)
    return Comparison(*key, rival, Estimate.of(float(np.exp(logs[0])), np.exp(logs[1:])), p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted for testing all of them: the step-down procedure of Holm (1979)."""
    order = np.argsort(p_values)
    scaled = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(p) for p in adjusted]


def geometric_mean(logs: Sequence[NDArray[np.float64]]) -> Estimate:
    """Of ratios given as (1 + RESAMPLES,) logarithms, one per cell."""
    mean = np.exp(np.mean(logs, axis=0))
    return Estimate.of(float(mean[0]), mean[1:])
