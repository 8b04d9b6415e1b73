"""Which labels of a set are wrong: how likely each, what would be right, and how many there are.

Two witnesses that never saw a row's own label say what it is: linear heads, cross-validated with near-duplicates in one fold, and the
vote of its 20 nearest rows, near-duplicates left out. Their belief is p(i | x) ∝ exp(a · heads + b · log votes). How labels go wrong,
p(j | i), is counted on anchors, rows that look more like a class than 70 % of those labelled so: confident learning's joint with stricter
thresholds, as rows at the boundary of two classes are ambiguous rather than wrong; rates of pairs are shrunk towards how many errors fall
anywhere and how many on classes alike. a and b maximise the likelihood of the labels given, and

    p(wrong | x, j) = 1 - p(j | x) p(j | j) / Σ p(i | x) p(j | i).

A second round trusts each row as far as the first found it right. Last, the log-odds against the rate of the whole set count
m² / (m² + 25) in a class with m other rows: rare classes look wrong whenever little is known of them. Self-influence is told, not counted:
beside the two witnesses it made no ranking better.

Where classes overlap, right labels look wrong in the same way. The lower end of the rate is therefore at most what the labels demand of the
law: the share of its errors that softer beliefs with fewer errors can't make up for, by likelihood.

References
----------
Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 2021.
Liu and Tao, "Classification with noisy labels by importance reweighting", IEEE TPAMI 2016 (anchors).
Patrini, Rozza, Menon, Nock and Qu, "Making deep neural networks robust to label noise: a loss correction approach", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, logit
from scipy.stats import beta, rankdata

from detectors.cells import nearest_in_cells
from detectors.clustering import kmeans, nearest
from detectors.heads import held_out_discriminants, stratified_folds
from detectors.influence import LastLayer
from detectors.label_noise import Beliefs, NoiseLaw
from detectors.neighbours import Neighbours, nearest_rows

FOLDS = 5

MOST_CELLS = 250_000_000
"""Rows times classes: 1 GB of held-out probabilities."""

EXACT = 15_000
"""Rows up to which neighbours are looked for everywhere."""

_REGIONS, _FITTED = 256, 20_000

_NEIGHBOURS, _SHARP, _BLOCK = 20, 1.5, 8_192
_ROUNDS, _FIRST_RATE, _NONE = 2, 0.1, 1e-6

_HALF_KNOWN = 5
"""Other rows of a class with which what is said of it counts half."""

_COPY, _SAME = 0.45, 1e-3
"""Of the median distance to the nearest row: below it two rows are near-duplicates, and copies."""


class Rate(NamedTuple):
    """Share of wrong labels, with a 95 % interval; ambiguous ones are in the estimate and not in the lower end."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class LabelErrors:
    """What is known of n labels of C classes."""

    probability: NDArray[np.float64]
    """(n,) that the label is wrong."""
    suggested: NDArray[np.int64]
    """(n,) the most probable class beside the label."""
    held_out: NDArray[np.float32]
    """(n, C) probabilities of the heads that did not see the row."""
    neighbours: NDArray[np.float32]
    """(n,) weighted share of the nearest rows that has the same label, near-duplicates left out; NaN where none is left."""
    influence: NDArray[np.float32]
    """(n,) rank of the self-influence, 0 to 1: near 1 where only the row itself speaks for its label."""
    confident: NDArray[np.bool_]
    """(n,) whether confident learning counts the row to another class."""
    alone: NDArray[np.bool_]
    """(n,) rows with no other of their class but copies: nothing is known of them but the rate of the whole set."""
    rate: Rate
    demanded: float
    """Least share of the errors that classes which overlap don't explain as well: below .5, what looks wrong may mostly be ambiguous."""

    def ranked(self, budget: int) -> NDArray[np.int64]:
        """At most `budget` rows, the most probably wrong first."""
        return np.asarray(np.argsort(-self.probability, kind="stable")[:budget], np.int64)

    def expected(self, budget: int) -> float:
        """Wrong labels among the rows that the budget reaches."""
        return float(self.probability[self.ranked(budget)].sum())


