"""How good the risk of asking is: before labels against what became of the samples, after labels against what the labels are worth, and
what filtering by either costs and saves.

The weights that the risk starts from were fitted on seeds 0 and 1 of the same scenarios. That they are those of picks, and not of random
rows as well, was decided when seeds 100 to 103 had shown the two to differ; the seeds measured are others still.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata, spearmanr

from benchmarks.figures import Figure, Progress
from benchmarks.selection.gain import Interval
from benchmarks.selection.scenarios import IMAGES, SCENARIOS, TEXTS, World
from benchmarks.selection.sources import embed_all
from benchmarks.selection.trials import ROUNDS, TOLD, cached_world, chosen, known_failures, measured, retrained
from benchmarks.trials import spread
from detectors.selection import REJECTED, Known, Pick, Pool, Selector, Turn
from detectors.selection.assessment import Verdict, assess, expected_flips, known_flips, known_risk, verdicts
from detectors.selection.doubts import USUALLY_WRONG, doubts, wrong
from detectors.selection.probe_expand import ProbeAndExpand
from detectors.selection.random_choice import RandomChoice
from detectors.selection.risk import Reliability, Risk, reliability

SEED, RUNS, LABELS = 200, 10, 100
LIMIT = 0.5

Keep = Callable[[Pool, Known], NDArray[np.bool_]]
"""Which rows of a pool may be asked about at all."""


def everything(pool: Pool, known: Known) -> NDArray[np.bool_]:
    """No filter."""
    del known
    return np.ones(len(pool), bool)


def below_limit(pool: Pool, known: Known) -> NDArray[np.bool_]:
    """What the service does."""
    return np.asarray(Risk().of(assess(pool, known)) <= LIMIT)


def few_flips(pool: Pool, known: Known) -> NDArray[np.bool_]:
    """The half of the rows whose plausible labels are expected to flip the fewest golden rows."""
    flips = expected_flips(pool, known)
    return np.asarray(rankdata(flips, method="ordinal") <= len(pool) / 2)


def half_at_random(pool: Pool, known: Known) -> NDArray[np.bool_]:
    """Half of the rows."""
    del known
    return np.asarray(np.random.default_rng(len(pool)).permutation(len(pool)) < len(pool) / 2)


FILTERS: dict[str, Keep] = {
    "risk at most .5": below_limit,
    "half with the fewest expected flips": few_flips,
    "half at random": half_at_random,
}


@dataclass(slots=True)
class Watched:
    """A selector behind a filter that remembers what was known of what it picked."""

    selector: Selector
    keep: Keep = everything
    rounds: list[tuple[Pool, Known, NDArray[np.int64]]] = field(default_factory=list)

    def pick(
        self,
        pool: Pool,
        known: Known,
        *,
        budget: int,
        rng: np.random.Generator,
        turn: Turn = Turn(),  # noqa: B008 - a frozen value
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Pick, ...]:
        """As the protocol says."""
        kept = np.flatnonzero(self.keep(pool, known))
        picks = self.selector.pick(only(pool, kept), known, budget=budget, rng=rng, turn=turn, progress=progress)
        found = tuple(replace(pick, row=int(kept[pick.row]), copies=()) for pick in picks)
        self.rounds.append((pool, known, np.array([pick.row for pick in found], np.int64)))
        return found


def only(pool: Pool, rows: NDArray[np.int64]) -> Pool:
    """Some of its rows."""
    columns: dict[str, Any] = {name: getattr(pool, name) for name in ("probabilities", "predicted", "weak", "counts")}
    return Pool(pool.embeddings[rows], **{name: None if column is None else column[rows] for name, column in columns.items()})


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """Of each row that was asked about: what was thought of it before, what became of it, and what it is worth."""

    parts: NDArray[np.float32]
    risk: NDArray[np.float32]
    learnt: NDArray[np.float32]
    """The risk with the outcomes of earlier rounds."""
    verdict: NDArray[np.int64]
    known: NDArray[np.float32]
    """The risk with its label known."""
    wrong: NDArray[np.bool_]
    """Junk, or not its true class."""
    before: NDArray[np.float32]
    """Flips expected before its label is known, and below with it."""
    after: NDArray[np.float32]

    @property
    def bad(self) -> NDArray[np.bool_]:
        """Unusable or harmful."""
        return np.asarray(self.verdict != Verdict.USABLE)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One refresh: its answers by our choice and by chance, and (gain, NFR) of each way of filtering before and after labels."""

    ours: Answered
    random: Answered
    effects: dict[str, tuple[float, float]]


