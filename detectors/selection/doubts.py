"""How likely each answer of an annotator is wrong: by what is known of the classes, by what the other answers say, and by who gave it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit

from detectors.heads import held_out_discriminants
from detectors.selection.base import UNKNOWN, Known, Pool
from detectors.selection.gate import FEW, agreement
from detectors.selection.ground import Ground, Voters, scale_of
from detectors.selection.kernel import Scales, blocks

WITNESSES = ("neighbours", "domain", "other class", "heads")
"""What speaks of an answer, in the order of `Doubts.parts`: the vote around the row, how far it lies from all that is known of the class
named, how much nearer another class is, and heads that did not see the answer."""

_WEIGHTS = (0.59, 1.03, 0.53, 0.48)
_USUAL = (0.25, -0.23, -0.22, -2.1)
"""Of right answers, in the mean; also what counts where a witness has nothing to say."""

_OFFSET = -2.05
"""Log likelihood ratio of an answer of which all witnesses say what is usual of right ones."""

_FOLDS, _SURE, _FARTHEST, _WIDEST = 5, 6.0, 1.5, 2.0

_SPREAD = 1.0
"""Standard deviation, in log-odds, of how often somebody is wrong around what was known before."""

USUALLY_WRONG = 0.1
"""Share of the answers of somebody of whom nothing is known."""

LEAST_ANSWERS = 10
"""Of one annotator, from which their answers are looked at together."""

_COINCIDENCE = 0.2
"""How often two who are wrong about a row say the same."""

_PERMUTATIONS, _CHANCE, _SAME = 400, 0.05, 0.8


@dataclass(frozen=True, slots=True, eq=False)
class Doubts:
    """What is said of n answers.

    Attributes
    ----------
    parts : (n, 4) float64
        Log-odds that each of the `WITNESSES` adds to an answer being wrong; 0 for what is usual of right ones.
    instead : (n,) int64
        The class that heads think likeliest beside the one named.
    model : (n,) bool
        Whether confident learning counts the row to another class by what the model in force says. Told, not counted: candidates are
        asked about where that model fails, and beside the witnesses it made no ranking better, and that of turned images worse.
    heads : (n, C) float32
        Log probabilities of heads that did not see the answer; NaN where hardly anything is known.
    """

    parts: NDArray[np.float64]
    instead: NDArray[np.int64]
    model: NDArray[np.bool_]
    heads: NDArray[np.float32]

    @property
    def odds(self) -> NDArray[np.float64]:
        """(n,) log likelihood ratio of a wrong answer to a right one."""
        return np.asarray(_OFFSET + self.parts.sum(1), np.float64)


def doubts(answered: Pool, labels: NDArray[np.int64], known: Known) -> Doubts:
    """What is known beside these answers, and what they say of each other, held against each of them.

        log p(seen | wrong) / p(seen | right) = -2.05 + .59 (v + .75) + 1.03 (d + .23) + .53 (g + .22) + .48 (h + 2.1)

    v: share of the vote around the row that its label does not get, less 1 (`gate.agreement`); d and g: how far the row lies from the two
    nearest rows known of its class, and how much nearer the best other class is, on the scale of `Scales`; h: by how many nats heads prefer
    another class. Fitted by likelihood on answers of 40 refreshes, of text and of images, absent, starved and turned classes, with wrong
    labels of classes alike, labels planted in another domain and forced labels of junk; each kind of refresh was foretold as well by
    weights fitted on the others.

    The vote says nothing of a class with fewer than 5 trusted examples, and distances nothing of one that only this answer names: what
    nothing bears out may be new. Of a class that is known, a row far away is doubted whatever else it names: it was planted there.

    Parameters
    ----------
    labels : (n,) int64
        Classes; rejections are no labels.

    Notes
    -----
    Costs O(n (m + n) d) beside one head of the m reference rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.integers(0, 4, 300)
    >>> rows = (6 * np.eye(4, 8)[truth] + rng.standard_normal((300, 8))).astype(np.float32)
    >>> given = np.where(np.arange(300) < 203, truth, (truth + 1) % 4)
    >>> given[205:] = truth[205:]
    >>> found = doubts(Pool(rows[200:]), given[200:], Known(rows[:200], truth[:200]))
    >>> sorted(np.argsort(-found.odds)[:2].tolist())
    [3, 4]

    References
    ----------
    Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 2021.
    """
    if not len(labels) or labels.min() < 0:
        raise ValueError(f"labels: classes, at least one and no rejections; found {labels[:5].tolist()}")
    ground = Ground.of(known, answered.embeddings)
    unit, voters = ground.white(answered.embeddings), ground.voters
    vote = 1 - agreement(unit, labels, trusted=voters.rows, trusted_labels=voters.labels, scales=ground.scales)
    own, other = _closeness(unit, labels, voters, ground.scales)
    heads = _heads(answered.embeddings, labels, known)
    at, best = np.arange(len(labels)), heads.copy()
    best[at, labels] = -np.inf
    preferred = np.where(np.isnan(heads[:, 0]), np.nan, np.clip(best.max(1) - heads[at, labels], -_SURE, _SURE))
    few = ~np.isin(labels, np.flatnonzero(np.bincount(voters.labels, minlength=1) >= FEW))
    said = np.column_stack([np.where(few, np.nan, vote), -own, np.clip(other - own, -_WIDEST, _WIDEST), preferred]).astype(np.float64)
    usual = np.array(_USUAL)
    parts = np.array(_WEIGHTS) * (np.where(np.isnan(said), usual, said) - usual)
    return Doubts(parts, best.argmax(1).astype(np.int64), _counted_elsewhere(answered, labels, known), heads)


def _closeness(
    unit: NDArray[np.float32], labels: NDArray[np.int64], voters: Voters, scales: Scales
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n,) how close each row is to what else is known of its class, NaN where that is nothing, and to the best other class."""
    rows, classes = np.concatenate([voters.rows, unit]), np.concatenate([voters.labels, labels])
    order = classes.argsort(kind="stable")
    names, first, sizes = np.unique(classes[order], return_index=True, return_counts=True)
    place = np.searchsorted(names, labels)
    own, other = np.empty(len(unit), np.float32), np.empty(len(unit), np.float32)
    rank = np.empty(len(rows), np.int64)
    rank[order] = np.arange(len(rows))
    for part in blocks(np.arange(len(unit))):
        cosine = unit[part] @ rows[order].T
        at = np.arange(len(part))
        cosine[at, rank[len(voters.rows) + part]] = -np.inf
        nearest = _two_nearest(cosine, first, sizes)
        own[part] = nearest[at, place[part]]
        nearest[at, place[part]] = -np.inf
        other[part] = nearest.max(1)
    low = scales.zero - 2 * _FARTHEST * (scales.half - scales.zero)
    alone = ~np.isfinite(own)
    far, near = ((np.maximum(c, low) - scales.zero) / (2 * (scales.half - scales.zero)) for c in (own, other))
    lone = np.where(alone, np.nan, np.minimum(far, _FARTHEST))
    return lone.astype(np.float32), np.minimum(near, _FARTHEST).astype(np.float32)