def label_errors(
    rows: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    rng: np.random.Generator,
    centres: NDArray[np.float32] | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> LabelErrors:
    """How likely each label of a set is wrong, from its embeddings alone; the module says how.

    Assumes that errors depend on the class and not on the row, and that most labels of each class are right. Rows that fit no label
    come out as wrong too, and so do right labels of classes that overlap by more than their spread: in heavy tails, or where one is wider.
    Above 15,000 rows neighbours are looked for in the cells around a row only.

    Parameters
    ----------
    rows : (n, d) float32
        Embeddings, at least 5 that are no copies of each other.
    labels : (n,) int64
        0 to C - 1, of two classes at least.
    centres : (c, d) float32, optional
        Of cells that the rows fall into; without them a large set is clustered first.

    Notes
    -----
    Costs O(n d (d + C)) for heads and influence, and O(n d) times up to 15,000 for neighbours; memory 8 n C + 12 n d bytes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.integers(0, 4, 400)
    >>> rows = (4 * np.eye(4, 8)[truth] + rng.standard_normal((400, 8))).astype(np.float32)
    >>> given = np.where(np.arange(400) < 20, (truth + 1) % 4, truth)
    >>> found = label_errors(rows, given, rng=rng)
    >>> int((found.ranked(20) < 20).sum()), bool(found.rate.low < 0.05 < found.rate.high)
    (20, True)
    """
    classes = _checked(rows, labels)
    near = _neighbours(rows, centres, rng, lambda done: progress(done / 2))
    groups = _near_duplicates(near)
    votes = _closeness(near) * (groups[near.row] != groups[:, None])
    folds = stratified_folds(labels, groups, FOLDS, rng=rng)
    law, right = NoiseLaw.uniform(classes, _FIRST_RATE), np.ones(len(rows), np.float32)
    for turn in range(_ROUNDS):
        heads = held_out_discriminants(rows, labels, folds, classes, weights=right)
        beliefs = Beliefs(labels, heads, near.row, votes * right[near.row])
        law = beliefs.law(beliefs.fitted(law, rng=rng))
        odds, suggested = beliefs.against(beliefs.fitted(law, rng=rng), law)
        right = expit(-odds).astype(np.float32)
        progress(0.5 + 0.4 * (turn + 1) / _ROUNDS)
    company = _company(labels, groups)
    demanded = beliefs.demanded(law, rng=rng.spawn(1)[0])
    held_out = _held_out(beliefs, rng)
    influence = rankdata(LastLayer.fit(rows, labels, held_out).own()) / len(rows)
    probability, agreement, confident = _protected(odds, company), _agreement(near, labels, votes), _confident(held_out, labels)
    rate = _rate(float(probability.mean()), law, demanded)
    return LabelErrors(probability, suggested, held_out, agreement, influence.astype(np.float32), confident, company == 0, rate, demanded)


def _checked(rows: NDArray[np.float32], labels: NDArray[np.int64]) -> int:
    """How many classes there are."""
    if rows.ndim != 2 or labels.shape != (len(rows),):
        raise ValueError(f"as many labels as rows: {labels.shape} of {rows.shape}")
    seen = np.unique(labels)
    if len(seen) < 2:
        raise ValueError(f"labels of two classes at least, found {len(seen)}: with one, no label can be told from another")
    if seen[0] != 0 or seen[-1] != len(seen) - 1:
        raise ValueError(f"labels: 0 to C - 1, each given to a row at least; found {seen[0]} to {seen[-1]}, {len(seen)} of them")
    if len(rows) * len(seen) > MOST_CELLS:
        raise ValueError(f"{len(rows):,} rows of {len(seen):,} classes: at most {MOST_CELLS:,} of both multiplied; draw some of the rows")
    return len(seen)


def _neighbours(
    rows: NDArray[np.float32], centres: NDArray[np.float32] | None, rng: np.random.Generator, progress: Callable[[float], None]
) -> Neighbours:
    k = min(_NEIGHBOURS, len(rows) - 1)
    if len(rows) <= EXACT:
        return nearest_rows(rows, rows, k, same=True, progress=progress)
    if centres is None:
        centres = kmeans(rows[np.sort(rng.choice(len(rows), min(len(rows), _FITTED), replace=False))], _REGIONS, rng=rng)
    return nearest_in_cells(rows, nearest(rows, centres)[1], centres, k, rng=rng, progress=progress)


def _near_duplicates(near: Neighbours) -> NDArray[np.int64]:
    """(n,) the group of each row: no pair of near-duplicates straddles two."""
    other = np.where(near.distance > _SAME * np.median(near.distance[:, -1]), near.distance, np.inf).min(1)
    apart = np.isfinite(other)
    limit = _COPY * float(np.median(other[apart])) if apart.any() else np.inf
    row, column = np.nonzero(near.distance <= limit)
    pairs = coo_matrix((np.ones(len(row), np.int8), (row, near.row[row, column])), shape=(len(other), len(other)))
    return np.asarray(connected_components(pairs, directed=False)[1], np.int64)


def _closeness(near: Neighbours) -> NDArray[np.float32]:
    """(n, k) 1 for the nearest and less for those that lie farther, on the scale of the set."""
    beyond = near.distance**2 - near.distance[:, :1] ** 2
    scale = float(np.median(beyond[:, -1])) or 1.0
    return np.asarray(np.exp(-_SHARP * beyond / scale), np.float32)


def _company(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) other rows with the same label, near-duplicates counted once and not with their own."""
    pairs = np.unique(np.stack([labels, groups]), axis=1)
    return np.asarray(np.bincount(pairs[0])[labels] - 1, np.int64)


def _protected(odds: NDArray[np.float64], company: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) probabilities, drawn towards the rate of the set where a class is rare."""
    usual = logit(np.clip(expit(odds).mean(), 1e-6, 1 - 1e-6))
    return np.asarray(expit(usual + company**2 / (company**2 + _HALF_KNOWN**2) * (odds - usual)), np.float64)


def _held_out(beliefs: Beliefs, rng: np.random.Generator) -> NDArray[np.float32]:
    """(n, C) what the heads alone say, scaled to the labels as they are; takes the place of the discriminants."""
    alone = replace(beliefs, weight=np.zeros_like(beliefs.weight))
    scales = alone.fitted(NoiseLaw.uniform(beliefs.heads.shape[1], _NONE), rng=rng)
    for rows, believed in alone.blocks(scales):
        beliefs.heads[rows] = believed
    return beliefs.heads


def _agreement(near: Neighbours, labels: NDArray[np.int64], votes: NDArray[np.float32]) -> NDArray[np.float32]:
    total = votes.sum(1)
    with_it = np.where(labels[near.row] == labels[:, None], votes, 0).sum(1)
    return np.where(total > 0, with_it / np.where(total > 0, total, 1), np.nan).astype(np.float32)


def _confident(held_out: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) the confident joint off its diagonal: of the classes that a row is likelier of than rows labelled so are, another is best."""
    own = held_out[np.arange(len(labels)), labels]
    limits = (np.bincount(labels, own) / np.bincount(labels)).astype(np.float32)
    found = np.empty(len(labels), np.bool_)
    for start in range(0, len(labels), _BLOCK):
        part = held_out[start : start + _BLOCK]
        able = np.where(part >= limits, part, -1)
        found[start : start + _BLOCK] = (able.argmax(1) != labels[start : start + _BLOCK]) & (able.max(1) >= 0)
    return found


def _rate(estimate: float, law: NoiseLaw, demanded: float) -> Rate:
    """What all rows and what the anchors alone say, as uncertain as that many anchors leave it; at least what overlap can't explain."""
    wrong, right = law.wrong, law.anchors - law.wrong
    low = float(beta.ppf(0.025, wrong, right + 1)) if wrong else 0.0
    high = float(beta.ppf(0.975, wrong + 1, right)) if right else 1.0
    told = estimate * (law.anchors + 1) / (wrong + 0.5)
    return Rate(estimate, min(low, told * low, demanded * estimate), min(1.0, max(high, told * high)))
