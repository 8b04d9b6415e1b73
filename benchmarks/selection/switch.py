"""What the switch between old and new model keeps of a refresh's gain, and whether it keeps its promise."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks.figures import Figure, Progress
from benchmarks.selection.mlp import train_mlp
from benchmarks.selection.scenarios import SCENARIOS, Labelled, World
from benchmarks.selection.sources import embed_all
from benchmarks.selection.trials import TOLD, cached_world, chosen, known_failures, retrained
from benchmarks.trials import spread
from detectors.comparison import spent
from detectors.selection import REJECTED
from detectors.selection.duplicates import duplicate_groups
from detectors.selection.probe_expand import ProbeAndExpand
from detectors.switch import OUTCOMES, THRESHOLDS, calibrate, margins, takes_new

SEED, RUNS, CHURNING = 102, 12, 4
"""The first of the seeds, how many of each scenario, and how many of these with fresh networks as well; nothing was tuned on them."""
DELTA, SIMULATED = 0.1, 1_000
BUDGETS = (100, 400)

LINEAR, NETWORK = "softmax layer", "two layers, fresh seeds"


@dataclass(frozen=True, slots=True)
class Asked:
    """The share that may break, the rows it is calibrated on (or as many as there are), and how much of the gain is to be kept."""

    alpha: float
    rows: int
    keeps: float


ASKED = (Asked(0.01, 1_000, 0.88), Asked(0.005, 3_000, 0.75))


class Model(Protocol):
    """Answers with probabilities."""

    def probabilities(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) → (n, C)"""


