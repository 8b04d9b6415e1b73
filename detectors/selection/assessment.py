"""What speaks for and against asking about a row, before its label is known and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from detectors.neighbours import Neighbours, nearest_rows
from detectors.selection.base import REJECTED, Known, Pool
from detectors.selection.contested import NEIGHBOURS, contested
from detectors.selection.coverage import company
from detectors.selection.gate import accepted, agreement
from detectors.selection.ground import Ground, Opinion
from detectors.selection.junk import Surroundings, junk, pool_company

HARM_LIMIT = 1e-3
"""Share of the rows that must not regress that training on one sample may be expected to flip: ten such samples flip 1 %. Half of the wrong
labels on usual samples pass it in measurements, and one in twenty right labels of what fails."""

_PLAUSIBLE = 3
"""Labels whose harm is looked at where the right one is not known: the likeliest ones."""

_NEAREST = 5

_KNOWN = (-0.42, 0.96, 0.28, 0.76)
"""Of `known_risk`."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Of what the risk of n rows is made, each 0 to 1.

    Attributes
    ----------
    junk : (n,) float32
        How likely it is no use to whoever answers; see `junk`.
    contested : (n,) float32
        How far the reference around it speaks against the model's answer, or against itself; see `contested`.
    influence : (n,) float32
        How likely its label is one whose influence is harmful; see `Harm`.
    nearest : (n, k) int64
        Its nearest reference rows, nearest first, at most 5.
    """

    junk: NDArray[np.float32]
    contested: NDArray[np.float32]
    influence: NDArray[np.float32]
    nearest: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.junk)

    @property
    def matrix(self) -> NDArray[np.float32]:
        """(n, 3) junk, contested and influence."""
        return np.stack([self.junk, self.contested, self.influence], 1)


class Verdict(IntEnum):
    USABLE = 0
    REJECTED = 1
    REFUSED = 2
    HARMFUL = 3


def assess(pool: Pool, known: Known, *, rows: NDArray[np.int64] | None = None, progress: Callable[[float], None] = lambda _: None) -> Parts:
    """The parts of the risk of (r,) rows of a pool, all by default, before their labels are known.

    Of a reference of more than 5,000 rows as many are drawn evenly. Costs about r · 5,000 · 128 for neighbours, r · 4,000 · 128 for
    company and r C d for influence.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = rng.integers(0, 4, 300)
    >>> known = (4 * np.eye(4, 8)[labels] + rng.standard_normal((300, 8))).astype(np.float32)
    >>> strange = (6 * rng.standard_normal((20, 8))).astype(np.float32)
    >>> parts = assess(Pool(np.concatenate([known[:100], strange])), Known(known[100:], labels[100:]))
    >>> bool(parts.junk[100:].mean() > 3 * parts.junk[:100].mean())
    True
    """
    asked = np.arange(len(pool)) if rows is None else rows
    if not len(asked):
        nothing = np.empty(0, np.float32)
        return Parts(nothing, nothing, nothing, np.empty((0, 0), np.int64))
    ground = Ground.of(known, pool.embeddings)
    unit = ground.white(pool.embeddings)
    near = nearest_rows(unit[asked], ground.unit, min(NEIGHBOURS, len(ground.unit)))
    progress(0.5)
    unusable = junk(_around(ground, unit, asked, near))
    progress(0.8)
    said = None if pool.predicted is None else pool.predicted[asked]
    against = contested(unit[asked], ground.unit, ground.labels, scales=ground.scales, answers=said, near=near)
    harmful = _over_labels(ground, _only(pool, asked), known, near, lambda flips: (flips > HARM_LIMIT).astype(np.float32))
    progress(1.0)
    return Parts(unusable, against, harmful, ground.rows[near.row[:, :_NEAREST]])


def _around(ground: Ground, unit: NDArray[np.float32], asked: NDArray[np.int64], near: Neighbours) -> Surroundings:
    scales, evidence = ground.scales, ground.evidence
    nearest = 1 - near.distance[:, 0] ** 2 / 2
    usable = company(unit[asked], evidence.rows, scales, evidence.weight * evidence.coherent)
    return Surroundings(
        ((scales.half - nearest) / (scales.half - scales.zero)).astype(np.float32),
        pool_company(unit[asked], unit, scales=scales),
        company(unit[asked], evidence.rejected, scales),
        usable + company(unit[asked], evidence.confirmed, scales),
    )


def _only(pool: Pool, rows: NDArray[np.int64]) -> Pool:
    columns = (pool.probabilities, pool.predicted, pool.weak, pool.counts)
    return Pool(pool.embeddings[rows], *(None if column is None else column[rows] for column in columns))  # type: ignore[arg-type]  # each keeps its kind


def expected_flips(pool: Pool, known: Known) -> NDArray[np.float32]:
    """(n,) share of the rows that must not regress that training on each row is expected to flip, over its three likeliest labels."""
    ground = Ground.of(known, pool.embeddings)
    near = nearest_rows(ground.white(pool.embeddings), ground.unit, min(NEIGHBOURS, len(ground.unit)))
    return _over_labels(ground, pool, known, near, lambda flips: flips)


def known_flips(answered: Pool, labels: NDArray[np.int64], known: Known) -> NDArray[np.float32]:
    """(n,) the same with the label (n,) known; 0 for a rejection, and where nothing says what the model would do."""
    opinion = Opinion.of(known, answered.embeddings, answered.probabilities)
    if opinion is None:
        return np.zeros(len(labels), np.float32)
    return np.where(labels == REJECTED, 0, opinion.flipped(answered.embeddings, np.maximum(labels, 0))).astype(np.float32)


def _over_labels(
    ground: Ground, pool: Pool, known: Known, near: Neighbours, what: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """(n,) the mean of a function of the flips over the likeliest labels, each as likely as it is plausible."""
    opinion = Opinion.of(known, pool.embeddings, pool.probabilities)
    found = np.zeros(len(pool), np.float32)
    if opinion is None:
        return found
    plausible = ground.plausible(near, opinion.probabilities, pool.weak)
    likeliest = np.argsort(-plausible, axis=1, kind="stable")[:, :_PLAUSIBLE].astype(np.int64)
    for labels in likeliest.T:
        found += plausible[np.arange(len(pool)), labels] * what(opinion.flipped(pool.embeddings, labels))
    return found


def known_risk(
    answered: Pool, labels: NDArray[np.int64], known: Known, *, junk: NDArray[np.float32], wrong: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(n,) probability that training on each answered row, its label (n,) known, does no good: a wrong label, junk or harm.

        logit = -.42 + .96 logit(wrong) + .28 [harmful] + .76 junk,

    where `wrong` (n,) is the probability that its label is wrong (`doubts.wrong`), and junk (n,) what was thought of it before it was asked
    about. Fitted on refreshes of text and images, where it tells wrong labels and junk from the rest with an area under the curve of .93.
    1 for a rejection.
    """
    harmful = known_flips(answered, labels, known) > HARM_LIMIT
    offset, doubted, breaks, useless = _KNOWN
    logits = offset + doubted * logit(np.clip(wrong, 1e-4, 1 - 1e-4)) + breaks * harmful + useless * junk
    return np.where(labels == REJECTED, 1, expit(logits)).astype(np.float32)


