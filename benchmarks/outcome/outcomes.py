"""Refreshes from first to last by each way of choosing what to label, on seeds that nothing was tuned on."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.figures import Figure, Progress, Skipped
from benchmarks.selection.badge import Badge
from benchmarks.selection.flvmi import MutualInformation
from benchmarks.selection.gain import Interval
from benchmarks.selection.sources import clinc150, new_garments
from benchmarks.trials import spread
from detectors.selection import Selector
from detectors.selection.coreset import Coreset
from detectors.selection.dcd import FailureDistance
from detectors.selection.probe_expand import ProbeAndExpand
from detectors.selection.random_choice import RandomChoice
from detectors.selection.uncertainty import Uncertainty

if TYPE_CHECKING:
    from benchmarks.outcome.refreshes import Outcome

SEED, RUNS = 800, 5
"""The first of the seeds, and how many of each scenario. The trainer was made on seeds 0 to 2."""

GAIN_BAR, FALL_BAR, FLIPS_BAR = 40.0, 0.5, 1.0

OURS = "probe and expand, 5 rounds"


@dataclass(frozen=True, slots=True)
class Way:
    """Of choosing, in so many rounds: one where nothing is made of answers."""

    selector: Callable[[], Selector]
    rounds: int = 1


WAYS: Mapping[str, Way] = {
    OURS: Way(ProbeAndExpand, 5),
    "random": Way(RandomChoice),
    "uncertainty (margin)": Way(Uncertainty),
    "coreset": Way(Coreset),
    "BADGE": Way(Badge),
    "DCD ℓ2 + de-duplication": Way(FailureDistance),
    "submodular (FLVMI)": Way(MutualInformation),
}


def run(progress: Progress) -> Sequence[Figure]:
    """OUTCOME_RUNS seeds of each scenario."""
    if importlib.util.find_spec("torch") is None:
        raise Skipped("needs torch: uv sync --inexact --extra train")
    from benchmarks.outcome.refreshes import SCENARIOS  # noqa: PLC0415 - the trainer loads torch

    for source in (clinc150, new_garments):  # before several processes would embed
        progress(f"embedding {source.__name__}")
        source()
    runs = int(os.environ.get("OUTCOME_RUNS", RUNS))
    jobs = [(name, seed) for seed in range(SEED, SEED + runs) for name in SCENARIOS]
    made = spread(by_each_way, jobs, progress, unit="refreshes by every way")
    found: dict[str, list[Mapping[str, Outcome]]] = {name: [] for name in SCENARIOS}
    for (name, _), outcomes in zip(jobs, made, strict=True):
        found[name].append(outcomes)
    figures = [figure for name, outcomes in found.items() for figure in _bars(name, [each[OURS] for each in outcomes])]
    return figures + [figure for name, outcomes in found.items() for figure in _table(name, outcomes)]


def by_each_way(job: tuple[str, int]) -> Mapping[str, Outcome]:
    """One world."""
    from benchmarks.outcome.refreshes import refresh  # noqa: PLC0415 - the trainer loads torch

    return {line: refresh(*job, way.selector(), way.rounds) for line, way in WAYS.items()}


def _bars(name: str, ours: Sequence[Outcome]) -> list[Figure]:
    """What the issue asks of the product's own way, plain and behind the switch."""
    figures = []
    for how, served in (("plain", [each.plain for each in ours]), ("switched", [each.switched for each in ours])):
        gain, slice_, fall, flips = (
            Interval.of(np.array([getattr(each, part) for each in served], np.float64)) for part in ("challenge", "slice", "fall", "flips")
        )
        title = f"{name}, {how} ({len(served)} refreshes)"
        figures += [
            Figure(f"{title}: challenge accuracy, points", str(gain), f"≥ +{GAIN_BAR:g}", gain.mean >= GAIN_BAR),
            Figure("… on 900 further rows of the slice, true classes", str(slice_)),
            Figure("… golden accuracy falls by, points", _two(fall), f"not wholly beyond {FALL_BAR:g}", fall.mean - fall.half <= FALL_BAR),
            Figure("… negative flips, mean", f"{_two(flips)} %", f"≤ {FLIPS_BAR:g} %", flips.mean <= FLIPS_BAR),
        ]
    held_out, golden = (np.mean([part(each) for each in ours]) for part in (_validated, _flipped))
    none = sum(each.threshold is None for each in ours)
    return [
        *figures,
        Figure(f"{name}: labels trained on, of 200; wrong among them", _labels(ours)),
        Figure("… negative flips as the trainer foresaw them on rows held out", f"{held_out:.2f} %, on golden {golden:.2f} %"),
        Figure("… calibrations in which no threshold passed", f"{none} of {len(ours)}"),
    ]


def _table(name: str, outcomes: Sequence[Mapping[str, Outcome]]) -> list[Figure]:
    """A line for each way of choosing, with its difference to ours, paired by seed."""
    figures = []
    for line in WAYS:
        served = [each[line].plain for each in outcomes]
        gain = Interval.of(np.array([each.slice for each in served]))
        against = Interval.of(np.array([each[line].plain.slice - each[OURS].plain.slice for each in outcomes]))
        fall, flips = (np.mean([getattr(each, part) for each in served]) for part in ("fall", "flips"))
        behind = [each[line].switched for each in outcomes]
        gated = f"switched {np.mean([each.slice for each in behind]):+.1f}, flips {np.mean([each.flips for each in behind]):.2f} %"
        shown = f"gain {gain}, to ours {against}, golden {-fall:+.2f}, flips {flips:.2f} %; {gated}"
        figures.append(Figure(f"{name}: {line}", shown))
    return figures


def _labels(ours: Sequence[Outcome]) -> str:
    return f"{np.mean([each.trained_on for each in ours]):.0f}; {np.mean([each.wrong for each in ours]):.1f}"


def _two(found: Interval) -> str:
    return f"{found.mean:+.2f} ± {found.half:.2f}"


def _validated(outcome: Outcome) -> float:
    return outcome.validation_flips


def _flipped(outcome: Outcome) -> float:
    return outcome.plain.flips
