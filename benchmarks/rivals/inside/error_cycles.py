"""river's detectors of an error rate as their users run them: silent, or raising an alarm and beginning anew, empty.

A process of its own reads streams from one .npz file and writes thresholds, false alarms and delays to another.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from river.base import DriftDetector
from river.drift import ADWIN, PageHinkley
from river.drift.binary import DDM

_STEPS = 8
"""Halvings of the range of thresholds, after which it is a 256th as wide."""

Begin: TypeAlias = Callable[[float], DriftDetector]

DETECTORS: Mapping[str, tuple[Begin, tuple[float, float]]] = MappingProxyType(
    {
        "PageHinkley": (lambda h: PageHinkley(threshold=h, delta=0.005, mode="up"), (1.0, 60.0)),
        "PageHinkley .025": (lambda h: PageHinkley(threshold=h, delta=0.025, mode="up"), (1.0, 40.0)),
        "DDM": (lambda h: DDM(warm_start=500, warning_threshold=h, drift_threshold=h), (0.5, 12.0)),
        "DDM 100": (lambda h: DDM(warm_start=100, warning_threshold=h, drift_threshold=h), (0.5, 12.0)),
        "ADWIN": (lambda h: ADWIN(delta=10.0**-h, clock=1), (-0.9, 5.0)),
    }
)
"""What begins each with a threshold, and the range in which that is looked for. DDM's own 30 labels of warming up are too few for rare
errors: a lucky beginning without any makes the next error an alarm, whatever the threshold."""


def alarms(detector: DriftDetector, wrong: Sequence[int], *, after: int, first: bool = False) -> list[int]:
    """Labels seen at each alarm beyond label `after`, or at the `first` one alone. All of them begin anew by themselves with the label
    that follows; ADWIN's alarms count where its estimate went up."""
    found, both = list[int](), isinstance(detector, ADWIN)
    for seen, label in enumerate(wrong, 1):
        before = detector.estimation if both else -1.0
        detector.update(label)
        if detector.drift_detected and seen > after and (not both or detector.estimation > before):
            found.append(seen)
            if first:
                break
    return found


def threshold(begin: Begin, between: tuple[float, float], streams: Sequence[Sequence[int]], *, history: int, wanted: int) -> float:
    """The one that comes nearest to as many false alarms as wanted: not all fall with every step of the threshold."""
    (low, high), tried = between, list[tuple[int, float]]()
    for _ in range(_STEPS):
        middle = (low + high) / 2
        found = 0
        for wrong in streams:
            found += len(alarms(begin(middle), wrong, after=history))
            if found > 2 * wanted:
                break
        tried.append((abs(found - wanted), middle))
        low, high = (middle, high) if found > wanted else (low, middle)
    return min(tried)[1]


def measured(rival: str, given: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float64]]:
    """Streams of no change are named `null 0`, `null 1`, …; all others begin with the history too, and change after label `change`."""
    begin, between = DETECTORS[rival]
    streams = {name: values.astype(int).tolist() for name, values in given.items() if values.dtype == np.bool_}
    quiet = [wrong for name, wrong in streams.items() if name.startswith("null ")]
    history, change = int(given["history"]), int(given["change"])
    level = threshold(begin, between, quiet, history=history, wanted=int(given["wanted"]))
    false = float(sum(len(alarms(begin(level), wrong, after=history)) for wrong in quiet))
    out = {"threshold": np.array(level), "false": np.array(false)}
    for name, wrong in streams.items():
        if not name.startswith("null "):
            found = alarms(begin(level), wrong, after=change, first=True)
            out[name] = np.array(found[0] - change if found else np.inf)
    return out


def main(rival: str, source: str, out: str) -> None:
    """One rival on one world."""
    with np.load(source, allow_pickle=False) as arrays:
        given = {name: arrays[name] for name in arrays.files}
    np.savez(out, allow_pickle=False, **measured(rival, given))


if __name__ == "__main__":
    main(*sys.argv[1:])
