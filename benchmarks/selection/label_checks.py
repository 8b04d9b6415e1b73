"""How well wrong answers of annotators are found before anything is trained on them, and what looking for them costs.

Candidates are chosen by probe and expand, in five batches or one, and answered by a person of whose labels of valid samples 8 % are
wrong: ten name a class of another domain, the others one of the five that the sample is most easily taken for; half of the junk is
forced into a class. As many of the most doubtful answers as the service's settings allow are asked of a second person, as fallible, and
what both say is settled. Weights of the checks were fitted on seeds 300 to 309 of these scenarios; the seeds measured are others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from benchmarks.public_sets import column, public_sets
from benchmarks.selection.gain import Interval
from benchmarks.selection.head import Head, train
from benchmarks.selection.risk import area, only
from benchmarks.selection.scenarios import IMAGES, Scenario, World, drawn
from benchmarks.selection.sources import Source, clinc150, hwu64, new_garments, turned_garments
from benchmarks.selection.trials import measured
from benchmarks.trials import spread
from detectors.selection import REJECTED, Known, Pool, Turn
from detectors.selection.balance import balance
from detectors.selection.doubts import USUALLY_WRONG, Doubts, at_random, chance_of_shuffled, doubts, settled, wrong
from detectors.selection.gate import agreement
from detectors.selection.ground import Ground, Opinion
from detectors.selection.probe_expand import ProbeAndExpand
from detectors.selection.risk import reliability
from service.label_checks.checking import HALF
from service.label_checks.checks import DOUBTFUL, due_opinions
from service.selecting.spending import Purse
from service.settings import AnnotationSettings

SEED, RUNS, LABELS, ROUNDS = 500, 10, 200, 5
WRONG, PLANTED, FORCED, CLOSE = 0.08, 10, 0.5, 5
LEAST_SENT_BACK = 5

CLINC = "CLINC150, a domain absent"


@cache
def _domains() -> NDArray[np.str_]:
    """(150,) the domain of each of CLINC150's intents, in the order of the alphabet."""
    path = public_sets() / "text/clinc150.parquet"
    intents, domains = (np.array(column(path, name), np.str_) for name in ("label", "domain"))
    names, first = np.unique(intents[domains != "oos"], return_index=True)
    del names
    return np.asarray(domains[domains != "oos"][first], np.str_)


def _without(number: int) -> Source:
    """CLINC150 whose requests of one of its ten domains the model has never seen."""
    there = _domains() == np.unique(_domains())[number % 10]
    return replace(clinc150(), held_out=tuple(np.flatnonzero(there).tolist()))


@lru_cache(maxsize=2)
def _world(name: str, seed: int) -> World:
    made: Mapping[str, Scenario] = {
        CLINC: Scenario(lambda: _without(seed), 15),
        "CLINC150, starved": Scenario(clinc150, 12, kept=2),
        "HWU64, starved": Scenario(hwu64, 8, kept=2, fewest=190),
        **IMAGES,
    }
    return drawn(made[name], np.random.default_rng([seed, len(name)]))


NAMES = (CLINC, "CLINC150, starved", "HWU64, starved", *IMAGES)


