"""How labels come to be wrong, and what that makes of what is believed about each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import log_softmax

_FITTED, _BLOCK = 3_000, 8_192

_ANCHOR = 0.7
"""Quantile of a class's own held-out probabilities from which a row counts as of the class that it looks like."""

_LOUDER, _STEEPEST = 2.0, 20.0
"""Weight of heads to that of votes, at least; and the largest of either, on a scale on which what it says of a row spreads by 1."""

_UNSEEN = 0.05
"""Votes that a class has without any."""

_TOGETHER, _STEPS = 0.25, 20
"""Weight of what all errors show together against what those of a pair of classes do: anchors are few."""

_SHARES, _Z = (0.0, 0.1, 0.3, 0.6, 1.0), 1.96
"""Of a law's errors that are tried, and the root of twice the log likelihood that the ends of a 95 % interval lack."""

_MOST_WRONG = 0.6
"""Share of a class's labels that may be wrong; beyond it the label would name another class."""


@dataclass(frozen=True, slots=True, eq=False)
class NoiseLaw:
    """p(label j | truth i), (C, C), rows sum to 1; and of how many anchors how many have another label than they look like."""

    given: NDArray[np.float64]
    wrong: int = 0
    anchors: int = 0

    @classmethod
    def uniform(cls, classes: int, rate: float) -> NoiseLaw:
        """Errors that fall on any other class alike."""
        return cls(_filled(np.full((classes, classes), rate / (classes - 1))))

    @classmethod
    def of_anchors(cls, truth: NDArray[np.int64], label: NDArray[np.int64], alike: NDArray[np.float64]) -> NoiseLaw:
        """From rows of which the truth is as good as sure: counts N(i, j), shrunk towards what all errors together show.

        Together they show how many fall on any class and how many on classes alike (C, C; diagonal 0, rows sum to 1). Each pair's rate is
        taken for Gamma-distributed around that, its shape from how much the counts spread beyond Poisson's law (moments).
        """
        classes = len(alike)
        counts = np.bincount(truth * classes + label, minlength=classes * classes).reshape(classes, classes).astype(np.float64)
        seen, wrong = counts.sum(1), counts.sum() - np.trace(counts)
        errors = truth != label
        mean = (wrong + 0.5) / (seen.sum() + 10) * _pattern(alike, truth[errors], label[errors])
        other = ~np.eye(classes, dtype=bool)
        expected = (seen[:, None] * mean)[other]
        beyond = ((counts[other] - expected) ** 2 - expected).sum() / max((expected**2).sum(), np.finfo(np.float64).tiny)
        shape = 1 / max(beyond, 1e-3)
        rates = (counts + shape) / (seen[:, None] + shape / np.where(other, mean, 1))
        return cls(_filled(_TOGETHER * mean + (1 - _TOGETHER) * rates), int(wrong), int(counts.sum()))


def _pattern(alike: NDArray[np.float64], truth: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.float64]:
    """(C, C) where errors fall: anywhere, and on what is alike in a share found by maximum likelihood (EM), starting even.

    The share counts cubed: some anchors of classes alike are none, so that a small share says nothing of the errors.
    """
    anywhere, share = 1 / (len(alike) - 1), 0.5
    for _ in range(_STEPS):
        near = share * alike[truth, label]
        share = float((near / (near + (1 - share) * anywhere)).sum() + 1) / (len(truth) + 2)
    return share**3 * alike + (1 - share**3) * anywhere


