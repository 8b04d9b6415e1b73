"""What a refresh gains by each way of choosing, and what it breaks, over scenarios with seeds that nothing was tuned on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.figures import Figure, Progress
from benchmarks.selection.badge import Badge
from benchmarks.selection.flvmi import MutualInformation
from benchmarks.selection.growing import GrowingFailures
from benchmarks.selection.scenarios import IMAGES, SCENARIOS, TEXTS, UNSEEN
from benchmarks.selection.sources import embed_all
from benchmarks.selection.trials import ROUNDS, TOLD, Outcome, Situation, oracle, trial
from benchmarks.trials import spread
from detectors.selection import Selector
from detectors.selection.coreset import Coreset
from detectors.selection.dcd import FailureDistance
from detectors.selection.random_choice import RandomChoice
from detectors.selection.typiclust import TypiClust
from detectors.selection.uncertainty import Uncertainty

SEED, RUNS, MORE = 200, 12, 2.5
"""The first of the seeds, how many of each scenario of texts, and how many times as many of images, whose gains vary more. Ours was
fitted on seeds 0 to 5, and figures of 100 to 131 were looked at while it was made."""
LABELS, OTHERS = 100, (50, 200, 400)
TEXT_BAR, BLIND_BAR, FLIPS_BAR = 7.0, 4.0, 0.1
IMAGE_BAR, HALF_WIDTH = -1.0, 3.0
JUNK_BAR, BLIND_JUNK_BAR, REPEATED_BAR = 0.10, 0.20, 0.05

_SPOILT = 0.3
_KINDS = {"texts": tuple(TEXTS), "images": tuple(IMAGES), **{name: (name,) for name in UNSEEN}}
_NAMES = (*SCENARIOS, *UNSEEN)


BLIND = Situation(failures=False)


@dataclass(frozen=True, slots=True)
class Line:
    """A way of choosing, and what it is told."""

    selector: Callable[[], Selector]
    situation: Situation = TOLD
    rounds: int = ROUNDS
    """One for ways that make nothing of answers."""


OURS, OURS_BLIND, DCD, RANDOM, ORACLE = "probe and expand", "… no failure samples", "DCD ℓ2 + de-duplication", "random", "oracle"
OURS_SPOILT, DCD_SPOILT = "… 30 % of the failure samples spoilt", "DCD, 30 % of the failure samples spoilt"
UNTRAINED = "… no failure samples, nor any trained on"


def _ours() -> Selector:
    made: Selector = import_module("detectors.selection.probe_expand").ProbeAndExpand()
    return made


LINES: Mapping[str, Line] = {
    RANDOM: Line(RandomChoice, rounds=1),
    "margin": Line(Uncertainty, rounds=1),
    "entropy": Line(lambda: Uncertainty("entropy"), rounds=1),
    "coreset": Line(Coreset, rounds=1),
    "BADGE": Line(Badge, rounds=1),
    "TypiClust": Line(TypiClust, rounds=1),
    "FLVMI": Line(MutualInformation, rounds=1),
    DCD: Line(FailureDistance, rounds=1),
    "DCD in rounds, with answers among its failures": Line(GrowingFailures),
    DCD_SPOILT: Line(FailureDistance, Situation(spoilt=_SPOILT), rounds=1),
    OURS: Line(_ours),
    "… 1 round": Line(_ours, rounds=1),
    "… embeddings only": Line(_ours, Situation(logits=False)),
    OURS_BLIND: Line(_ours, BLIND),
    "… neither": Line(_ours, Situation(failures=False, logits=False)),
    UNTRAINED: Line(_ours, Situation(failures=False, trained=False)),
    OURS_SPOILT: Line(_ours, Situation(spoilt=_SPOILT)),
}
AT_EVERY_BUDGET = (RANDOM, DCD, OURS, OURS_BLIND)

Key = tuple[str, int]
"""A line and its labels."""


@dataclass(frozen=True, slots=True)
class Found:
    """Outcomes of every scenario's seeds, in order."""

    outcomes: Mapping[str, Sequence[Mapping[Key, Outcome]]]

    def of(self, key: Key, part: Callable[[Outcome], float], among: Sequence[str]) -> NDArray[np.float64]:
        """(runs,) one figure of each."""
        return np.array([part(run[key]) for name in among for run in self.outcomes[name]], np.float64)

    def difference(self, one: Key, other: Key, part: Callable[[Outcome], float], among: Sequence[str]) -> Interval:
        """Paired by scenario and seed."""
        return Interval.of(self.of(one, part, among) - self.of(other, part, among))


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and half the width of its 95 % interval, Student's."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Interval:
        """From independent runs."""
        if len(values) < 2:
            return cls(float(values.mean()), np.inf)
        return cls(float(values.mean()), float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))))

    def __str__(self) -> str:
        return f"{self.mean:+.1f} ± {self.half:.1f}"


