"""A training set drawn from a pool whose labels are noisy, without asking anybody: which rows, and with which label.

Four steps, none of which takes a weak label for the truth.

*Labels.* Pool, labelled reference and failures go through `label_errors` together: cross-validated heads and nearest rows, which
have not seen a row's own label, weigh it by how often labels of its class are wrong, as anchors show. The class believed is the
weak label y or the likeliest other one, with p(right | x, y); rows below .7 are left out.

*The failing mass.* A discriminant with one covariance S, shrunk by a tenth, tells failures (mean f) from reference rows that the
model gets right (mean r):

    p(failing | x, c) = sigmoid((x - (f + r) / 2) · S⁻¹ (f - r) + log (share of class c in failures / in reference rows)),

shares counted with one row more of each class. Nearness to single failures finds what is next to them; this finds what failed
for the same reason, whatever its class. It assumes one reason: of failures that lie on both sides of what works, draw for each
kind apart.

*No junk.* `label_errors` knows classes alone, so that junk in a dense cluster is as good as sure of one. Where nothing is right,
weak labels are any: a row is left out if as many of its 20 nearest rows would have its class by chance (binomial, 5 %). Of
near-duplicates one is taken.

*The draw.* Of rows above .5, class by class in proportion to the failing mass Σ p(failing) p(right), at random with chances that
grow with p(failing) p(right). So the set is like what production brings, and classes on which the model fails do not push out
those it gets right there: taking the rows nearest to the failures lifts accuracy on failures and loses more beside them.

References
----------
Singla et al., "Data-centric debugging: mitigating model failures via targeted image retrieval", WACV 2024 (the task).
Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import binom

from detectors.label_errors import label_errors
from detectors.neighbours import nearest_rows
from detectors.selection.base import UNKNOWN, Known, Pool, check
from detectors.selection.duplicates import merge_duplicates
from detectors.selection.kernel import Scales, directions

SURE = 0.7
"""Probability that a label is right from which a row is trained on."""

FAILING = 0.5
"""Probability that a row is of the failing mass from which it can be drawn."""

_VOTES, _CHANCE = 20, 0.05
"""Nearest rows whose weak labels vote, and how likely as many votes for a row's class may be by chance: around junk labels are any."""

_MOST, _SAME = 20_000, 1e-3
"""Rows whose neighbours are asked; share of the usual distance to the last of them below which a neighbour is a copy."""

_SHRINK = 0.1
"""Share of the covariance that is taken to be the same in all directions."""

_LABELS_PART = 0.9
"""Of the work."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """b rows to train on, and what is believed of all n rows of the pool.

    Attributes
    ----------
    rows : (b,) int64
        Positions in the pool, those most surely of the failing mass and rightly labelled first.
    labels : (n,) int64
        The class believed of each row: its weak label or, where another class is likelier, that one; UNKNOWN without a weak label.
    right : (n,) float64
        Probability that this class is right; 0 without a weak label. Where it is another class than the weak label's, the probability
        that the weak label is wrong: of rows so relabelled at least as many were right in measurements.
    failing : (n,) float64
        Probability that the row is of the failing mass, if half of the pool were.
    noise : (C,) float64
        Estimated share of wrong labels among those that name each class; NaN for classes that none names.
    echo
        Share of the failing mass's weak labels that are the model's own answer; NaN where these are not known. Near 1 the labels
        share its errors, and what is drawn would teach them again.
    agreement
        Share of the weak labels nearest to the failures, among the failing mass, that name the failure's right class; NaN without any.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    right: NDArray[np.float64]
    failing: NDArray[np.float64]
    noise: NDArray[np.float64]
    echo: float
    agreement: float


