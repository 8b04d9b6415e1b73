"""river's detectors of one number, which is each row's distance to the reference's centroid."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from river.base import DriftDetector
from river.drift import ADWIN, KSWIN, PageHinkley

from .serving import Fit, Reference, Rows

_DELTAS = np.logspace(1, -5, 97)
"""Levels of ADWIN: it shows no statistic, so one detector per level tells at which of them it would have spoken."""


class OnCentroid:
    """Detectors of a distance, each begun anew with a stream, and what they say together."""

    step = 1

    def __init__(
        self, reference: Reference, begin: Callable[[], list[DriftDetector]], tell: Callable[[list[DriftDetector]], float]
    ) -> None:
        self._centroid, self._begin, self._tell = reference.rows.mean(0), begin, tell
        self._detectors: list[DriftDetector] = []

    @property
    def state_bytes(self) -> int:
        """Some numbers; KSWIN keeps a hundred of them."""
        return 8 * sum(len(getattr(detector, "window", ())) + 8 for detector in self._detectors)

    def restart(self) -> None:
        self._detectors = self._begin()

    def score(self, rows: Rows) -> tuple[float, bool]:
        distance = float(np.linalg.norm(rows[0] - self._centroid))
        for detector in self._detectors:
            detector.update(distance)
        return self._tell(self._detectors), any(detector.drift_detected for detector in self._detectors)


def adwin(reference: Reference) -> OnCentroid:
    """The statistic is minus the logarithm of the smallest level that speaks."""
    levels = [0.002] if reference.shipped else _DELTAS.tolist()

    def tell(detectors: list[DriftDetector]) -> float:
        spoken = [delta for delta, detector in zip(levels, detectors, strict=True) if detector.drift_detected]
        return float(-np.log10(min(spoken))) if spoken else -2.0

    return OnCentroid(reference, lambda: [ADWIN(delta=delta) for delta in levels], tell)


def page_hinkley(reference: Reference) -> OnCentroid:
    """The statistic is the larger of the two sums that it holds against its threshold."""

    def tell(detectors: list[DriftDetector]) -> float:
        test = detectors[0]
        if test._x_mean.n < test.min_instances:
            return 0.0
        return float(max(test._sum_increase - test._min_increase, test._max_decrease - test._sum_decrease))

    return OnCentroid(reference, lambda: [PageHinkley() if reference.shipped else PageHinkley(threshold=float("inf"))], tell)


def kswin(reference: Reference) -> OnCentroid:
    """The statistic is minus the logarithm of its p-value."""

    def begin() -> list[DriftDetector]:
        return [KSWIN(seed=reference.seed) if reference.shipped else KSWIN(alpha=0.0, seed=reference.seed)]

    def tell(detectors: list[DriftDetector]) -> float:
        test = detectors[0]
        return float(-np.log10(max(test.p_value, 1e-300))) if len(test.window) >= test.window_size else 0.0

    return OnCentroid(reference, begin, tell)


FITS: Mapping[str, Fit] = {"ADWIN": adwin, "PageHinkley": page_hinkley, "KSWIN": kswin}
