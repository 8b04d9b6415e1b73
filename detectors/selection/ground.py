"""What is known, laid out so that rows can be held against it: one space, its neighbours, and the model or what stands in for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from detectors.heads import held_out_discriminants
from detectors.neighbours import Neighbours
from detectors.selection.base import UNKNOWN, Known
from detectors.selection.evidence import Evidence
from detectors.selection.harm import Harm
from detectors.selection.kernel import Scales
from detectors.selection.whitening import Whitening

MOST = 5_000
"""Reference rows that others are held against: of more, as many are drawn evenly."""

_FOLDS = 5
_SHY = 0.5


class Voters(NamedTuple):
    """Rows (t, k) of the space whose classes (t,) are trusted: of the reference, and coherent evidence."""

    rows: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """The reference, and what answers say, in one whitened space.

    Attributes
    ----------
    white
        From embeddings to unit rows of the space.
    scales
        What is alike there.
    rows : (m,) int64
        Which rows of the reference.
    unit : (m, k) float32
    labels : (m,) int64
        Their classes; where not known what the model answers, or UNKNOWN.
    evidence
        Failure samples and earlier answers.
    """

    white: Whitening
    scales: Scales
    rows: NDArray[np.int64]
    unit: NDArray[np.float32]
    labels: NDArray[np.int64]
    evidence: Evidence

    @classmethod
    def of(cls, known: Known, pool: NDArray[np.float32]) -> Ground:
        """For rows (n, d) that are held against it. ValueError where the reference has fewer than two rows, or only copies of one."""
        rows = np.unique(np.linspace(0, len(known.reference) - 1, MOST).astype(np.int64))
        labels = _labels(known)
        white = Whitening.fit(known.reference, labels, pool=pool)
        unit = white(known.reference[rows])
        scales = Scales.fit(unit)
        return cls(white, scales, rows, unit, labels[rows], Evidence.of(known, white, scales))

    @property
    def voters(self) -> Voters:
        """Those that say whether a label is borne out."""
        sure, told = self.labels != UNKNOWN, self.evidence
        believed = told.coherent & (told.labels != UNKNOWN)
        return Voters(np.concatenate([self.unit[sure], told.rows[believed]]), np.concatenate([self.labels[sure], told.labels[believed]]))

    def plausible(self, near: Neighbours, probabilities: NDArray[np.float32], weak: NDArray[np.int64] | None) -> NDArray[np.float32]:
        """(n, C + 1) how likely each label is what a row will get, in the last column one that the model (n, C) does not have.

        The model's word counts as one vote, so does a weak label; each of the nearest reference rows votes by the kernel.
        """
        classes = probabilities.shape[1]
        votes = np.column_stack([probabilities, np.zeros(len(probabilities), np.float32)])
        at = np.arange(len(votes))
        said = [self.labels[near.row[:, i]] for i in range(near.row.shape[1])]
        close = self.scales.closeness(1 - near.distance**2 / 2)
        columns = [(label, close[:, i]) for i, label in enumerate(said)] + ([] if weak is None else [(weak, np.ones(len(at), np.float32))])
        for label, weight in columns:
            votes[at, np.clip(label, 0, classes)] += np.where(label == UNKNOWN, 0, weight)
        votes[:, -1] += _SHY * (1 - close[:, 0])
        return np.asarray(votes / votes.sum(1, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Opinion:
    """What the model says of rows (n, C), and what training on one would do; both None where neither its probabilities nor labels
    of two classes are known."""

    probabilities: NDArray[np.float32]
    harm: Harm
    rows: NDArray[np.float32]
    """(m, d) those that must not regress, and below what is said of them (m, C) and what they are (m,)."""
    said: NDArray[np.float32]
    truth: NDArray[np.int64]

    @classmethod
    def of(cls, known: Known, embeddings: NDArray[np.float32], probabilities: NDArray[np.float32] | None) -> Opinion | None:
        """From what the model said of the reference and of (n, d) rows; without that, from discriminants of the reference's labels."""
        labels = _labels(known)
        if probabilities is None or known.probabilities is None:
            return _stand_in(known.reference, labels, embeddings)
        classes = known.probabilities.shape[1]
        able = (labels >= 0) & (labels < classes) & np.isfinite(known.probabilities).all(1)
        if not able.any():
            return None
        told = np.where(np.isfinite(probabilities), probabilities, 1 / classes).astype(np.float32)
        seen = (known.reference[able], known.probabilities[able], labels[able])
        return cls(told, Harm.fit(seen[0], seen[2], seen[1]), *seen)

    def flipped(self, embeddings: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n,) share of the rows that must not regress that training on each of (n, d) rows with its label (n,) is expected to flip."""
        return np.asarray(self.harm.flips(embeddings, self.probabilities, labels) / self.harm.rows, np.float32)


def _labels(known: Known) -> NDArray[np.int64]:
    """(m,) what is right, else what the model answers, else UNKNOWN."""
    unknown = np.full(len(known.reference), UNKNOWN)
    answered = unknown if known.predicted is None else known.predicted
    labels = answered if known.labels is None else known.labels
    return np.where(labels == UNKNOWN, answered, labels).astype(np.int64)


def _stand_in(reference: NDArray[np.float32], labels: NDArray[np.int64], rows: NDArray[np.float32]) -> Opinion | None:
    """Cross-validated on the reference, so that it is as unsure as a model would be; rows of no weight form a fold of their own."""
    known = np.flatnonzero(labels != UNKNOWN)
    if len(known) < 2 * _FOLDS or len(np.unique(labels[known])) < 2:
        return None
    own, classes = labels[known], int(labels[known].max()) + 1
    everything = np.concatenate([reference[known], rows])
    folds = np.concatenate([np.arange(len(known)) % _FOLDS, np.full(len(rows), _FOLDS)])
    weights = np.repeat(np.array([1, 0], np.float32), [len(known), len(rows)])
    said = held_out_discriminants(everything, np.concatenate([own, np.zeros(len(rows), np.int64)]), folds, classes, weights=weights)
    told = softmax(said * scale_of(said[: len(known)], own), axis=1).astype(np.float32)
    seen = (reference[known], told[: len(known)], own)
    return Opinion(told[len(known) :], Harm.fit(seen[0], seen[2], seen[1]), *seen)


def scale_of(said: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """By which differences (n, C) become probabilities of the labels (n,), by likelihood."""
    at = np.arange(len(labels))
    loss = minimize_scalar(lambda power: -log_softmax(said * 10.0**power, axis=1)[at, labels].mean(), bounds=(-3, 1), method="bounded")
    return float(10.0**loss.x)