def _two_nearest(cosine: NDArray[np.float32], first: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n, C) mean cosine of the two nearest rows of each class, whose columns begin at `first`; of a class of one or two the nearest."""
    nearest = np.maximum.reduceat(cosine, first, axis=1)
    at = np.repeat(np.arange(len(first)), np.diff([*first, cosine.shape[1]]))
    masked = np.where(cosine >= nearest[:, at], -np.inf, cosine)
    second = np.maximum.reduceat(masked, first, axis=1)
    both = np.isfinite(second) & (sizes > 2)
    return np.where(both, (nearest + np.where(both, second, 0)) / 2, nearest).astype(np.float32)


def _heads(rows: NDArray[np.float32], labels: NDArray[np.int64], known: Known) -> NDArray[np.float32]:
    """(n, C) log probabilities by discriminants of the reference, of failures, of earlier answers and of four fifths of these; NaN where
    hardly anything is known."""
    base, classes = _labelled(known)
    if len(base) < 2 * _FOLDS:
        return np.full((len(rows), max([*labels.tolist(), *classes.tolist()]) + 1), np.nan, np.float32)
    everything, given = np.concatenate([base, rows]), np.concatenate([classes, labels])
    folds = np.concatenate([np.arange(len(base)) % _FOLDS, np.random.default_rng(0).permutation(len(rows)) % _FOLDS])
    said = held_out_discriminants(everything, given, folds, int(given.max()) + 1)
    steep = scale_of(said[: len(base)], classes)
    return np.asarray(log_softmax(said[len(base) :] * np.float32(steep), axis=1), np.float32)


def _labelled(known: Known) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """All rows of which a class is known."""
    rows, classes = [], []
    said = known.predicted if known.labels is None else known.labels
    for part, labels in ((known.reference, said), (known.failures, known.failure_labels), (known.answered, known.answers)):
        if part is not None and labels is not None:
            rows.append(part[labels >= 0])
            classes.append(labels[labels >= 0])
    if not rows:
        return known.reference[:0], np.empty(0, np.int64)
    return np.concatenate(rows), np.concatenate(classes)


def _counted_elsewhere(answered: Pool, labels: NDArray[np.int64], known: Known) -> NDArray[np.bool_]:
    """(n,) of the classes that a row is likelier of than the reference's rows labelled so are in the mean, whether another is best."""
    nothing = np.zeros(len(labels), np.bool_)
    if answered.probabilities is None or known.probabilities is None or known.labels is None:
        return nothing
    count = known.probabilities.shape[1]
    able = (known.labels != UNKNOWN) & (known.labels < count) & np.isfinite(known.probabilities).all(1)
    if not able.any():
        return nothing
    classes = known.labels[able]
    own = known.probabilities[able][np.arange(len(classes)), classes]
    rows = np.bincount(classes, minlength=count)
    limits = np.where(rows > 0, np.bincount(classes, own, count) / np.maximum(rows, 1), 1)
    chances = np.nan_to_num(answered.probabilities, nan=0.0)
    able_there = np.where(chances >= limits, chances, -1)
    return np.asarray((able_there.max(1) >= 0) & (able_there.argmax(1) != labels))