def run(progress: Progress) -> Sequence[Figure]:
    """SELECTION_RUNS seeds of each scenario of texts (12), and two and a half times as many of images."""
    embed_all(progress)
    runs = int(os.environ.get("SELECTION_RUNS", str(RUNS)))
    jobs = [(name, SEED + at) for name in _NAMES for at in range(round(MORE * runs) if name in IMAGES else runs)]
    outcomes = spread(one_world, jobs, progress, unit="refreshes of every kind")
    found = Found({name: [made for job, made in zip(jobs, outcomes, strict=True) if job[0] == name] for name in _NAMES})
    return [*_bars(found), *_table(found)]


def one_world(job: tuple[str, int]) -> Mapping[Key, Outcome]:
    """Every line at 100 labels, and some at other budgets."""
    name, seed = job
    keys = [(line, LABELS) for line in LINES] + [(line, labels) for line in AT_EVERY_BUDGET for labels in OTHERS]
    made = {}
    for line, labels in keys:
        way = LINES[line]
        made[line, labels] = trial(name, seed, way.selector(), labels, situation=way.situation, rounds=way.rounds)
    return made | {(ORACLE, labels): oracle(name, seed, labels) for labels in (LABELS, *OTHERS)}


# --- bars ---------------------------------------------------------------------------------------------------------------


def _bars(found: Found) -> list[Figure]:
    texts, images, dcd = tuple(TEXTS), tuple(IMAGES), (DCD, LABELS)
    ours, blind = (OURS, LABELS), (OURS_BLIND, LABELS)
    gained, broken, unaided_broken = (
        found.difference(line, dcd, part, texts) for line, part in ((ours, _gain), (ours, _flips), (blind, _flips))
    )
    unaided, alone = (found.difference((line, LABELS), dcd, _gain, texts) for line in (OURS_BLIND, UNTRAINED))
    figures = [
        _above("texts: gain over DCD", gained, TEXT_BAR),
        Figure(
            "texts: its negative flips, points over DCD",
            f"{broken.mean:+.2f} ± {broken.half:.2f}",
            f"≤ +{FLIPS_BAR}",
            broken.mean <= FLIPS_BAR,
        ),
        _above("texts, without failure samples: gain over DCD that has ten", unaided, BLIND_BAR),
        Figure("… its negative flips, points over DCD", f"{unaided_broken.mean:+.2f} ± {unaided_broken.half:.2f}"),
        Figure("… where there are none to train on either", str(alone)),
    ]
    figures += [
        _as_good(f"images{how}", found.difference(line, dcd, _gain, images))
        for how, line in (("", ours), (", without failure samples", blind))
    ]
    figures += [_spoilt(found, *pair, kind, among) for pair in ((OURS_SPOILT, OURS), (DCD_SPOILT, DCD)) for kind, among in _KINDS.items()]
    for line in (OURS, OURS_BLIND):
        figures += [_beats_random(found, line, name) for name in SCENARIOS]
    return figures + _clean(found)