def run(progress: Progress) -> Sequence[Figure]:
    """SELECTION_RUNS seeds of each scenario."""
    embed_all(progress)
    seeds = range(SEED, SEED + int(os.environ.get("SELECTION_RUNS", RUNS)))
    jobs = [(name, seed) for seed in seeds for name in SCENARIOS]
    trials = spread(trial, jobs, progress, unit="refreshes")
    by_name = {name: [one for job, one in zip(jobs, trials, strict=True) if job[0] == name] for name in SCENARIOS}
    texts, images = ([one for name in group for one in by_name[name]] for group in (TEXTS, IMAGES))
    return [
        *(figure for label, group in (("text", texts), ("images", images)) for figure in (*_told(label, group), *_worth(label, group))),
        *_calibration("prior, our picks", [(one.ours.risk, one.ours.bad) for one in trials]),
        *_calibration("prior, random rows", [(one.random.risk, one.random.bad) for one in trials]),
        *_calibration("with outcomes of earlier rounds, our picks", [(one.ours.learnt, one.ours.bad) for one in trials]),
        *(figure for label, group in (("text", texts), ("images", images)) for figure in _effects(label, group)),
        Figure("weights fitted anew to our picks: offset, junk, contested, influence", _fitted([one.ours for one in trials])),
        Figure("weights fitted anew to random rows", _fitted([one.random for one in trials])),
    ]


def trial(job: tuple[str, int]) -> Trial:
    """Every way on one draw of a scenario."""
    name, seed = job
    given = cached_world(name, seed)
    ours, rows = _asked(given, Watched(ProbeAndExpand()), seed)
    random, _ = _asked(given, Watched(RandomChoice()), seed, rounds=1)
    effects = {"": _effect(given, rows, seed)}
    for way, keep in FILTERS.items():
        effects[way] = _effect(given, _chosen(given, Watched(ProbeAndExpand(), keep), seed), seed)
    refused = np.isin(ours.verdict, (Verdict.REFUSED, Verdict.REJECTED))
    effects["labels that pass the checks"] = _effect(given, rows[~refused], seed)
    effects["… and are not harmful"] = _effect(given, rows[~ours.bad], seed)
    effects["as many labels at random"] = _effect(given, rows[np.random.default_rng(seed).permutation(~ours.bad)], seed)
    return Trial(ours, random, effects)


def _chosen(given: World, watched: Watched, seed: int, *, rounds: int = ROUNDS) -> NDArray[np.int64]:
    failures = known_failures(given, TOLD, np.random.default_rng([seed, 1]))
    return chosen(given, watched, LABELS, situation=TOLD, failures=failures, rounds=rounds, rng=np.random.default_rng([seed, 2]))


def _effect(given: World, rows: NDArray[np.int64], seed: int) -> tuple[float, float]:
    return measured(given, retrained(given, rows, known_failures(given, TOLD, np.random.default_rng([seed, 1]))))


def _asked(given: World, watched: Watched, seed: int, *, rounds: int = ROUNDS) -> tuple[Answered, NDArray[np.int64]]:
    rows = _chosen(given, watched, seed, rounds=rounds)
    found, start, risk = list[Answered](), 0, Risk()
    for pool, known, picked in watched.rounds:
        at = rows[start : start + len(picked)]
        found.append(_judged(given, at, (pool, known, picked), risk))
        risk = Risk().updated(np.concatenate([one.parts for one in found]), np.concatenate([one.bad for one in found]))
        start += len(picked)
    return _joined(found), rows


def _judged(given: World, at: NDArray[np.int64], seen: tuple[Pool, Known, NDArray[np.int64]], learnt: Risk) -> Answered:
    pool, known, picked = seen
    parts, answers, asked = assess(pool, known, rows=picked), given.pool.answers[at], only(pool, picked)
    return Answered(
        parts.matrix,
        Risk().of(parts),
        learnt.of(parts),
        verdicts(asked, answers, known),
        known_risk(asked, answers, known, junk=parts.junk, wrong=_wrong(asked, answers, known)),
        answers != given.pool.truth[at],
        expected_flips(asked, known),
        known_flips(asked, answers, known),
    )


def _wrong(asked: Pool, answers: NDArray[np.int64], known: Known) -> NDArray[np.float64]:
    """By the label checks, of an annotator of whom nothing is known."""
    found, named = np.ones(len(answers)), np.flatnonzero(answers != REJECTED)
    if len(named):
        odds = doubts(only(asked, named), answers[named], known).odds
        found[named] = wrong(odds, np.full(len(named), USUALLY_WRONG), np.zeros(len(named), np.int64))
    return found


def _joined(found: Sequence[Answered]) -> Answered:
    return Answered(*(np.concatenate([getattr(one, name) for one in found]) for name in Answered.__slots__))