# --- who answered -------------------------------------------------------------------------------------------------


def wrong(odds: NDArray[np.float64], before: NDArray[np.float64], annotator: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) probability that each answer is wrong.

        p = sigmoid(odds + logit(before) + δ(annotator)),

    where `before` (n,) is how likely it was to be wrong by who gave it and who agreed, and δ moves that to what the answers show: for
    each annotator the maximum of the likelihood of all that is seen, Σ log(π e^odds + 1 - π), with δ normal around 0 with a spread of 1.
    `annotator` (n,) are numbers from 0; answers with one below are of several people, and δ is 0.

    Examples
    --------
    >>> odds = np.array([3.0, -3, -3, -3, -3, -3, -3, -3])
    >>> wrong(odds, np.full(8, 0.1), np.zeros(8, np.int64)).round(2)[:2].tolist()
    [0.68, 0.01]
    >>> bool(wrong(np.full(40, 2.0), np.full(40, 0.1), np.zeros(40, np.int64)).min() > 0.9)
    True

    References
    ----------
    Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", Neural Computation 2002.
    """
    usual = logit(np.clip(before, 1e-4, 1 - 1e-4))
    shift = np.zeros(len(odds))
    for one in np.unique(annotator[annotator >= 0]).tolist():
        own = annotator == one
        shift[own] = _shift(odds[own], usual[own])
    return np.asarray(expit(odds + usual + shift), np.float64)


def _shift(odds: NDArray[np.float64], usual: NDArray[np.float64]) -> float:
    def loss(delta: float) -> float:
        rate = expit(usual + delta)
        return float(-np.log(rate * np.exp(np.minimum(odds, 30)) + 1 - rate).sum() + delta**2 / (2 * _SPREAD**2))

    return float(minimize_scalar(loss, bounds=(-4, 6), method="bounded").x)


def settled(
    odds: NDArray[np.float64], wrong: NDArray[np.float64], *, same: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """What n pairs of answers to the same rows come to: whether the second is believed (n,), and the probability that what is believed is
    wrong (n,).

    Where they differ one of them is right, or neither is:

        p(first) ∝ (1 - w₁) w₂ e^-odds₁,   p(second) ∝ w₁ (1 - w₂) e^-odds₂,   p(neither) ∝ w₁ w₂.

    Where they are the same, both are wrong with odds e^odds w₁ w₂ / 5 to (1 - w₁) (1 - w₂): of two who are wrong about a row, one in five
    says the same.

    Parameters
    ----------
    odds : (n, 2) float64
        Of each answer, as `Doubts.odds`; 0 for a rejection, of which nothing is known.
    wrong : (n, 2) float64
        How likely each was to be wrong by who gave it.
    same : (n,) bool

    Examples
    --------
    >>> odds, usual = np.array([[4.0, -3.0], [4.0, 4.0], [-3.0, 4.0]]), np.full((3, 2), 0.1)
    >>> second, left = settled(odds, usual, same=np.array([False, True, False]))
    >>> second.tolist(), left.round(2).tolist()
    ([True, False, False], [0.01, 0.12, 0.01])
    """
    usual = np.clip(wrong, 1e-4, 1 - 1e-4)
    agreed = expit(odds[:, 0] + logit(usual).sum(1) + np.log(_COINCIDENCE))
    weight = np.exp(-np.clip(odds, -30, 30)) * (1 - usual) * usual[:, ::-1]
    total = weight.sum(1) + usual.prod(1)
    second = ~same & (weight[:, 1] > weight[:, 0])
    return second, np.where(same, agreed, 1 - np.where(second, weight[:, 1], weight[:, 0]) / total)


def chance_of_shuffled(heads: NDArray[np.float32], labels: NDArray[np.int64], *, rng: np.random.Generator) -> float:
    """p value of one annotator's answers (n,) against the same answers in any order: how well (n, C) log probabilities say that they fit.

    Near 0 for whoever looks at the rows; anything for whoever answers at random. 0 where there are fewer than 10 answers or three
    classes, or heads know nothing: nothing can be told.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = rng.integers(0, 4, 30)
    >>> heads = np.log(np.where(np.eye(4)[labels] > 0, 0.7, 0.1)).astype(np.float32)
    >>> chance_of_shuffled(heads, labels, rng=rng) < 0.01, chance_of_shuffled(heads, rng.permutation(labels), rng=rng) > 0.01
    (True, True)
    """
    if len(labels) < LEAST_ANSWERS or len(np.unique(labels)) < 3 or np.isnan(heads).any():
        return 0.0
    fits = heads[:, labels].astype(np.float64)
    at = np.arange(len(labels))
    own = np.trace(fits)
    shuffled = np.array([fits[at, rng.permutation(len(labels))].sum() for _ in range(_PERMUTATIONS)])
    return float((1 + (shuffled >= own - 1e-9).sum()) / (1 + _PERMUTATIONS))


def at_random(chance: float) -> bool:
    """Whether answers with this `chance_of_shuffled` can't be told from shuffled ones."""
    return chance > _CHANCE


def always_the_same(labels: NDArray[np.int64], probability: NDArray[np.float64]) -> bool:
    """Whether four fifths of at least 10 answers (n,) are one class, and most of these wrong by expectation: p (n,) of each.

    One class alone says nothing: a batch may be of one new topic.

    Examples
    --------
    >>> same = np.zeros(20, np.int64)
    >>> always_the_same(same, np.full(20, 0.05)), always_the_same(same, np.full(20, 0.8))
    (False, True)
    """
    if len(labels) < LEAST_ANSWERS:
        return False
    usual = labels == np.bincount(labels).argmax()
    return bool(usual.mean() >= _SAME and probability[usual].mean() > 0.5)
