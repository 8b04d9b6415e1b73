"""One refresh by one way of choosing: pick, annotate, pick again, retrain, measure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.selection.head import Head, train
from benchmarks.selection.scenarios import Labelled, Part, World, world
from detectors.selection import REJECTED, Known, Pool, Selector, Turn

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Situation:
    """What the selector is told; failure samples are trained on in any case, unless `trained` is False."""

    failures: bool = True
    logits: bool = True
    trained: bool = True
    spoilt: float = 0.0
    """Share of the failure samples that are junk or have a wrong label, half of each."""


TOLD = Situation()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one refresh. Shares are of the rows that were asked about."""

    gain: float
    """Accuracy points on the failing slice."""
    flips: float
    """Per cent of golden's test rows that the old model got right and the new one gets wrong."""
    useful: float
    ordinary: float
    junk: float
    repeated: float
    """Near-duplicates of another one that was asked about."""
    asked: int


cached_world = lru_cache(maxsize=2)(world)
"""One takes about a second."""


def trial(name: str, seed: int, selector: Selector, budget: int, *, situation: Situation = TOLD, rounds: int = ROUNDS) -> Outcome:
    """The same for the same seed, whatever other trials there are."""
    given = cached_world(name, seed)
    failures = known_failures(given, situation, np.random.default_rng([seed, 1]))
    rows = chosen(given, selector, budget, situation=situation, failures=failures, rounds=rounds, rng=np.random.default_rng([seed, 2]))
    return outcome(given, rows, failures if situation.trained else None)


def oracle(name: str, seed: int, budget: int) -> Outcome:
    """What distinct rows of the failing slice would have done, drawn by someone who knows them."""
    given, rng = cached_world(name, seed), np.random.default_rng([seed, 3])
    useful = np.unique(given.pool.original[given.pool.part == Part.FAILING])
    return outcome(given, rng.permutation(useful)[:budget], given.failures)


def outcome(given: World, asked: NDArray[np.int64], failures: Labelled | None) -> Outcome:
    """Of a refresh that asked about these rows."""
    gain, flips = measured(given, retrained(given, asked, failures))
    return Outcome(gain, flips, *composition(given, asked), asked=len(asked))


def chosen(  # noqa: PLR0913 - what a refresh is made of
    given: World,
    selector: Selector,
    budget: int,
    *,
    situation: Situation,
    failures: Labelled,
    rounds: int = ROUNDS,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Rows of the pool that were asked about, in order; what one round leaves of its budget goes to the next ones."""
    view = _View(given, situation, failures)
    asked = np.empty(0, np.int64)
    for number in range(1, rounds + 1):
        share = -(-(budget - len(asked)) // (rounds - number + 1))
        left = np.setdiff1d(np.arange(len(given.pool)), asked)
        picks = selector.pick(view.pool(left), view.known(asked), budget=share, rng=rng, turn=Turn(number, rounds)) if share else ()
        asked = np.concatenate([asked, left[[pick.row for pick in picks]]]).astype(np.int64)
    return asked


class _View:
    """What a selector sees of a world."""

    def __init__(self, given: World, situation: Situation, failures: Labelled) -> None:
        self._world, self._logits = given, situation.logits
        self._failures = failures if situation.failures else None
        self._chances = given.old.probabilities(given.pool.rows)
        self._selected = given.old.probabilities(given.select.rows)

    def pool(self, left: NDArray[np.int64]) -> Pool:
        """The rows nobody was asked about."""
        chances = self._chances[left] if self._logits else None
        return Pool(self._world.pool.rows[left], chances, None if chances is None else chances.argmax(1).astype(np.int64))

    def known(self, asked: NDArray[np.int64]) -> Known:
        """Golden's select part, the failures and the answers so far."""
        select, logits = self._world.select, self._logits
        return Known(
            select.rows,
            select.labels,
            predicted=self._selected.argmax(1).astype(np.int64) if logits else None,
            probabilities=self._selected if logits else None,
            failures=None if self._failures is None else self._failures.rows,
            failure_labels=None if self._failures is None else self._failures.labels,
            answered=self._world.pool.rows[asked],
            answers=self._world.pool.answers[asked],
            answered_predicted=self._chances[asked].argmax(1).astype(np.int64) if logits else None,
        )


def known_failures(given: World, situation: Situation, rng: np.random.Generator) -> Labelled:
    """Those of the world, or with a share spoilt: junk under some class, and right samples under a wrong one."""
    found = given.failures
    rows, labels = found.rows.copy(), found.labels.copy()
    bad = rng.permutation(len(found))[: int(np.ceil(situation.spoilt * len(found)))]
    labels[bad] = (labels[bad] + rng.integers(1, given.classes, len(bad))) % given.classes
    junk = np.flatnonzero(given.pool.truth == REJECTED)
    strange = bad[: -(-len(bad) // 2)]
    rows[strange] = given.pool.rows[rng.choice(junk, len(strange))]
    return Labelled(rows, labels)


def retrained(given: World, asked: NDArray[np.int64], failures: Labelled | None) -> Head:
    """The old model's rows, the failures and what was answered, but for what was rejected."""
    answers = given.pool.answers[asked]
    used = asked[answers != REJECTED]
    parts = [given.train, Labelled(given.pool.rows[used], answers[answers != REJECTED]), *([failures] if failures else [])]
    rows, labels = np.concatenate([part.rows for part in parts]), np.concatenate([part.labels for part in parts])
    return train(rows, labels, given.classes, start=given.old)


def measured(given: World, new: Head) -> tuple[float, float]:
    """Gain in points and negative flips in per cent."""
    before, after = (100 * (head.answers(given.held_out.rows) == given.held_out.labels).mean() for head in (given.old, new))
    right = given.old.answers(given.test.rows) == given.test.labels
    flips = 100 * (right & (new.answers(given.test.rows) != given.test.labels)).mean()
    return float(after - before), float(flips)


def composition(given: World, asked: NDArray[np.int64]) -> tuple[float, float, float, float]:
    """Useful, ordinary, junk and repeated shares."""
    if not len(asked):
        return 0.0, 0.0, 0.0, 0.0
    part = given.pool.part[asked]
    junk = np.isin(part, (Part.SCATTERED, Part.DENSE)).mean()
    useful = (part == Part.FAILING).mean()
    repeated = 1 - len(np.unique(given.pool.original[asked])) / len(asked)
    return float(useful), float(1 - useful - junk), float(junk), float(repeated)