def draw(
    pool: Pool,
    known: Known,
    *,
    budget: int,
    rng: np.random.Generator,
    progress: Callable[[float], None] = lambda _: None,
) -> Drawn:
    """At most `budget` rows of the failing mass whose class is as good as sure, in the shares that its classes have.

    The module says how. No weak label is taken for the truth, and without `failures` nothing says what to draw.

    Parameters
    ----------
    pool : Pool
        With `weak` labels of at least two classes; rows without one are not drawn.
    known : Known
        With `failures` and `failure_labels`.
    budget
        Rows at most; fewer come where fewer are sure.

    Notes
    -----
    Costs what `label_errors` does, O(n (n + C) d) up to 15,000 rows. Errors that neighbours share stay undetected. A model's own answers
    to what it fails on are the worst case: `echo` tells, and `agreement` where another model made the same errors.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth, fails = rng.integers(0, 3, 900), np.arange(900) % 3 == 0
    >>> rows = (4 * np.eye(3, 8)[truth] + 4 * np.outer(fails, np.eye(8)[7]) + rng.standard_normal((900, 8))).astype(np.float32)
    >>> weak = np.where(rng.random(900) < 0.3, rng.integers(0, 3, 900), truth)
    >>> pool = Pool(rows[:600], weak=weak[:600])
    >>> known = Known(rows[600:][~fails[600:]], truth[600:][~fails[600:]], failures=rows[600:630][fails[600:630]],
    ...               failure_labels=truth[600:630][fails[600:630]])
    >>> drawn = draw(pool, known, budget=100, rng=rng)
    >>> bool(fails[drawn.rows].mean() > 0.95), bool((drawn.labels == truth[:600])[drawn.rows].mean() > 0.95)
    (True, True)
    """
    check(pool, known, budget)
    weak, failures, failure_labels = _checked(pool, known)
    labels, right = _believed(pool, weak, known, rng=rng, progress=lambda done: progress(_LABELS_PART * done))
    failing = expit(_apart(pool.embeddings, failures, known.right) + _more_often(labels, known, failure_labels))
    worth = failing * right
    able = np.flatnonzero((weak != UNKNOWN) & (right >= SURE) & (failing >= FAILING))
    able = _distinct(_drawn(able, labels, worth, _MOST, rng), pool, known)
    rows = _drawn(able[_backed(able, labels, pool.embeddings, weak)], labels, worth, budget, rng)
    progress(1.0)
    noise = _noise(weak, labels, right, int(max(weak.max(), failure_labels.max())) + 1)
    mass = np.flatnonzero((weak != UNKNOWN) & (failing >= FAILING))
    agreement = _agreement(mass, pool.embeddings, weak, failures=failures, failure_labels=failure_labels)
    return Drawn(rows, labels, right, failing, noise, _echo(mass, pool, weak), agreement)


def _apart(rows: NDArray[np.float32], failures: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n,) log-odds by place that (n, d) rows are of the mass of failures (f, d), and not of rows (r, d) that the model gets right."""
    means = failures.mean(0, dtype=np.float64), right.mean(0, dtype=np.float64)
    within = np.concatenate([failures - means[0], right - means[1]])
    spread = within.T @ within / len(within)
    scale = max(float(np.trace(spread)) / len(spread), float(np.finfo(np.float32).tiny))
    slope = np.linalg.solve((1 - _SHRINK) * spread + _SHRINK * scale * np.eye(len(spread)), means[0] - means[1])
    return np.asarray((rows - (means[0] + means[1]) / 2) @ slope, np.float64)


def _more_often(labels: NDArray[np.int64], known: Known, failure_labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) log of how much more often rows of each label are found among failures than among labelled reference rows the model gets
    right; 0 where the reference has no labels."""
    if known.labels is None:
        return np.zeros(len(labels))
    right = known.labels != UNKNOWN if known.predicted is None else (known.labels != UNKNOWN) & (known.labels == known.predicted)
    named, told = failure_labels[failure_labels != UNKNOWN], known.labels[right]
    classes = int(max(part.max(initial=0) for part in (labels, named, told))) + 1
    shares = [(np.bincount(part, minlength=classes) + 1) / (len(part) + classes) for part in (named, told)]
    return np.where(labels == UNKNOWN, 0.0, np.log(shares[0] / shares[1])[labels])


