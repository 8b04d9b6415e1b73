"""What the scan keeps of a window: one row of sums, and where each part of it stands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.effects import WindowMeans
from detectors.model import ScanModel, Slice
from detectors.panes import Summary
from detectors.windows import SCALES, Windows


class Leading(NamedTuple):
    """Means of one window: features (D,) in the spectrum's basis and scalars (S,), less what was expected; samples; time basis (P,)."""

    features: NDArray[np.float64]
    scalars: NDArray[np.float64]
    samples: float
    basis: NDArray[np.float64]


class Row(NamedTuple):
    """A pane's sums (L,), and what is summed without rounding (E,): its count and its time basis."""

    sums: NDArray[np.float32]
    exact: NDArray[np.float64]


class Rows:
    """Packs panes into rows that add up over a window, and reads windows from their sums."""

    def __init__(self, model: ScanModel, slice: Slice) -> None:
        self._model, self._profile = model, slice.profile
        empty = model.summarizer.empty()
        counts = map(len, (empty.sums, empty.scalars, empty.clusters, empty.novelty))
        self._ends = np.cumsum([*counts, len(model.channels), len(empty.accuracy)])

    @property
    def length(self) -> int:
        """L"""
        return int(self._ends[-1])

    @property
    def exact(self) -> int:
        """E"""
        return 1 + self._profile.clock.size

    def pack(self, summary: Summary, timed: NDArray[np.float64]) -> Row:
        """A pane's sums in the spectrum's basis around what was expected then, its histograms, its squared sums for the spread and what
        it says of the model's accuracy; its count and its time basis (P,) summed."""
        expected, d = timed @ self._profile.coefficients, self._ends[0]
        features = summary.sums.astype(np.float32) @ self._model.spectrum.basis - expected[:d]
        scalars = summary.scalars - expected[d:]
        spread = np.concatenate([self._model.spectrum.weights @ np.square(features), np.square(scalars)]) / summary.count
        parts = (features, scalars, summary.clusters, summary.novelty, spread, summary.accuracy)
        return Row(np.concatenate(parts, dtype=np.float32, casting="unsafe"), np.array([summary.count, *timed]))

    def means(self, windows: Windows) -> WindowMeans:
        """Of the windows that exist, shortest first."""
        e, sums, panes = self._ends, windows.latest, windows.lengths()
        n, features = windows.exact[:, 0].copy(), (sums[:, : self._ends[0]] / windows.exact[:, :1]).astype(np.float32)
        return WindowMeans(
            scales=self._scales(n),
            pane_scales=self._scales(n / panes),
            features=features,
            scalars=sums[:, e[0] : e[1]] / n[:, None],
            samples=n,
            panes=panes,
            scatter=sums[:, e[3] : e[4]].astype(np.float64),
            error=self._profile.unknown(windows.exact[:, 1:] / n[:, None]).T,
        )

    def summary(self, windows: Windows, k: int) -> Summary:
        """A window's counts and sums; those of its features are in the spectrum's basis."""
        sums, scalars, clusters, novelty, _, accuracy = np.split(windows.latest[k].astype(np.float64), self._ends[:-1])
        count = int(windows.exact[k, 0])
        return Summary(count, sums, scalars, np.rint(clusters).astype(np.int64), np.rint(novelty).astype(np.int64), accuracy)

    def novelty(self, windows: Windows, k: int) -> NDArray[np.int64]:
        """A window's histogram of novelty."""
        return np.rint(windows.latest[k, self._ends[2] : self._ends[3]]).astype(np.int64)

    def leading(self, windows: Windows, k: int) -> Leading:
        """A window's means, with how many samples and when."""
        features, scalars, *_ = np.split(windows.latest[k].astype(np.float64), self._ends[:2])
        samples, basis = float(windows.exact[k, 0]), windows.exact[k, 1:]
        return Leading(features / samples, scalars / samples, samples, basis / samples)

    def _scales(self, samples: NDArray[np.float64]) -> NDArray[np.int64]:
        """Rows of the law that speaks of so many samples, however few summaries brought them: it was learned on panes of one length."""
        return np.clip(np.floor(np.log2(samples / self._model.pane)), 0, SCALES - 1).astype(np.int64)
