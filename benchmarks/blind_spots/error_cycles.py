"""Stationary average delay of the error-rate test beside river's detectors: every one has run, and begun anew after its false alarms.

The criterion is Pollak and Tartakovsky's ("Optimality properties of the Shiryaev-Roberts procedure", Statistica Sinica 2009).
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks.blind_spots.error_streams import REFERENCE, Flags, Trial
from benchmarks.figures import Progress
from benchmarks.grid.verdicts import CAP
from benchmarks.rivals import environments
from benchmarks.trials import Estimate, spread
from detectors.error_rate import ErrorRateTest

RUN_LENGTH, CYCLES = 2_000, 3
"""Labels until a false alarm, and how many times as many pass before the change."""
BEFORE = RUN_LENGTH * CYCLES

OURS, RIVALS = "driftgate", ("PageHinkley", "PageHinkley .025", "DDM", "DDM 100", "ADWIN")
RESAMPLES = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Cycled:
    """A world: delays (trials,) by method and cell, labels until a false alarm by method, and their number behind it."""

    delays: Mapping[str, Mapping[str, NDArray[np.float64]]]
    run_length: Mapping[str, float]
    alarms: int

    def mean(self, method: str, cell: str) -> Estimate:
        """Of the delay; its interval resamples trials."""
        means = self._means(method, cell)
        return Estimate.of(float(means[0]), means[1:])

    def log_ratios(self, other: str, cell: str) -> NDArray[np.float64]:
        """(1 + RESAMPLES,) logarithm of our mean delay over the other's."""
        return np.asarray(np.log(self._means(OURS, cell) / self._means(other, cell)))

    def _means(self, method: str, cell: str) -> NDArray[np.float64]:
        delays = self.delays[method][cell]
        drawn = np.random.default_rng(0).integers(0, len(delays), (RESAMPLES, len(delays)))
        return np.append(delays.mean(), delays[drawn].mean(1))


def cycled(world: str, trials: Sequence[Trial], progress: Progress) -> Cycled:
    """All methods on the same trials, whose streams change after `BEFORE` labels. Ours runs with the run length asked for, and the rivals'
    thresholds are those that raise as many false alarms on the same streams."""
    ours = spread(_ours, trials, progress, unit=f"multi-cyclic trials of {world}")
    wanted = sum(false for false, _ in ours)
    labels = sum(len(trial.streams["null"]) for trial in trials)
    found = {OURS: {cell: np.array([delays[cell] for _, delays in ours]) for cell in ours[0][1]}}
    lengths = {OURS: labels / wanted}
    with TemporaryDirectory() as folder:
        source = Path(folder) / "streams.npz"
        np.savez(source, allow_pickle=False, history=REFERENCE, change=REFERENCE + BEFORE, wanted=wanted, **_named(trials))
        asked = partial(_rival, environments.interpreter("river", progress), source)
        for rival, out in zip(RIVALS, spread(asked, RIVALS, progress, unit=f"rivals on {world}"), strict=True):
            found[rival] = {cell: np.array([out[f"{at} {cell}"] for at in range(len(trials))]) for cell in ours[0][1]}
            lengths[rival] = labels / max(out["false"], 0.5)
    ends = {cell: [min(len(trial.streams[cell]) - BEFORE, CAP) for trial in trials] for cell in ours[0][1]}
    capped = {method: {cell: np.minimum(delays, ends[cell]) for cell, delays in cells.items()} for method, cells in found.items()}
    return Cycled(capped, lengths, wanted)


def _ours(trial: Trial) -> tuple[int, dict[str, float]]:
    """(false alarms on the quiet stream, delay by cell)."""
    quiet = len(_alarms(trial.reference, trial.streams["null"], after=0))
    delays = dict[str, float]()
    for cell, wrong in trial.streams.items():
        if cell != "null":
            found = _alarms(trial.reference, wrong, after=BEFORE, first=True)
            delays[cell] = float(found[0] - BEFORE if found else np.inf)
    return quiet, delays


def _alarms(reference: Flags, wrong: Flags, *, after: int, first: bool = False) -> list[int]:
    """Labels seen at each beyond label `after`; the stream is forgotten at every one of them, the reference kept."""
    test, found = ErrorRateTest(int(reference.sum()), len(reference), run_length=RUN_LENGTH), list[int]()
    for seen, label in enumerate(wrong.tolist(), 1):
        if test.update(1, int(label)).alarm:
            test.reset()
            if seen > after:
                found.append(seen)
                if first:
                    break
    return found


def _named(trials: Sequence[Trial]) -> dict[str, Flags]:
    """The streams of all, each after its history."""
    return {
        f"null {at}" if cell == "null" else f"{at} {cell}": np.concatenate([trial.reference, wrong])
        for at, trial in enumerate(trials)
        for cell, wrong in trial.streams.items()
    }


def _rival(python: Path, source: Path, rival: str) -> dict[str, float]:
    """In its own environment."""
    out = source.with_name(f"{rival.replace(' ', '_')}.npz")
    command = (str(python), "-m", "inside.error_cycles", rival, str(source), str(out))
    subprocess.run(command, env=environments.variables(), check=True, capture_output=True)
    with np.load(out, allow_pickle=False) as arrays:
        return {name: float(arrays[name]) for name in arrays.files}
