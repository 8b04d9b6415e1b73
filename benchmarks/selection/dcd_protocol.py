"""DCD's own protocol: a few failures, a large pool with noisy labels, nobody to ask; what a set drawn from it mends, and what it breaks.

Failure samples are errors of the model in force on a validation part of the failing slice. Every method draws as many rows of the pool
(or takes it whole) and brings their labels; model, failures and training rows are the same for all. *Debug-heldout* is a held-out part
of the failing slice; on its errors alone, told beside it, a set of classes that fail often looks better the more it breaks of the
others. The *oracle* draws from the slice with right labels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from benchmarks.selection.dcd_worlds import DIGITS, FASHION, SCENARIOS, World, prepare, world
from benchmarks.selection.flvmi import MutualInformation
from benchmarks.selection.gain import Interval
from benchmarks.selection.head import Head, train
from benchmarks.selection.scenarios import Labelled
from benchmarks.trials import spread
from detectors.selection import Known, Pool, Selector
from detectors.selection.coreset import Coreset
from detectors.selection.dcd import FailureDistance
from detectors.selection.random_choice import RandomChoice
from detectors.selection.uncertainty import Uncertainty
from detectors.selection.weak import draw

SEED, RUNS = 100, 10
"""The first of the seeds, and how many; our constants were chosen on other draws of Fashion-MNIST (seeds 0 to 2)."""

SHARE, LOSS_BAR = 1 / 3, 0.5
"""Of a baseline's distance to the oracle that ours has to gain; points of test accuracy that may go."""

LARGE = 1_000
"""A larger set, beside."""

PUBLISHED = "+9.45 points over the best baseline that keeps test accuracy (ImageNet; Singla et al., WACV 2024; their own data)"

OURS, ORACLE, FAILURES, WHOLE = "ours", "oracle", "failures alone", "whole pool"
DCD = "DCD ℓ2"

FEW, SPOILT = 10, 0.3
"""Failure samples where there are few; and the share of them that are junk or have a wrong label, half of each, where some are."""