def _told(label: str, trials: Sequence[Trial]) -> list[Figure]:
    """Before labels."""
    rejected = Interval.of(np.array([area(one.random.risk, one.random.verdict == Verdict.REJECTED) for one in trials]))
    bad, ours = (Interval.of(np.array([area(one.risk, one.bad) for one in group])) for group in _both(trials))
    ranks = Interval.of(np.array([_correlation(one.ours.before, one.ours.after, one.ours.verdict) for one in trials]))
    return [
        Figure(f"{label}, before labels: area under the curve, rejected, random rows", _share(rejected)),
        Figure(f"{label}, before labels: …, unusable or harmful, random rows", _share(bad)),
        Figure(f"{label}, before labels: …, unusable or harmful, our picks", _share(ours)),
        Figure(f"{label}, before labels: rank correlation of expected flips with those of the label, our picks", _share(ranks)),
    ]


def _both(trials: Sequence[Trial]) -> tuple[list[Answered], list[Answered]]:
    return [one.random for one in trials], [one.ours for one in trials]


def _worth(label: str, trials: Sequence[Trial]) -> list[Figure]:
    """After labels: wrong ones and forced ones among those that are no rejections."""
    found = [one for group in _both(trials) for one in group]
    given = [one.verdict != Verdict.REJECTED for one in found]
    known = Interval.of(np.array([area(one.known[kept], one.wrong[kept]) for one, kept in zip(found, given, strict=True)]))
    caught, lost = (
        Interval.of(np.array([one.bad[kept & (one.wrong == wrong)].mean() for one, kept in zip(found, given, strict=True)]))
        for wrong in (True, False)
    )
    return [
        Figure(f"{label}, label known: area under the curve, wrong label or forced junk", _share(known)),
        Figure(f"{label}, label known: wrong and forced labels refused or called harmful", _share(caught)),
        Figure(f"{label}, label known: right labels refused or called harmful", _share(lost)),
    ]


def _calibration(label: str, found: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]]) -> list[Figure]:
    told: Reliability = reliability(np.concatenate([risk for risk, _ in found]), np.concatenate([bad for _, bad in found]))
    bins = "; ".join(f"{one.mean_risk:.2f}: {one.share:.2f} ({one.share_low:.2f} to {one.share_high:.2f})" for one in told.bins)
    return [
        Figure(f"reliability, {label}: mean risk, share unusable or harmful (95 %), five bins of {told.count:,}", bins),
        Figure(f"expected calibration error, {label}; of a right risk", f"{told.error:.3f}; {told.chance:.3f}"),
    ]


def _effects(label: str, trials: Sequence[Trial]) -> list[Figure]:
    plain = np.array([one.effects[""] for one in trials])
    figures = [Figure(f"{label}, gain and NFR % of our choice unfiltered", f"{plain[:, 0].mean():.1f}, {plain[:, 1].mean():.2f}")]
    for way in trials[0].effects:
        if way:
            gain, flips = (Interval.of(column) for column in (np.array([one.effects[way] for one in trials]) - plain).T)
            figures.append(Figure(f"{label}, {way}: Δ gain, Δ NFR", f"{gain}; {flips.mean:+.2f} ± {flips.half:.2f}"))
    return figures


def _share(found: Interval) -> str:
    return f"{found.mean:.2f} ± {found.half:.2f}"


def area(risk: NDArray[np.float32], bad: NDArray[np.bool_]) -> float:
    """Under the ROC curve: how likely a bad sample has the higher risk of the two; ½ where all are of a kind."""
    count = int(bad.sum())
    if count in (0, len(bad)):
        return 0.5
    return float((rankdata(risk)[bad].sum() - count * (count + 1) / 2) / (count * (len(bad) - count)))


def _correlation(before: NDArray[np.float32], after: NDArray[np.float32], verdict: NDArray[np.int64]) -> float:
    kept = verdict != Verdict.REJECTED
    return float(spearmanr(before[kept], after[kept]).statistic)


def _fitted(found: Sequence[Answered]) -> str:
    columns = np.column_stack([np.ones(sum(len(one.risk) for one in found)), np.concatenate([one.parts for one in found])]).astype(
        np.float64
    )
    bad = np.concatenate([one.bad for one in found])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = columns @ weights
        return float((np.logaddexp(0, logits) - bad * logits).mean()), columns.T @ (expit(logits) - bad) / len(bad)

    weights = minimize(loss, np.zeros(4), jac=True, method="L-BFGS-B", bounds=[(None, None), *[(0, None)] * 3]).x
    return ", ".join(f"{weight:.2f}" for weight in weights)