def _above(name: str, found: Interval, bar: float) -> Figure:
    return Figure(name, str(found), f"≥ +{bar:g}, interval above 0", found.mean >= bar and found.mean > found.half)


def _as_good(name: str, found: Interval) -> Figure:
    holds = found.mean + found.half >= IMAGE_BAR and found.half <= HALF_WIDTH
    return Figure(f"{name}: gain over DCD that has ten", str(found), f"not wholly below {IMAGE_BAR:g}, half-width ≤ {HALF_WIDTH:g}", holds)


def _spoilt(found: Found, spoilt: str, good: str, kind: str, among: Sequence[str]) -> Figure:
    lost = found.difference((spoilt, LABELS), (good, LABELS), _gain, among)
    return Figure(f"{kind}, {good}: gain with 30 % of the failure samples junk or mislabelled, over good ones", str(lost))


def _beats_random(found: Found, line: str, name: str) -> Figure:
    """At the budget at which it does worst."""
    differences = {labels: found.difference((line, labels), (RANDOM, labels), _gain, (name,)) for labels in (*OTHERS, LABELS)}
    labels = min(differences, key=lambda each: differences[each].mean + differences[each].half)
    worst = differences[labels]
    shown = f"{line.removeprefix('… ')}, {name}: gain over random, at its worst budget"
    return Figure(shown, f"{worst} at {labels} labels", "not wholly below 0", worst.mean + worst.half >= 0)


def _clean(found: Found) -> list[Figure]:
    figures = []
    for line, bar in ((OURS, JUNK_BAR), (OURS_BLIND, BLIND_JUNK_BAR)):
        for labels in sorted((LABELS, *OTHERS)):
            shares = [float(np.mean([found.of((line, labels), part, (name,)).mean() for name in SCENARIOS])) for part in (_junk, _repeated)]
            name = f"{line.removeprefix('… ')}, {labels} labels"
            figures.append(Figure(f"{name}: junk", f"{shares[0]:.1%}", f"≤ {bar:.0%}", shares[0] <= bar))
            figures.append(Figure(f"{name}: near-duplicates", f"{shares[1]:.1%}", f"≤ {REPEATED_BAR:.0%}", shares[1] <= REPEATED_BAR))
    return figures


# --- the table ----------------------------------------------------------------------------------------------------------


def _table(found: Found) -> list[Figure]:
    figures = []
    for labels in sorted((LABELS, *OTHERS)):
        lines = [*LINES, ORACLE] if labels == LABELS else [*AT_EVERY_BUDGET, ORACLE]
        for kind, among in _KINDS.items():
            figures += [Figure(f"{labels} labels, {kind}: {line}", _told(found, (line, labels), among)) for line in lines]
    for name in SCENARIOS:
        figures += [
            Figure(f"{LABELS} labels, {name}: {line}", _told(found, (line, LABELS), (name,)))
            for line in (RANDOM, DCD, OURS, OURS_BLIND, ORACLE)
        ]
    return figures


def _told(found: Found, key: Key, among: Sequence[str]) -> str:
    gain, flips, asked = (found.of(key, part, among).mean() for part in (_gain, _flips, _asked))
    against = found.difference(key, (DCD, key[1]), _gain, among)
    shares = "/".join(f"{100 * found.of(key, part, among).mean():.0f}" for part in (_useful, _ordinary, _junk))
    fewer = "" if asked >= key[1] else f", {asked:.0f} asked"
    return f"gain {gain:.1f}, to DCD {against}, flips {flips:.2f} %, useful/in-domain/junk {shares} %{fewer}"


def _part(name: str) -> Callable[[Outcome], float]:
    return partial(_value, name)


def _value(name: str, outcome: Outcome) -> float:
    return float(getattr(outcome, name))


_gain, _flips, _useful, _ordinary, _junk, _repeated, _asked = map(
    _part, ("gain", "flips", "useful", "ordinary", "junk", "repeated", "asked")
)
