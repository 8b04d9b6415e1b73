"""What the scan keeps of a window: one row of sums, and where each part of it stands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.effects import WindowMeans
from detectors.model import ScanModel, Slice
from detectors.panes import Summary


class Leading(NamedTuple):
    """Means of one window: features (D,) in the spectrum's basis and scalars (S,), less what was expected; samples; time basis (P,)."""

    features: NDArray[np.float64]
    scalars: NDArray[np.float64]
    samples: float
    basis: NDArray[np.float64]


class Rows:
    """Packs panes into rows (L,) that add up over a window, and reads windows from their sums."""

    def __init__(self, model: ScanModel, slice: Slice) -> None:
        self._model, self._profile = model, slice.profile
        empty = model.summarizer.empty()
        counts = map(len, (empty.sums, empty.scalars, empty.clusters, empty.novelty))
        self._ends = np.cumsum([*counts, 1, len(model.channels), slice.profile.clock.size, len(empty.accuracy)])

    @property
    def length(self) -> int:
        """L"""
        return int(self._ends[-1])

    def pack(self, summary: Summary, timed: NDArray[np.float64]) -> NDArray[np.float32]:
        """A pane's sums in the spectrum's basis around what was expected then, its counts, its squared sums for the spread, its time
        basis (P,) summed, and what it says of the model's accuracy."""
        expected, d = timed @ self._profile.coefficients, self._ends[0]
        features = summary.sums.astype(np.float32) @ self._model.spectrum.basis - expected[:d]
        scalars = summary.scalars - expected[d:]
        spread = np.concatenate([self._model.spectrum.weights @ np.square(features), np.square(scalars)]) / summary.count
        parts = (features, scalars, summary.clusters, summary.novelty, [summary.count], spread, timed, summary.accuracy)
        return np.concatenate(parts, dtype=np.float32, casting="unsafe")

    def means(self, rows: NDArray[np.float32], panes: NDArray[np.int64]) -> WindowMeans:
        """Of (K, L) window sums over (K,) panes, shortest window first."""
        e = self._ends
        n = rows[:, e[3]].astype(np.float64)
        return WindowMeans(
            scales=slice(0, len(rows)),
            features=np.asarray(rows[:, : e[0]] / n[:, None], np.float32),
            scalars=rows[:, e[0] : e[1]] / n[:, None],
            samples=n,
            panes=panes,
            scatter=rows[:, e[4] : e[5]].astype(np.float64),
            error=self._profile.unknown(rows[:, e[5] : e[6]] / n[:, None]).T,
        )

    def summary(self, row: NDArray[np.float32]) -> Summary:
        """A window's counts and sums; those of its features are in the spectrum's basis."""
        sums, scalars, clusters, novelty, count, _, _, accuracy = np.split(row.astype(np.float64), self._ends[:-1])
        return Summary(int(count[0]), sums, scalars, np.rint(clusters).astype(np.int64), np.rint(novelty).astype(np.int64), accuracy)

    def leading(self, row: NDArray[np.float32]) -> Leading:
        """A window's means, with how many samples and when."""
        features, scalars, _, _, count, _, basis, _ = np.split(row.astype(np.float64), self._ends[:-1])
        samples = float(count[0])
        return Leading(features / samples, scalars / samples, samples, basis / samples)