BASELINES: Mapping[str, Callable[[], Selector]] = {
    "random": RandomChoice,
    "margin": Uncertainty,
    "coreset": Coreset,
    "FLVMI": MutualInformation,
    DCD: FailureDistance,
    "DCD cosine": FailureDistance,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one retraining; points are against the model in force."""

    gain: float
    """On debug-heldout."""
    errors: float
    """Accuracy on those rows of debug-heldout that the model in force gets wrong, in per cent."""
    loss: float
    """Points of accuracy on the original test set."""
    right: float
    """Share of the labels that are right; and of the rows that are of the failing slice, and junk."""
    failing: float
    junk: float
    rows: int
    told: float = np.nan
    """What ours says of how many labels are right."""


Key = tuple[str, bool]
"""A method, and whether its set is the larger one."""


def run(progress: Progress) -> Sequence[Figure]:
    """DCD_RUNS seeds of each scenario (10)."""
    prepare()
    runs = int(os.environ.get("DCD_RUNS", str(RUNS)))
    jobs = [(name, seed) for name in SCENARIOS for seed in range(SEED, SEED + runs)]
    made = spread(one_world, jobs, progress, unit="draws")
    found = Found({name: [each for job, each in zip(jobs, made, strict=True) if job[0] == name] for name in SCENARIOS})
    return [*_bars(found, tuple(FASHION)), *_beside(found), Figure("published, for orientation", PUBLISHED), *_table(found)]


def one_world(job: tuple[str, int]) -> Mapping[Key, Outcome]:
    """Every method's set; some at the larger size too, or with worse failure samples."""
    name, seed = job
    given, budget = world(name, seed), SCENARIOS[name].budget
    able, weak = np.arange(len(given.pool)), _weak(given.pool)
    made = {(FAILURES, False): outcome(given, able[:0], able[:0]), (WHOLE, False): outcome(given, able, weak)}
    for large, count in [(False, budget)] + ([(True, LARGE)] if name in FASHION else []):
        rows = np.random.default_rng([seed, 3]).permutation(np.flatnonzero(given.failing))[:count]
        made[ORACLE, large] = outcome(given, rows, given.truth[rows])
        made[OURS, large] = _ours(given, count, seed)
        for line in BASELINES:
            if not large or line in ("random", DCD):
                made[line, large] = _theirs(given, line, count, seed)
    for worse, world_ in ((f"{FEW} failures", _few(given)), (f"{SPOILT:.0%} of the failures spoilt", _spoilt(given, seed))):
        made[f"{OURS}, {worse}", False] = _ours(world_, budget, seed)
        made[f"{DCD}, {worse}", False] = _theirs(world_, DCD, budget, seed)
    return made


def _ours(given: World, budget: int, seed: int) -> Outcome:
    drawn = draw(given.pool, given.known, budget=budget, rng=np.random.default_rng([seed, 2]))
    return replace(outcome(given, drawn.rows, drawn.labels[drawn.rows]), told=float(drawn.right[drawn.rows].mean()))


def _theirs(given: World, line: str, budget: int, seed: int) -> Outcome:
    rows = _picked(given, line, BASELINES[line](), budget, np.random.default_rng([seed, 1]))
    return outcome(given, rows, _weak(given.pool)[rows])


def _few(given: World) -> World:
    return _with_failures(given, given.failures[:FEW])


def _spoilt(given: World, seed: int) -> World:
    rng = np.random.default_rng([seed, 4])
    rows, labels = given.failures.rows.copy(), given.failures.labels.copy()
    bad = rng.permutation(len(rows))[: int(np.ceil(SPOILT * len(rows)))]
    labels[bad] = (labels[bad] + rng.integers(1, given.classes, len(bad))) % given.classes
    strange = bad[: len(bad) // 2]
    rows[strange] = given.pool.embeddings[rng.choice(np.flatnonzero(given.truth < 0), len(strange))]
    return _with_failures(given, Labelled(rows, labels))


def _with_failures(given: World, failures: Labelled) -> World:
    return replace(given, failures=failures, known=replace(given.known, failures=failures.rows, failure_labels=failures.labels))


def _picked(given: World, line: str, selector: Selector, budget: int, rng: np.random.Generator) -> NDArray[np.int64]:
    pool, known = given.pool, given.known
    if line == "DCD cosine":
        pool, known = _directed(pool, known)
    return np.array([pick.row for pick in selector.pick(pool, known, budget=budget, rng=rng)], np.int64)


def _directed(pool: Pool, known: Known) -> tuple[Pool, Known]:
    """All rows of unit length, so that the nearest is the one with the largest cosine."""

    def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), np.float32)

    failures = None if known.failures is None else unit(known.failures)
    return replace(pool, embeddings=unit(pool.embeddings)), replace(known, reference=unit(known.reference), failures=failures)


def _weak(pool: Pool) -> NDArray[np.int64]:
    return np.empty(0, np.int64) if pool.weak is None else pool.weak


def outcome(given: World, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> Outcome:
    """Of training on these rows of the pool beside what the model was trained on and the failures."""
    parts = [(given.train.rows, given.train.labels), (given.failures.rows, given.failures.labels), (given.pool.embeddings[rows], labels)]
    new = train(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]), given.classes, start=given.old)
    before, after = _right(given.old, given), _right(new, given)
    wrong = ~before[0]
    shares = [
        float(part.mean()) if len(rows) else np.nan for part in (given.truth[rows] == labels, given.failing[rows], given.truth[rows] < 0)
    ]
    gain, loss = (100 * float(after[at].mean() - before[at].mean()) for at in (0, 1))
    return Outcome(gain, 100 * float(after[0][wrong].mean()), -loss, shares[0], shares[1], shares[2], len(rows))


def _right(head: Head, given: World) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return (head.answers(given.held_out.rows) == given.held_out.labels, head.answers(given.test.rows) == given.test.labels)


# --- figures ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """Outcomes of every scenario's seeds, in order."""

    outcomes: Mapping[str, Sequence[Mapping[Key, Outcome]]]

    def of(self, name: str, key: Key, part: str) -> NDArray[np.float64]:
        """(runs,) one figure of each."""
        return np.array([getattr(run[key], part) for run in self.outcomes[name]], np.float64)

    def best(self, name: str, *, large: bool = False, losing: bool = False) -> str:
        """The baseline with the largest gain of those whose loss is not wholly beyond the bar, or of all; what takes no budget is among
        them at both sizes."""
        lines = [FAILURES, WHOLE, *(line for line in BASELINES if (line, large) in self.outcomes[name][0])]
        losses = {line: Interval.of(self.of(name, self.key(line, large=large), "loss")) for line in lines}
        able = [line for line in lines if losing or losses[line].mean - losses[line].half <= LOSS_BAR] or lines
        return max(able, key=lambda line: float(self.of(name, self.key(line, large=large), "gain").mean()))

    def key(self, line: str, *, large: bool) -> Key:
        """Of a method at a size."""
        return line, large and line not in (FAILURES, WHOLE)