class Kind:
    """What an answer is."""

    REJECTED, RIGHT, WRONG, PLANTED, FORCED = -1, 0, 1, 2, 3


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Those who answer: as fallible as said above."""

    given: World
    near: NDArray[np.int64]
    """(n, C) classes of each row of the pool, the one it is most easily taken for first."""

    @classmethod
    def of(cls, given: World) -> People:
        """Nearness to the means of classes."""
        rows, truth = given.pool.rows, given.pool.truth
        parts = [given.train, given.held_out]
        known = np.concatenate([rows[truth >= 0], *(part.rows for part in parts)])
        labels = np.concatenate([truth[truth >= 0], *(part.labels for part in parts)])
        means = np.stack([known[labels == one].mean(0) for one in range(given.classes)])
        nearness = rows @ means.T - 0.5 * (means**2).sum(1)
        nearness[np.flatnonzero(truth >= 0), truth[truth >= 0]] = -np.inf
        return cls(given, np.argsort(-nearness, axis=1, kind="stable"))

    def answers(self, rows: NDArray[np.int64], planted: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(m,) answers about rows of the pool, and what kind each is."""
        truth = self.given.pool.truth[rows]
        given, kind = truth.copy(), np.zeros(len(rows), np.int64)
        valid = rng.permutation(np.flatnonzero(truth >= 0))
        for at in valid[: max(planted, round(WRONG * len(valid)))].tolist():
            kind[at] = Kind.PLANTED if (kind == Kind.PLANTED).sum() < planted else Kind.WRONG
            given[at] = self._far(int(rows[at]), rng) if kind[at] == Kind.PLANTED else self._close(int(rows[at]), rng)
        junk = truth == REJECTED
        kind[junk] = Kind.REJECTED
        for at in np.flatnonzero(junk & (rng.random(len(rows)) < FORCED)).tolist():
            given[at], kind[at] = self._close(int(rows[at]), rng), Kind.FORCED
        return given, kind

    def _close(self, row: int, rng: np.random.Generator) -> int:
        return int(self.near[row, rng.integers(min(CLOSE, self.given.classes - 1))])

    def _far(self, row: int, rng: np.random.Generator) -> int:
        """A class of another domain; where there are none one of the less likely half."""
        truth = self.given.pool.truth[row]
        if self.given.classes != len(_domains()):
            return int(rng.choice(self.near[row, self.given.classes // 2 : -1]))
        domains = _domains()[self.given.origin]
        return int(rng.choice(np.flatnonzero(domains != domains[truth])))


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """What the checks made of the answers of one batch that name a class."""

    rows: NDArray[np.int64]
    kind: NDArray[np.int64]
    first: NDArray[np.int64]
    """What was answered first, and in the end."""
    final: NDArray[np.int64]
    probability: NDArray[np.float64]
    """That each is wrong, before second opinions; and scores of others in its place."""
    vote: NDArray[np.float64]
    model: NDArray[np.float64]
    asked: NDArray[np.bool_]
    """Sent back."""
    left: NDArray[np.bool_]
    """Left out in the end."""


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """One refresh."""

    answers: Round
    right: NDArray[np.bool_]
    """Whether each answer is right in the end."""
    honest: float
    """Batches of which the annotator is taken for one who answers at random; and such a one is found."""
    random: float
    foretold: tuple[float, float, float]
    """Flips avoided by what is held back: estimate and interval, in per cent of golden's select part."""
    flips: float
    """The same as retraining with and without shows it."""
    effect: tuple[float, float]
    """Gain in points and negative flips in points of what is trained on in the end, less those of the first answers, all of them."""


def run(progress: Progress) -> Sequence[Figure]:
    """LABEL_RUNS seeds (10) of CLINC150, each with another domain absent, and a third as many of the others."""
    for source in (clinc150, hwu64, turned_garments, new_garments):
        progress(f"embedding for {source.__name__}")
        source()
    runs = int(os.environ.get("LABEL_RUNS", str(RUNS)))
    jobs = [(name, SEED + at, rounds) for name in NAMES for rounds in (ROUNDS, 1) for at in range(runs if name == CLINC else -(-runs // 3))]
    trials = spread(trial, jobs, progress, unit="refreshes")
    return figures_of(dict(zip(jobs, trials, strict=True)))


def figures_of(found: Mapping[tuple[str, int, int], Looked]) -> Sequence[Figure]:
    """Of trials by their jobs."""
    figures: list[Figure] = []
    for name in NAMES:
        for rounds in (ROUNDS, 1):
            trials = [one for job, one in found.items() if (job[0], job[2]) == (name, rounds)]
            figures += _figures(f"{name}, {rounds} × {LABELS // rounds}", trials, barred=name == CLINC)
    for rounds, label in ((ROUNDS, "all, in rounds"), (1, "all, in one batch")):
        figures += _calibration(label, [one for job, one in found.items() if job[2] == rounds])
    return [*figures, *_people(list(found.values())), *_flips(list(found.values()))]


def trial(job: tuple[str, int, int]) -> Looked:
    """Choose, answer, check, ask again, settle; round by round."""
    name, seed, rounds = job
    return Cycle(_world(name, seed), rounds, np.random.default_rng([seed, rounds])).looked()


class Cycle:
    """Carried as the service does it."""

    def __init__(self, given: World, rounds: int, rng: np.random.Generator) -> None:
        self._given, self._people, self._rounds, self._rng = given, People.of(given), rounds, rng
        chances = given.old.probabilities(given.pool.rows)
        self._pool = Pool(given.pool.rows, chances, chances.argmax(1).astype(np.int64))
        self._said = given.old.probabilities(given.select.rows)
        self._asked, self._answers = np.empty(0, np.int64), np.empty(0, np.int64)
        self._spent = 0
        self._shuffled: list[tuple[float, float]] = []

    def looked(self) -> Looked:
        """All rounds."""
        found = [self._round(number) for number in range(1, self._rounds + 1)]
        answers = Round(*(np.concatenate([getattr(one, name) for one in found]) for name in Round.__slots__))
        honest, random = np.mean([[at_random(chance) for chance in each] for each in self._shuffled], axis=0)
        right = answers.final == self._given.pool.truth[answers.rows]
        return Looked(answers, right, float(honest), float(random), self._foretold(answers), *self._retrained(answers))

    def _round(self, number: int) -> Round:
        known, share = self._known(), LABELS // self._rounds
        left = np.setdiff1d(np.arange(len(self._pool)), self._asked)
        turn = Turn(number, self._rounds)
        picks = ProbeAndExpand().pick(only(self._pool, left), known, budget=share, rng=self._rng, turn=turn)
        asked = left[[pick.row for pick in picks]].astype(np.int64)
        answers, kind = self._people.answers(asked, PLANTED // self._rounds, self._rng)
        named = np.flatnonzero(answers != REJECTED)
        found = self._checked(asked[named], answers[named], kind[named], known, self._due(number))
        answers[named] = np.where(found.left & found.asked, REJECTED, found.final)
        self._asked, self._answers = np.concatenate([self._asked, asked]), np.concatenate([self._answers, answers])
        return found

    def _due(self, number: int) -> int:
        limit = AnnotationSettings().second_opinions * LABELS
        return due_opinions(Purse("", "", limit, self._spent), number, self._rounds)

    def _checked(self, rows: NDArray[np.int64], first: NDArray[np.int64], kind: NDArray[np.int64], known: Known, due: int) -> Round:
        pool = only(self._pool, rows)
        found = doubts(pool, first, known)
        probability = _wrong(found)
        guessed = self._rng.choice(np.unique(first), len(first))  # by somebody who knows which classes there are
        self._shuffled.append((self._chance(found, first), self._chance(doubts(pool, guessed, known), guessed)))
        again = np.argsort(-probability, kind="stable")[:due]
        again = again[probability[again] >= DOUBTFUL]
        self._spent += len(again)
        final, doubt = first.copy(), probability.copy()
        if len(again):
            final[again], doubt[again] = self._settled(rows, first, again, found, known)
        left = (doubt > HALF) | (final == REJECTED)
        asked = np.isin(np.arange(len(rows)), again)
        return Round(rows, kind, first, final, probability, *_rivals(pool, first, known), asked, left)

    def _settled(
        self, rows: NDArray[np.int64], first: NDArray[np.int64], again: NDArray[np.int64], found: Doubts, known: Known
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """What the first and another person's answers come to, and how likely that is wrong."""
        second, _ = self._people.answers(rows[again], 0, self._rng)
        instead = first.copy()
        instead[again] = np.where(second == REJECTED, first[again], second)
        other = np.where(second == REJECTED, 0, doubts(only(self._pool, rows), instead, known).odds[again])
        usual = np.full((len(again), 2), USUALLY_WRONG)
        believed, doubt = settled(np.column_stack([found.odds[again], other]), usual, same=second == first[again])
        return np.where(believed, second, first[again]), doubt

    def _chance(self, found: Doubts, answers: NDArray[np.int64]) -> float:
        return chance_of_shuffled(found.heads, answers, rng=self._rng)

    def _known(self) -> Known:
        select, failures, asked = self._given.select, self._given.failures, self._asked
        before = (self._pool.embeddings[asked], self._answers, self._pool.predicted[asked]) if len(asked) else (None, None, None)  # type: ignore[index]  # the pool's answers are known
        told = self._said.argmax(1).astype(np.int64)
        return Known(select.rows, select.labels, told, self._said, failures.rows, failures.labels, *before)

    def _foretold(self, answers: Round) -> tuple[float, float, float]:
        held = answers.left & (answers.final != REJECTED)
        opinion = Opinion.of(self._known(), self._pool.embeddings[answers.rows], only(self._pool, answers.rows).probabilities)
        if opinion is None or not held.any():
            return 0.0, 0.0, 0.0
        rows, said = self._pool.embeddings[answers.rows][held], opinion.probabilities[held]
        found = balance(opinion.harm, (rows, said, answers.final[held]), rows=opinion.rows, said=opinion.said, truth=opinion.truth)
        return found.broken.estimate * 100, found.broken.low * 100, found.broken.high * 100

    def _retrained(self, answers: Round) -> tuple[float, tuple[float, float]]:
        """Flips on golden's select part if everything is trained on, less those without what is held back; and what all of it does."""
        select, right = self._given.select, self._said.argmax(1) == self._given.select.labels
        given = answers.final != REJECTED
        everything, kept = (self._trained(answers.rows[some], answers.final[some]) for some in (given, given & ~answers.left))
        broken = [(right & (head.answers(select.rows) != select.labels)).mean() for head in (everything, kept)]
        unchecked = measured(self._given, self._trained(answers.rows, answers.first))
        gain, flips = np.array(measured(self._given, kept)) - unchecked
        return float(100 * (broken[0] - broken[1])), (float(gain), float(flips))

    def _trained(self, asked: NDArray[np.int64], answers: NDArray[np.int64]) -> Head:
        given = self._given
        rows = np.concatenate([given.train.rows, given.pool.rows[asked], given.failures.rows])
        labels = np.concatenate([given.train.labels, answers, given.failures.labels])
        return train(rows, labels, given.classes, start=given.old)


def _wrong(found: Doubts) -> NDArray[np.float64]:
    """By one annotator of whom nothing is known."""
    return wrong(found.odds, np.full(len(found.odds), USUALLY_WRONG), np.zeros(len(found.odds), np.int64))


def _rivals(pool: Pool, answers: NDArray[np.int64], known: Known) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of the vote of neighbours alone, and of what the model in force says alone: 1 less the probability of the answer."""
    ground = Ground.of(known, pool.embeddings)
    unit, voters = ground.white(pool.embeddings), ground.voters
    vote = 1 - agreement(unit, answers, trusted=voters.rows, trusted_labels=voters.labels, scales=ground.scales)
    chances = np.column_stack([pool.probabilities, np.zeros(len(pool))]) if pool.probabilities is not None else np.zeros((len(pool), 1))
    model = 1 - chances[np.arange(len(pool)), np.minimum(answers, chances.shape[1] - 1)]
    return vote.astype(np.float64), np.asarray(model, np.float64)


# --- figures ----------------------------------------------------------------------------------------------------------


def _figures(label: str, trials: Sequence[Looked], *, barred: bool) -> list[Figure]:
    sent = _interval(trials, lambda one: (one.answers.kind[one.answers.asked] == Kind.PLANTED).sum())
    fewest = min(int((one.answers.kind[one.answers.asked] == Kind.PLANTED).sum()) for one in trials)
    return [
        Figure(f"{label}: planted labels sent back, of 10", f"{sent.mean:.1f} ± {sent.half:.1f}"),
        Figure(
            f"{label}: …, in the worst of {len(trials)} refreshes",
            str(fewest),
            f"≥ {LEAST_SENT_BACK}" if barred else "",
            fewest >= LEAST_SENT_BACK if barred else None,
        ),
        Figure(f"{label}: of wrong labels, sent back (recall)", _told(trials, lambda one: _recall(one, one.answers.asked))),
        Figure(f"{label}: of wrong labels alike and of forced junk, sent back", _kinds(trials)),
        Figure(f"{label}: of what is sent back, wrong (precision)", _told(trials, lambda one: _bad(one)[one.answers.asked].mean())),
        Figure(f"{label}: right labels sent back, of all", _told(trials, lambda one: _share(one.answers.asked, ~_bad(one)))),
        *(Figure(f"{label}: recall by {name} alone, as many sent back", _told(trials, partial(_by, name))) for name in ("vote", "model")),
        Figure(f"{label}: area under the curve; by the vote alone; by the model alone", _areas(trials)),
        Figure(f"{label}: wrong labels among those trained on, unchecked and in the end", _trained_wrong(trials)),
        Figure(f"{label}: what it does, Δ gain; Δ negative flips, points", _effects(trials)),
        Figure(f"{label}: right labels left out in the end, of all", _told(trials, lambda one: _share(one.answers.left, ~_bad(one)))),
    ]


def _bad(one: Looked) -> NDArray[np.bool_]:
    return np.asarray(one.answers.kind > 0)


def _share(chosen: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    return float(chosen[among].mean()) if among.any() else 0.0


def _recall(one: Looked, asked: NDArray[np.bool_]) -> float:
    return _share(asked, _bad(one))


def _by(name: str, one: Looked) -> float:
    """As many answers as the checks sent back, chosen by another score."""
    best = np.argsort(-np.nan_to_num(getattr(one.answers, name), nan=0.5), kind="stable")[: int(one.answers.asked.sum())]
    return _recall(one, np.isin(np.arange(len(one.right)), best))


def _interval(trials: Sequence[Looked], part: Callable[[Looked], float]) -> Interval:
    return Interval.of(np.array([part(one) for one in trials], np.float64))


def _told(trials: Sequence[Looked], part: Callable[[Looked], float]) -> str:
    found = _interval(trials, part)
    return f"{found.mean:.2f} ± {found.half:.2f}"


def _kinds(trials: Sequence[Looked]) -> str:
    alike = _told(trials, lambda one: _share(one.answers.asked, one.answers.kind == Kind.WRONG))
    return f"{alike}; {_told(trials, lambda one: _share(one.answers.asked, one.answers.kind == Kind.FORCED))}"


def _areas(trials: Sequence[Looked]) -> str:
    return "; ".join(_told(trials, partial(_area, name)) for name in ("probability", "vote", "model"))


def _area(name: str, one: Looked) -> float:
    return area(np.nan_to_num(getattr(one.answers, name), nan=0.5).astype(np.float32), _bad(one))


def _trained_wrong(trials: Sequence[Looked]) -> str:
    before = _told(trials, lambda one: _bad(one).mean())
    return f"{before}; {_told(trials, lambda one: (~one.right[~one.answers.left]).mean())}"


def _effects(trials: Sequence[Looked]) -> str:
    gain, flips = (Interval.of(column) for column in np.array([one.effect for one in trials]).T)
    return f"{gain}; {flips.mean:+.2f} ± {flips.half:.2f}"


def _calibration(label: str, trials: Sequence[Looked]) -> list[Figure]:
    told = reliability(
        np.concatenate([one.answers.probability for one in trials]).astype(np.float32), np.concatenate([_bad(one) for one in trials])
    )
    bins = "; ".join(f"{one.mean_risk:.2f}: {one.share:.2f} ({one.share_low:.2f} to {one.share_high:.2f})" for one in told.bins)
    return [
        Figure(f"{label}: mean probability, share wrong (95 %), five bins of {told.count:,} answers", bins),
        Figure(f"{label}: expected calibration error; of right probabilities", f"{told.error:.3f}; {told.chance:.3f}"),
    ]


def _people(trials: Sequence[Looked]) -> list[Figure]:
    return [
        Figure("all: batches whose annotator is taken for one who answers at random, and is not", _told(trials, lambda one: one.honest)),
        Figure("all: batches answered at random that are found", _told(trials, lambda one: one.random)),
    ]


def _flips(trials: Sequence[Looked]) -> list[Figure]:
    foretold, found = _told(trials, lambda one: one.foretold[0]), _told(trials, lambda one: one.flips)
    beyond = np.mean([one.flips > one.foretold[2] for one in trials])
    return [
        Figure("all: flips avoided by holding back, % of golden's select part: foretold; by retraining", f"{foretold}; {found}"),
        Figure("all: refreshes in which retraining shows more than the upper end", f"{beyond:.2f}"),
    ]