def verdicts(
    answered: Pool,
    labels: NDArray[np.int64],
    known: Known,
    *,
    refused: NDArray[np.bool_] | None = None,
    harm_limit: float = HARM_LIMIT,
) -> NDArray[np.int64]:
    """(n,) what became of each answered row, its label (n,) known: a `Verdict`.

    Rejected by whoever answered; else refused by the label checks (n,), by default by `gate` alone; else harmful, if training on it is
    expected to flip more than a share of the rows that must not regress; else usable. `known` is what was known beside these answers.
    """
    if refused is None:
        ground = Ground.of(known, answered.embeddings)
        agreed, trusted = _agreed(ground, answered, labels)
        refused = ~accepted(agreed, labels, trusted)
    found = np.where(refused, Verdict.REFUSED, Verdict.USABLE).astype(np.int64)
    harmful = known_flips(answered, labels, known) > harm_limit
    found[harmful & (found == Verdict.USABLE)] = Verdict.HARMFUL
    found[labels == REJECTED] = Verdict.REJECTED
    return found


def _agreed(ground: Ground, answered: Pool, labels: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """How far each label is borne out, and the labels of those that are asked."""
    voters = ground.voters
    found = agreement(ground.white(answered.embeddings), labels, trusted=voters.rows, trusted_labels=voters.labels, scales=ground.scales)
    return found, voters.labels