@dataclass(frozen=True, slots=True)
class Gated:
    """What is left of a refresh behind the switch: gain in points, flips in per cent of the test rows, rows it was calibrated on."""

    gain: float
    flips: float
    rows: int
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Refresh:
    """One refresh: ungated, and by each of `ASKED`."""

    scenario: str
    head: str
    budget: int
    gain: float
    flips: float
    gated: tuple[Gated, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """What old and new model say of the same labelled rows."""

    old_right: NDArray[np.bool_]
    new_right: NDArray[np.bool_]
    margin: NDArray[np.float32]

    @classmethod
    def of(cls, old: Model, new: Model, rows: Labelled) -> Pair:
        """Classes are the same numbers for both."""
        before, chances = old.probabilities(rows.rows).argmax(1), new.probabilities(rows.rows)
        logits = np.log(np.maximum(chances, np.finfo(np.float32).tiny))
        return cls(before == rows.labels, chances.argmax(1) == rows.labels, margins(logits, before))

    def __getitem__(self, at: NDArray[np.int64]) -> Pair:
        return Pair(self.old_right[at], self.new_right[at], self.margin[at])

    def served(self, threshold: float) -> NDArray[np.bool_]:
        """(n,) whether the switch is right."""
        return np.where(takes_new(self.margin, threshold), self.new_right, self.old_right)


def run(progress: Progress) -> Sequence[Figure]:
    """Simulated laws first, then refreshes; `SWITCH_RUNS` makes it smaller."""
    runs = int(os.environ.get("SWITCH_RUNS", RUNS))
    figures = [_simulated(name, law, use, progress) for name, law in LAWS.items() for use in (1, 2)]
    embed_all(progress)
    jobs = [(name, seed) for seed in range(SEED, SEED + runs) for name in SCENARIOS]
    found = [each for made in spread(refreshes, jobs, progress, unit="refreshes") for each in made]
    for head in (LINEAR, NETWORK):
        for budget in BUDGETS:
            own = [each for each in found if (each.head, each.budget) == (head, budget)]
            figures += _kept(own, bars=(head, budget) == (LINEAR, BUDGETS[0]))
    return [*figures, *_by_scenario(found)]


# --- laws that are known ---------------------------------------------------------------------------------------------


def _smooth(t: float) -> float:
    return 0.05 * (1 - t) ** 2


def _sure(t: float) -> float:
    return 0.1 * (1 - 0.9 * t)


def _step(t: float) -> float:
    return 0.010001 if t < 0.5 else 1e-5


LAWS: Mapping[str, Callable[[float], float]] = {
    "flips that become rare where the new model is sure": _smooth,
    "flips that hardly become rarer": _sure,
    "hardest: 1.0001 % flips from t = .475 down, as good as none above": _step,
}
"""The true rate of flips above each threshold."""


def _simulated(name: str, law: Callable[[float], float], use: int, progress: Progress) -> Figure:
    """At the δ in force for this use of 400, 1,000 and 3,000 rows; the most of the three has the bar."""
    rates, error = np.array([law(t) for t in THRESHOLDS]), spent(DELTA, use, outcomes=OUTCOMES)
    above = []
    for rows in (400, 1_000, 3_000):
        progress(f"simulating {name}")
        rng = np.random.default_rng([use, rows])
        above.append(sum(_exceeds(rates, rows, error, rng) for _ in range(SIMULATED)))
    allowed = int(binom.ppf(0.99, SIMULATED, error))
    value = f"{', '.join(map(str, above))} of {SIMULATED:,} runs with 400, 1,000, 3,000 rows"
    title = f"true rate above α = 1 %, δ in force {error:.2g}: {name}"
    return Figure(title, value, f"≤ {allowed} (99 % quantile of δ)", max(above) <= allowed)


def _exceeds(rates: NDArray[np.float64], rows: int, error: float, rng: np.random.Generator) -> bool:
    """Whether the threshold that rows with these rates of flips lead to has a true rate above α."""
    place = np.searchsorted(rates, rng.random(rows))
    margin = np.append(np.array(THRESHOLDS), 0.0)[place] + 0.0125
    found = calibrate(margin.astype(np.float32), np.ones(rows, bool), place == len(rates), alpha=0.01, error=error)
    return found.threshold is not None and bool(rates[THRESHOLDS.index(found.threshold)] > 0.01)


# --- refreshes -------------------------------------------------------------------------------------------------------


def refreshes(job: tuple[str, int]) -> Sequence[Refresh]:
    """One world: by probe and expand at each budget, and for the first seeds with networks as well."""
    name, seed = job
    given = cached_world(name, seed)
    failures = known_failures(given, TOLD, np.random.default_rng([seed, 1]))
    made = []
    for budget in BUDGETS:
        rng = np.random.default_rng([seed, 2])
        asked = chosen(given, ProbeAndExpand(), budget, situation=TOLD, failures=failures, rng=rng)
        made.append(_refresh(given, (name, LINEAR, budget), given.old, retrained(given, asked, failures)))
        if seed < SEED + CHURNING:
            old, new = (_network(given, rows, failures, seed, draw) for draw, rows in enumerate((None, asked)))
            made.append(_refresh(given, (name, NETWORK, budget), old, new))
    return made


def _network(given: World, asked: NDArray[np.int64] | None, failures: Labelled, seed: int, draw: int) -> Model:
    """Of the old model's rows alone, or with what was answered; on the same components."""
    parts = [given.train]
    if asked is not None:
        used = asked[given.pool.answers[asked] != REJECTED]
        parts += [Labelled(given.pool.rows[used], given.pool.answers[used]), failures]
    rows, labels = np.concatenate([part.rows for part in parts]), np.concatenate([part.labels for part in parts])
    return train_mlp(given.old.components, rows, labels, given.classes, rng=np.random.default_rng([seed, 40 + draw]))


def _refresh(given: World, named: tuple[str, str, int], old: Model, new: Model) -> Refresh:
    held_out, test = Pair.of(old, new, given.held_out), Pair.of(old, new, given.test)
    golden = Pair.of(old, new, given.calibrate)
    groups = duplicate_groups(given.calibrate.rows)
    distinct = np.flatnonzero(groups == np.arange(len(groups)))
    gated = tuple(_gated(asked, golden[distinct[: asked.rows]], held_out, test) for asked in ASKED)
    return Refresh(*named, _gain(held_out, held_out.new_right), _flips(test, test.new_right), gated)


def _gated(asked: Asked, golden: Pair, held_out: Pair, test: Pair) -> Gated:
    error = spent(DELTA, 1, outcomes=OUTCOMES)
    found = calibrate(golden.margin, golden.old_right, golden.new_right, alpha=asked.alpha, error=error)
    threshold = 2.0 if found.threshold is None else found.threshold
    gain, flips = _gain(held_out, held_out.served(threshold)), _flips(test, test.served(threshold))
    return Gated(gain, flips, found.rows, found.threshold)


def _gain(pair: Pair, right: NDArray[np.bool_]) -> float:
    return float(100 * (right.mean() - pair.old_right.mean()))


def _flips(pair: Pair, right: NDArray[np.bool_]) -> float:
    return float(100 * (pair.old_right & ~right).mean())


# --- figures ---------------------------------------------------------------------------------------------------------


def _kept(found: Sequence[Refresh], *, bars: bool) -> list[Figure]:
    """For one kind of model and one budget."""
    if not found:
        return []
    title = f"{found[0].head}, {found[0].budget} labels"
    ungated = f"gain {_mean([each.gain for each in found])} points, flips {_mean([each.flips for each in found])} %"
    figures = [Figure(f"{title}: ungated ({len(found)} refreshes)", ungated)]
    for place, asked in enumerate(ASKED):
        own = [each.gated[place] for each in found]
        rows = sorted({f"{each.rows:,}" for each in own})
        name = f"{title}: α = {100 * asked.alpha:g} %, {rows[0]}{f' to {rows[-1]}' if len(rows) > 1 else ''} rows"
        share, low, high = _share([each.gain for each in own], [each.gain for each in found])
        kept = f"{share:.1%} ({low:.1%} to {high:.1%}); {_mean([each.gain for each in own])} points"
        figures.append(Figure(f"{name}: kept", kept, f"≥ {asked.keeps:.0%}" if bars else "", share >= asked.keeps if bars else None))
        flips = np.array([each.flips for each in own])
        none, above = sum(each.threshold is None for each in own), float((flips > 100 * asked.alpha).mean())
        told = f"{_mean(flips)} %; above α in {above:.0%} of test sets; no threshold passed {none} times"
        holds = bool(flips.mean() <= 100 * asked.alpha)
        figures.append(Figure(f"{name}: flips", told, f"mean ≤ {100 * asked.alpha:g} %" if bars else "", holds if bars else None))
    return figures


def _by_scenario(found: Sequence[Refresh]) -> list[Figure]:
    """What is kept in each, at the first budget."""
    figures = []
    for name in SCENARIOS:
        own = [each for each in found if (each.scenario, each.head, each.budget) == (name, LINEAR, BUDGETS[0])]
        shares = [_share([each.gated[place].gain for each in own], [each.gain for each in own])[0] for place in range(len(ASKED))]
        flips = [_mean([each.gated[place].flips for each in own]) for place in range(len(ASKED))]
        told = "; ".join(f"α = {100 * a.alpha:g} %: {s:.0%} kept, flips {f} %" for a, s, f in zip(ASKED, shares, flips, strict=True))
        figures.append(Figure(f"{name}, {BUDGETS[0]} labels", told))
    return figures


def _mean(values: Sequence[float] | NDArray[np.float64]) -> str:
    return f"{np.mean(values):.2f}"


def _share(part: Sequence[float], whole: Sequence[float]) -> tuple[float, float, float]:
    """Of the sums, with its 95 % interval by a bootstrap over refreshes."""
    kept, total = np.array(part), np.array(whole)
    drawn = np.random.default_rng(0).integers(0, len(kept), (4_000, len(kept)))
    low, high = np.quantile(kept[drawn].sum(1) / total[drawn].sum(1), [0.025, 0.975])
    return float(kept.sum() / total.sum()), float(low), float(high)
