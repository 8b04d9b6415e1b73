"""Every detector of the grid as a path: the statistic that it would compare with a threshold, row by row or pane by pane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, signal

from benchmarks.grid.scenarios import Order
from detectors import DriftScan
from detectors.features import RandomFeatures
from detectors.stream import StreamScan

Rows = NDArray[np.float32]

OURS = "DriftScan"
UNORDERED = f"{OURS}, no block calibration"
"""Only where rows depend on their neighbours."""

WEIGHT = 0.02
"""Of the newest row in the moving averages."""

NEWMA_WINDOW = 250
"""Rows; the size that its authors' examples take."""

CONFIGURED = 5_000.0
"""Run length that a user asks for where false alarms are counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """A statistic (t,) float64 after so many rows (t,) int64 of a stream."""

    rows_seen: NDArray[np.int64]
    statistic: NDArray[np.float64]

    def records(self, *restarts: int) -> Path:
        """Only the steps that a first crossing of some threshold can fall on: those above all before them, counted anew for the
        rows beyond each restart; and the last, which says how long the stream was."""
        keep = np.zeros(len(self.statistic), np.bool_)
        for part in np.split(np.arange(len(keep)), np.searchsorted(self.rows_seen, restarts, side="right")):
            highest = np.maximum.accumulate(self.statistic[part])
            keep[part] = np.diff(highest, prepend=-np.inf) > 0
        keep[-1] = True
        return Path(self.rows_seen[keep], self.statistic[keep])


@dataclass(frozen=True, slots=True)
class Shipped:
    """What came of a stream without drift as a user runs the method: it begins anew after each alarm."""

    samples: int
    alarms: int
    run_length: float
    """Configured; 0 where the method knows no such thing."""


class Fitted(Protocol):
    """A detector that knows its reference."""

    @property
    def state_bytes(self) -> int:
        """Of one stream, besides what the reference taught."""

    def paths(self, rows: Rows) -> Mapping[str, Path]:
        """The path of a stream from its start, by variant; "" is the method itself."""

    def shipped(self, rows: Rows) -> Shipped | None:
        """None if the method comes without a threshold."""


class Scan:
    """`DriftScan`; the variants leave out one part each, by taking the maximum over what is left of its table of surprises."""

    def __init__(self, scan: DriftScan) -> None:
        self._scan, self._model = scan, scan.model

    @classmethod
    def fit(cls, reference: Rows, seed: int, order: Order) -> Self:
        """As a user of the library does."""
        return cls(DriftScan.fit(reference, run_length=CONFIGURED, seed=seed, order=order, accept_supported=True))

    @classmethod
    def fit_unordered(cls, reference: Rows, seed: int, _: Order) -> Self:
        """As if rows in order of time did not depend on their neighbours."""
        return cls.fit(reference, seed, "iid")

    @property
    def state_bytes(self) -> int:
        return sum(array.nbytes for array in self._stream.state().values())

    def paths(self, rows: Rows) -> Mapping[str, Path]:
        stream, pane = self._stream, self._model.pane
        described = self._model.summarizer.describe(rows)
        seen = np.arange(pane, len(rows) + 1, pane)
        variants = self._variants()
        found = np.empty((len(variants) + 1, len(seen)))
        for step, end in enumerate(seen):
            evidence = stream.update(self._model.summarizer.summarize(described, slice(end - pane, end)))
            table = stream.surprises
            found[0, step] = evidence.surprise
            for row, (scales, channels) in enumerate(variants.values(), start=1):
                found[row, step] = table[scales, channels].max(initial=0.0)
        return {name: Path(seen, values) for name, values in zip(["", *variants], found, strict=True)}

    def shipped(self, rows: Rows) -> Shipped:
        alarms, taken = 0, 0
        self._scan.reset()
        for start in range(0, len(rows), self._model.pane):
            batch = rows[start : start + self._model.pane]
            taken += len(batch)
            if self._scan.update(batch).alarm:
                alarms += 1
                self._scan.reset()
        return Shipped(taken, alarms, self._scan.run_length)

    @property
    def _stream(self) -> StreamScan:
        return StreamScan(self._model, run_length=CONFIGURED)

    def _variants(self) -> dict[str, tuple[slice, slice]]:
        """Scales and channels that are left; the norms come first among the channels, the unwhitened one last among the norms."""
        norms = len(self._model.spectrum.names)
        plain = self._model.spectrum.names.index("mmd")
        everything, one = slice(None), int(np.log2(256 / self._model.pane))
        return {
            "no whitening": (everything, slice(plain, None)),
            "no novelty channels": (everything, slice(0, norms)),
            "one scale": (slice(one, one + 1), everything),
            "no short scales": (slice(one, None), everything),
            "no long scales": (slice(0, one + 1), everything),
        }


class Averages:
    """Distances of moving averages of (features of) rows: those of two weights from each other, or of one from the reference mean."""

    def __init__(self, features: Callable[[Rows], Rows], mean: Rows, weights: tuple[float, ...]) -> None:
        self._features, self._mean, self._weights = features, mean, weights

    @property
    def state_bytes(self) -> int:
        return len(self._weights) * self._mean.nbytes

    def paths(self, rows: Rows) -> Mapping[str, Path]:
        centred = self._features(rows) - self._mean
        averages = [signal.lfilter([weight], [1.0, weight - 1.0], centred, axis=0) for weight in self._weights]
        difference = averages[0] - averages[1] if len(averages) > 1 else averages[0]
        return {"": _per_row(np.einsum("ij,ij->i", difference, difference))}

    def shipped(self, rows: Rows) -> None:  # noqa: ARG002 - the protocol's; these come without thresholds
        return None


def centroid_ewma(reference: Rows, _seed: int, _order: Order) -> Averages:
    """Squared distance of a moving average of embeddings to the reference's mean."""
    return Averages(lambda rows: rows, reference.mean(0), (WEIGHT,))