def _bars(found: Found, names: Sequence[str]) -> list[Figure]:
    figures: list[Figure] = []
    for large, size in ((False, SCENARIOS[names[0]].budget), (True, LARGE)):
        parts = [_measured(found, name, found.best(name, large=large), large=large) for name in names]
        ahead, wanted, lost = (np.mean(part, axis=0) for part in zip(*parts, strict=True))
        title = f"Fashion-MNIST, all five, {size} rows"
        figures += [_gained(title, ahead, wanted), _lost(title, lost)]
        whatever = [_measured(found, name, found.best(name, large=large, losing=True), large=large) for name in names]
        ahead, wanted, _ = (np.mean(part, axis=0) for part in zip(*whatever, strict=True))
        figures.append(_unbarred(_gained(f"{title}, over the best whatever that loses", ahead, wanted)))
        for name, each in zip(names, parts, strict=True):
            pair = [
                _gained(f"{name}, {size} rows: over {found.best(name, large=large)}", *each[:2]),
                _lost(f"{name}, {size} rows", each[2]),
            ]
            figures += map(_unbarred, pair) if large else pair
    told, true = (100 * np.mean([found.of(name, (OURS, False), part).mean() for name in names]) for part in ("told", "right"))
    return [*figures, Figure("Fashion-MNIST, all five: labels of ours that are right", f"{told:.1f} % told, {true:.1f} % true")]


def _unbarred(figure: Figure) -> Figure:
    """The bar stays to be read."""
    return replace(figure, bar=f"({figure.bar})", holds=None)


def _measured(
    found: Found, name: str, baseline: str, *, large: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(runs,) gain of ours over a baseline, a third of that one's distance to the oracle, and points of test accuracy lost."""
    best = found.of(name, found.key(baseline, large=large), "gain")
    ours, oracle = (found.of(name, (line, large), "gain") for line in (OURS, ORACLE))
    return ours - best, SHARE * (oracle - best), found.of(name, (OURS, large), "loss")


def _gained(name: str, ahead: NDArray[np.float64], wanted: NDArray[np.float64]) -> Figure:
    found, bar = Interval.of(ahead), float(wanted.mean())
    return Figure(
        f"{name}: gain on debug-heldout", str(found), f"≥ {bar:+.1f}, interval above 0", found.mean >= bar and found.mean > found.half
    )


def _lost(name: str, loss: NDArray[np.float64]) -> Figure:
    found = Interval.of(loss)
    told = f"{found.mean:+.2f} ± {found.half:.2f}"
    return Figure(f"{name}: test accuracy lost", told, f"not wholly beyond {LOSS_BAR:g}", found.mean - found.half <= LOSS_BAR)


def _beside(found: Found) -> list[Figure]:
    """Small sets, without a bar."""
    figures = list[Figure]()
    for name in DIGITS:
        ahead, wanted, lost = _measured(found, name, found.best(name))
        figures += map(_unbarred, (_gained(f"{name}: over {found.best(name)}", ahead, wanted), _lost(name, lost)))
    return figures


def _table(found: Found) -> list[Figure]:
    return [
        Figure(f"{name}, {'larger set, ' if large else ''}{line}", _told(found, name, (line, large)))
        for name in SCENARIOS
        for line, large in found.outcomes[name][0]
    ]


def _told(found: Found, name: str, key: Key) -> str:
    gain, errors, loss, rows = (found.of(name, key, part).mean() for part in ("gain", "errors", "loss", "rows"))
    told = f"gain {gain:.1f}, of errors {errors:.1f} %, test accuracy {-loss:+.2f}"
    if not rows:
        return told
    shares = "/".join(f"{100 * np.nanmean(found.of(name, key, part)):.0f}" for part in ("right", "failing", "junk"))
    return f"{told}, {rows:.0f} rows, labels right/failing slice/junk {shares} %"
