"""Many independent trials on every core, and the run length that they measure."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Progress

J = TypeVar("J")
T = TypeVar("T")

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled: NDArray[np.float64]) -> Self:
        """Percentiles of the resampled values, those left out that no stream was drawn for."""
        known = resampled[np.isfinite(resampled)]
        low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
        return cls(value, float(low), float(high))


def spread(trial: Callable[[J], T], jobs: Sequence[J], progress: Progress, *, unit: str) -> Sequence[T]:
    """One trial per job, on every core, in the order of the jobs; the results do not depend on how many cores there are.

    unit : what a job is called in the progress.
    """
    found: list[T] = []
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        for result in pool.map(trial, jobs):
            found.append(result)
            progress(f"{len(found)} of {len(jobs)} {unit}")
    return found


def run_length(
    samples: Sequence[float] | NDArray[np.float64],
    alarms: Sequence[int] | NDArray[np.int64],
    asked: Sequence[float] | float,
    *,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Samples ÷ alarms over what was asked; alarms of one stream share a reference, so the interval resamples streams. Without an
    alarm half a one is taken."""
    expected, counted = np.asarray(samples, np.float64) / np.asarray(asked, np.float64), np.asarray(alarms, np.float64)
    drawn = np.random.default_rng(0).integers(0, len(counted), (resamples, len(counted)))
    ratios = expected[drawn].sum(1) / np.maximum(counted[drawn].sum(1), 0.5)
    return Estimate.of(float(expected.sum() / max(counted.sum(), 0.5)), ratios)