def feature_ewma(reference: Rows, seed: int, _order: Order) -> Averages:
    """The same in random features of the Gaussian kernel."""
    features = RandomFeatures.fit(reference, rng=np.random.default_rng(seed))
    return Averages(features, features(reference).mean(0), (WEIGHT,))


def newma(reference: Rows, seed: int, _order: Order) -> Averages:
    """Two moving averages of random features against each other, both begun at the reference's mean.

    References
    ----------
    Keriven, Garreau and Poli, "NEWMA: a new method for scalable model-free online change-point detection", IEEE TSP 2020.
    """
    features = RandomFeatures.fit(reference, rng=np.random.default_rng(seed))
    return Averages(features, features(reference).mean(0), newma_weights(NEWMA_WINDOW))


def newma_weights(window: int) -> tuple[float, float]:
    """Fast and slow weight that differ most clearly on a change `window` rows ago, by the bound of the paper."""

    def slow(fast: float) -> float:
        level = fast * (1 - fast) ** window
        return float(optimize.brentq(lambda w: w * (1 - w) ** window - level, 0.0, 1 / (window + 1)))

    def bound(fast: float) -> float:
        far, near = (1 - slow(fast)) ** window, (1 - fast) ** window
        return float((np.sqrt(fast + slow(fast)) + far**2 - near**2) / (far - near))

    grid = np.geomspace(1.001 / (window + 1), 0.5, 400)
    fast = (grid[np.argmin([bound(w) for w in grid])] + 1 / (window + 1)) / 2
    return float(fast), slow(float(fast))


class DyadicMmd:
    """Squared distance of mean random features of the last 2^j rows and of all before them, over the variance that it would have.

    The paper's statistic is this distance times its rate of decay, the largest over the dyadic grid. It needs no reference; here
    the reference counts as rows that came before, which can only help it.

    References
    ----------
    Kalinke and Gavioli-Akilagun, "Optimal Online Change Detection via Random Fourier Features", NeurIPS 2025.
    """

    def __init__(self, features: RandomFeatures, mean: Rows, rows: int) -> None:
        self._features, self._mean, self._rows = features, mean, rows

    @classmethod
    def fit(cls, reference: Rows, seed: int, _order: Order) -> Self:
        """Learns the mean feature."""
        features = RandomFeatures.fit(reference, rng=np.random.default_rng(seed))
        return cls(features, features(reference).mean(0), len(reference))

    @property
    def state_bytes(self) -> int:
        return 16 * self._mean.nbytes  # a sum for each dyadic length up to 2^15

    def paths(self, rows: Rows) -> Mapping[str, Path]:
        total = np.zeros((len(rows) + 1, len(self._mean)), np.float32)
        np.cumsum(self._features(rows) - self._mean, axis=0, out=total[1:])
        statistic = np.zeros(len(rows))
        for size in 2 ** np.arange(len(rows).bit_length()):
            before = (self._rows + np.arange(len(rows) + 1 - size)).astype(np.float32)
            window = total[size:] - total[:-size]
            apart = window / np.float32(size) - total[:-size] / before[:, None]
            scaled = np.einsum("ij,ij->i", apart, apart) * (size * before / (size + before))
            np.maximum(statistic[size - 1 :], scaled, out=statistic[size - 1 :])
        return {"": _per_row(statistic)}

    def shipped(self, rows: Rows) -> None:  # noqa: ARG002 - the protocol's; its own thresholds are bounds, far too high in practice
        return None


METHODS: Mapping[str, Callable[[Rows, int, Order], Fitted]] = {
    OURS: Scan.fit,
    "centroid EWMA": centroid_ewma,
    "feature EWMA": feature_ewma,
    "NEWMA": newma,
    "online RFF-MMD": DyadicMmd.fit,
    UNORDERED: Scan.fit_unordered,
}
"""How each is fitted, from a reference, a seed and the order that the reference's rows are in."""


def _per_row(statistic: NDArray[np.floating]) -> Path:
    return Path(np.arange(1, len(statistic) + 1), statistic.astype(np.float64))