def _filled(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """What no error takes away stays on the diagonal."""
    np.fill_diagonal(rates, 0)
    total = rates.sum(1)
    rates *= np.minimum(1, _MOST_WRONG / np.maximum(total, 1e-12))[:, None]
    np.fill_diagonal(rates, 1 - rates.sum(1))
    return rates


@dataclass(frozen=True, slots=True, eq=False)
class Beliefs:
    """What two witnesses say of the truth of n rows: p(i | x) ∝ exp(a · heads + b · log votes), a and b fitted."""

    labels: NDArray[np.int64]
    heads: NDArray[np.float32]
    """(n, C)"""
    near: NDArray[np.int64]
    """(n, k) the rows that vote."""
    weight: NDArray[np.float32]
    """(n, k) of their votes."""

    def fitted(self, law: NoiseLaw, *, rng: np.random.Generator) -> NDArray[np.float64]:
        """(2,) a and b by maximum likelihood of the *given* labels: Σ log Σ p(i | x) p(label | i), over a draw of 3,000 rows.

        Votes are labels too, so they can explain errors as well as the law does, and then hide them: heads weigh twice as much at least.
        """
        rows = rng.choice(len(self.labels), min(_FITTED, len(self.labels)), replace=False)
        parts, units = self._drawn(rows)
        alone, together = _likeliest(parts, law.given[:, self.labels[rows]].T, np.ones(2))[0]
        return np.array([alone + _LOUDER * together, together]) / units

    def demanded(self, law: NoiseLaw, *, rng: np.random.Generator) -> float:
        """The least share of the law's errors that the labels given can't do without: 0 where classes that overlap explain them as well.

        Lower end of the 95 % likelihood interval of s in (1 - s) · no error + s · law, a and b fitted for each s: beliefs grow softer
        where there may be no errors. Softer beliefs are wrong at the boundaries of classes, errors everywhere.
        """
        rows = rng.choice(len(self.labels), min(_FITTED, len(self.labels)), replace=False)
        parts, _ = self._drawn(rows)
        given, own = law.given[:, self.labels[rows]].T, np.eye(len(law.given))[self.labels[rows]]
        scales, losses = np.ones(2), list[float]()
        for share in _SHARES:
            scales, loss = _likeliest(parts, (1 - share) * own + share * given, scales)
            losses.append(loss * len(rows))
        root = np.sqrt(2 * (np.array(losses) - min(losses)))  # about straight in s
        first = int(np.argmax(root <= _Z))
        return float(np.interp(_Z, root[[first, first - 1]], np.array(_SHARES)[[first, first - 1]])) if first else 0.0

    def blocks(self, scales: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Rows and their p(i | x), some thousands at a time."""
        for start in range(0, len(self.labels), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(self.labels)))
            heads, votes = self._parts(rows)
            a, b = scales.astype(np.float32)
            heads *= a
            votes *= b
            heads += votes
            heads -= heads.max(1, keepdims=True)
            np.exp(heads, out=heads)
            heads /= heads.sum(1, keepdims=True)
            yield rows, heads

    def law(self, scales: NDArray[np.float64]) -> NoiseLaw:
        """From anchors: rows that look more like their most probable class than most rows do that are labelled so."""
        count = len(self.labels)
        own, best, sure = np.empty(count, np.float32), np.empty(count, np.int64), np.empty(count, np.float32)
        classes = self.heads.shape[1]
        alike = np.full((classes, classes), 1e-6)
        for rows, believed in self.blocks(scales):
            at = np.arange(len(rows))
            own[rows] = believed[at, self.labels[rows]]
            best[rows] = believed.argmax(1)
            sure[rows] = believed[at, best[rows]]
            alike += csr_matrix((np.ones(len(rows)), (best[rows], at)), shape=(classes, len(rows))) @ believed
        np.fill_diagonal(alike, 0)
        order = self.labels.argsort(kind="stable")
        of_class = np.split(own[order], np.searchsorted(self.labels[order], np.arange(1, classes)))
        anchors = sure >= np.array([np.quantile(part, _ANCHOR) for part in of_class])[best]
        return NoiseLaw.of_anchors(best[anchors], self.labels[anchors], alike / alike.sum(1, keepdims=True))

    def against(self, scales: NDArray[np.float64], law: NoiseLaw) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(n,) log-odds that the truth is another class than the label, p(i | x, j) ∝ p(i | x) p(j | i), and which most likely."""
        odds, instead = np.empty(len(self.labels)), np.empty(len(self.labels), np.int64)
        given, least = np.ascontiguousarray(law.given.T, np.float32), np.finfo(np.float32).tiny
        for rows, believed in self.blocks(scales):
            at, labels = np.arange(len(rows)), self.labels[rows]
            joint = np.multiply(believed, given[labels], out=believed)
            right = joint[at, labels].copy()
            joint[at, labels] = 0
            odds[rows] = np.log(np.maximum(joint.sum(1), least)) - np.log(np.maximum(right, least))
            instead[rows] = joint.argmax(1)
        return odds, instead

    def _drawn(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(2, m, C) what is weighed, on one scale: heads alone, and both together; and the units of heads and votes."""
        heads, votes = self._parts(rows)
        units = np.maximum([heads.std(1).mean(), votes.std(1).mean()], 1e-6)
        return np.stack([heads / units[0], votes / units[1] + _LOUDER * heads / units[0]]), units

    def _parts(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        votes = np.full((len(rows), self.heads.shape[1]), _UNSEEN, np.float32)
        at = np.arange(len(rows))
        for column in range(self.near.shape[1]):
            votes[at, self.labels[self.near[rows, column]]] += self.weight[rows, column]
        return self.heads[rows], np.log(votes, out=votes)


def _likeliest(parts: NDArray[np.float32], given: NDArray[np.float64], start: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Weights (2,) of the parts with the least loss, and that loss: mean -log Σ p(i | x) p(label | i) for given = p(label | i), (m, C)."""

    def loss(scales: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        believed = np.exp(log_softmax(np.tensordot(scales, parts, 1), 1))
        joint = believed * given
        total = joint.sum(1, keepdims=True)
        return float(-np.log(total).mean()), np.tensordot(parts, believed - joint / total, 2) / len(given)

    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, _STEEPEST)] * 2)
    return found.x, float(found.fun)
