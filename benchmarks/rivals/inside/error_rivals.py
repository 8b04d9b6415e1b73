"""river's detectors of an error rate, which learn it from the reference's labels and then follow those that come."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from river.base import DriftDetector
from river.drift import ADWIN, PageHinkley
from river.drift.binary import DDM

from .serving import Fit, Reference, Rows

_DELTAS = np.logspace(0.5, -5, 34)
"""Levels of ADWIN: it shows no statistic, so one detector per level tells at which of them it would have spoken."""


class OnErrors:
    """Detectors of wrong answers, warmed with the reference's at the beginning of each stream, and what they say together."""

    step = 1
    state_bytes = 64

    def __init__(
        self, reference: Reference, begin: Callable[[], list[DriftDetector]], tell: Callable[[list[DriftDetector]], float]
    ) -> None:
        self._known, self._begin, self._tell = reference.rows[:, 0].astype(int).tolist(), begin, tell
        self._detectors: list[DriftDetector] = []

    def restart(self) -> None:
        self._detectors = self._begin()
        for wrong in self._known:
            for detector in self._detectors:
                detector.update(wrong)

    def score(self, rows: Rows) -> tuple[float, bool]:
        wrong = int(rows[0, 0])
        for detector in self._detectors:
            detector.update(wrong)
        return self._tell(self._detectors), False


def adwin(reference: Reference) -> OnErrors:
    """The statistic is minus the logarithm of the smallest level that speaks of an increase."""
    before = float(reference.rows.mean())

    def tell(detectors: list[DriftDetector]) -> float:
        pairs = zip(_DELTAS.tolist(), detectors, strict=True)
        spoken = [delta for delta, detector in pairs if detector.drift_detected and detector.estimation > before]
        return float(-np.log10(min(spoken))) if spoken else -2.0

    return OnErrors(reference, lambda: [ADWIN(delta=delta, clock=1) for delta in _DELTAS.tolist()], tell)


def page_hinkley(reference: Reference, delta: float = 0.005) -> OnErrors:
    """The statistic is the sum that it holds against its threshold."""

    def tell(detectors: list[DriftDetector]) -> float:
        return float(detectors[0]._sum_increase - detectors[0]._min_increase)

    return OnErrors(reference, lambda: [PageHinkley(threshold=float("inf"), delta=delta, mode="up")], tell)


def page_hinkley_coarse(reference: Reference) -> OnErrors:
    """The same, deaf to increases below .025: faster on those above."""
    return page_hinkley(reference, 0.025)


def ddm(reference: Reference) -> OnErrors:
    """The statistic is how far the rate lies above its least, in standard errors of then. Half of the reference warms it: with its own 30
    labels a lucky beginning without errors speaks for ever."""
    never = float("inf")

    def tell(detectors: list[DriftDetector]) -> float:
        test = detectors[0]
        rate = test._p.get()
        return float((rate + np.sqrt(rate * (1 - rate) / test._p.n) - test._p_min) / max(test._s_min, 1e-9))

    warm = len(reference.rows) // 2
    return OnErrors(reference, lambda: [DDM(warm_start=warm, warning_threshold=never, drift_threshold=never)], tell)


FITS: Mapping[str, Fit] = {"PageHinkley": page_hinkley, "PageHinkley .025": page_hinkley_coarse, "DDM": ddm, "ADWIN": adwin}