def _checked(pool: Pool, known: Known) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Weak labels, failures and their labels, which all have to be there."""
    if pool.weak is None or not (pool.weak != UNKNOWN).any():
        raise ValueError("weak: a noisy label for some of the pool's rows at least, found none")
    if known.failures is None or known.failure_labels is None or not len(known.failures):
        raise ValueError("failures: at least one with its right class, found none: nothing says what to draw")
    if len(np.unique(pool.weak[pool.weak != UNKNOWN])) < 2:
        raise ValueError("weak: labels of two classes at least, found one: nothing tells its wrong ones from the right ones")
    return pool.weak, known.failures, known.failure_labels


def _believed(
    pool: Pool, weak: NDArray[np.int64], known: Known, *, rng: np.random.Generator, progress: Callable[[float], None]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(n,) the class believed of each row of the pool, and with what probability."""
    named = np.flatnonzero(weak != UNKNOWN)
    rows, labels = [pool.embeddings[named]], [weak[named]]
    for more, given in ((known.reference, known.labels), (known.failures, known.failure_labels)):
        if more is not None and given is not None:
            rows.append(more[given != UNKNOWN])
            labels.append(given[given != UNKNOWN])
    classes, numbers = np.unique(np.concatenate(labels), return_inverse=True)
    found = label_errors(np.concatenate(rows), numbers.astype(np.int64), rng=rng, progress=progress)
    wrong, suggested = found.probability[: len(named)], classes[found.suggested[: len(named)]]
    believed, right = np.full(len(weak), UNKNOWN, np.int64), np.zeros(len(weak))
    believed[named] = np.where(wrong > 0.5, suggested, weak[named])
    right[named] = np.maximum(wrong, 1 - wrong)
    return believed, right


def _distinct(able: NDArray[np.int64], pool: Pool, known: Known) -> NDArray[np.int64]:
    """One of each group of near-duplicates."""
    centre = known.reference.mean(0)
    limit = Scales.fit(directions(known.reference, centre)).duplicate
    stands = merge_duplicates(directions(pool.embeddings[able], centre), limit)
    return np.asarray(able[stands == np.arange(len(able))], np.int64)


def _backed(
    able: NDArray[np.int64], labels: NDArray[np.int64], embeddings: NDArray[np.float32], weak: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(a,) whether more weak labels near each of the rows name its class than would by chance; copies have no vote."""
    named = np.flatnonzero(weak != UNKNOWN)
    if not len(able):
        return np.zeros(0, np.bool_)
    near = nearest_rows(embeddings[able], embeddings[named], min(_VOTES + 1, len(named)))
    voter = named[near.row]
    votes = (near.distance > _SAME * np.median(near.distance[:, -1])) & (voter != able[:, None])
    agreed = (votes & (weak[voter] == labels[able][:, None])).sum(1)
    share = np.bincount(weak[named], minlength=int(labels.max()) + 1) / len(named)
    return np.asarray(binom.sf(agreed - 1, votes.sum(1), share[labels[able]]) < _CHANCE, np.bool_)


def _drawn(
    able: NDArray[np.int64], labels: NDArray[np.int64], worth: NDArray[np.float64], budget: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """At most `budget` of the rows, classes by the mass they have; those worth most first.

    A row's key is the place of its class's turn at which it comes: its rank in a draw with chances by worth over its class's mass.
    """
    if len(able) > budget:
        order = able[np.argsort(np.log(worth[able]) + rng.gumbel(size=len(able)))[::-1]]
        classes, member = np.unique(labels[order], return_inverse=True)
        mass = np.bincount(member, worth[order], len(classes))
        turn = np.empty(len(order))
        for which in range(len(classes)):
            at = np.flatnonzero(member == which)
            turn[at] = (np.arange(len(at)) + 0.5) / mass[which]
        able = order[np.argsort(turn, kind="stable")[:budget]]
    return np.asarray(able[np.argsort(-worth[able], kind="stable")], np.int64)


def _echo(mass: NDArray[np.int64], pool: Pool, weak: NDArray[np.int64]) -> float:
    said = np.full(len(pool), UNKNOWN) if pool.predicted is None else pool.predicted
    told = mass[said[mass] != UNKNOWN]
    return float((said[told] == weak[told]).mean()) if len(told) else np.nan


def _agreement(
    mass: NDArray[np.int64],
    embeddings: NDArray[np.float32],
    weak: NDArray[np.int64],
    *,
    failures: NDArray[np.float32],
    failure_labels: NDArray[np.int64],
) -> float:
    if not len(mass):
        return np.nan
    near = mass[nearest_rows(failures, embeddings[mass], min(_VOTES // 2, len(mass))).row]
    return float((weak[near] == failure_labels[:, None]).mean())


def _noise(weak: NDArray[np.int64], labels: NDArray[np.int64], right: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    named = np.flatnonzero(weak != UNKNOWN)
    wrong = np.where(labels[named] == weak[named], 1 - right[named], right[named])
    counts = np.bincount(weak[named], minlength=classes)
    return np.where(counts > 0, np.bincount(weak[named], wrong, classes) / np.maximum(counts, 1), np.nan)
