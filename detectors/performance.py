"""How well a model answers where the truth is known: shares with intervals that stay honest for classes and segments of a few rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from detectors.accuracy import Estimated
from detectors.bounds import difference_interval, proportion_interval

LEAST_ROWS = 10
"""Of a segment that is compared with others."""

MOST_SEGMENTS = 50
"""Of a tag that are compared, those with most rows: every pair is, and an interval over more pairs says less of each."""

_Z = 1.96
_BINS, _LEAST_IN_BIN = 10, 20
_NOTHING = Estimated(float("nan"), 0.0, 1.0)


def share(hits: float, rows: float) -> Estimated:
    """Hits in rows with Wilson's interval; without rows nothing is known: NaN, 0 to 1.

    Examples
    --------
    >>> found = share(9, 10)
    >>> found.estimate, round(found.low, 2), round(found.high, 2)
    (0.9, 0.6, 0.98)
    """
    return Estimated(*_intervals(np.array([hits]), np.array([rows]))[0].tolist())


def gap(hits: float, rows: float, other_hits: float, other_rows: float) -> Estimated:
    """How much larger one share is than another, of rows that have nothing to do with each other: training against test.

    Newcombe's interval; NaN, -1 to 1 where either has no rows.
    """
    if not rows or not other_rows:
        return Estimated(float("nan"), -1.0, 1.0)
    return _difference(hits / rows, rows, other_hits / other_rows, other_rows, _Z)


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class: `recall` of the rows that are of it, `precision` of the answers that name it, F₁ of both."""

    name: str
    rows: int
    answers: int
    precision: Estimated
    recall: Estimated
    f1: Estimated


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """Truth against answer.

    classes : (C,) all that were true or answered, in order. counts : sparse (C, C), rows by truth and answer: labels that were never
    declared may be as many as rows.

    F₁ = 2 J / (1 + J) for J = hits / (hits + misses + false answers), a plain share, whose interval is carried over. Means over classes
    leave out those without rows of their own, and take their interval from the classes': mean ± (Σ (distance to the bound)²)^½ / C,
    which for F₁ takes classes as independent.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927. Zou and Donner, "Construction of
    confidence limits about effect measures", Statistics in Medicine 2008 (intervals of sums from those of the parts).

    Examples
    --------
    >>> table = Confusion.of(np.array(["a", "a", "a", "b"]), np.array(["a", "a", "b", "b"]))
    >>> table.counts.toarray().tolist(), table.accuracy.estimate
    ([[2, 1], [0, 1]], 0.75)
    >>> [round(figures.recall.estimate, 2) for figures in table.by_class()]
    [0.67, 1.0]
    """

    classes: tuple[str, ...]
    counts: sparse.csr_array

    @classmethod
    def of(cls, truth: NDArray[np.str_], answer: NDArray[np.str_]) -> Self:
        """From (n,) names each."""
        if truth.shape != answer.shape or truth.ndim != 1:
            raise ValueError(f"truth and answer are (n,) each, found {truth.shape} and {answer.shape}")
        classes, codes = np.unique(np.concatenate([truth, answer]), return_inverse=True)
        at, size = (codes[: len(truth)], codes[len(truth) :]), len(classes)
        return cls(tuple(classes.tolist()), sparse.csr_array((np.ones(len(truth), np.int64), at), shape=(size, size)))

    @property
    def rows(self) -> int:
        """n"""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> Estimated:
        """Share of right answers."""
        return share(int(self.counts.trace()), self.rows)

    def by_class(self) -> list[ClassFigures]:
        """In the order of the classes."""
        recall, precision, f1 = (map(Estimated, *each.T.tolist()) for each in self._shares())
        rows, answers = self.counts.sum(1).tolist(), self.counts.sum(0).tolist()
        return list(map(ClassFigures, self.classes, rows, answers, precision, recall, f1))

    def macro(self) -> tuple[Estimated, Estimated]:
        """Mean recall and mean F₁ over the classes that have rows: a rare class counts as much as a common one."""
        known = self.counts.sum(1) > 0
        recall, _, f1 = self._shares()
        return _mean(recall[known]), _mean(f1[known])

    def _shares(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Recall, precision and F₁, (C, 3) each: estimate, low, high."""
        rows, answers, hits = self.counts.sum(1), self.counts.sum(0), self.counts.diagonal()
        both = _intervals(hits, rows + answers - hits)
        return _intervals(hits, rows), _intervals(hits, answers), 2 * both / (1 + both)

    def among(self, count: int) -> Confusion:
        """Cut to the `count` classes that are most often wrong, or wrongly answered, in the order of the classes."""
        wrong = self.counts.sum(0) + self.counts.sum(1) - 2 * self.counts.diagonal()
        kept = np.sort(np.argsort(-wrong, kind="stable")[:count])
        return Confusion(tuple(self.classes[at] for at in kept), sparse.csr_array(self.counts[kept][:, kept]))


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of similar confidence: their mean confidence, and how many of them are right."""

    confidence: float
    right: Estimated
    rows: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether a confidence means what it says: bins of about as many rows each, and their expected calibration error.

    `error` = Σ n_b / n |right_b - confidence_b| is above 0 even where confidence is perfect, by about `by_chance` = Σ n_b / n
    (2 v_b / (π n_b))^½ with v_b the variance of being right: compare the two, not the error with 0. It also depends on the bins: with
    fewer of them errors of opposite sign cancel.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017. Roelofs, Cain, Shlens and Mozer, "Mitigating
    bias in calibration error estimation", AISTATS 2022 (the bias, and bins of equal size).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> confidence = rng.uniform(0.5, 1, 4000)
    >>> found = Reliability.of(confidence, rng.random(4000) < confidence)
    >>> len(found.bins), found.error < 2 * found.by_chance
    (10, True)
    """

    bins: tuple[Bin, ...]
    error: float
    by_chance: float

    @classmethod
    def of(cls, confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> Self | None:
        """From (n,) confidences, NaN where there is none, and whether each answer is right; None below 20 rows with a confidence."""
        known = np.isfinite(confidence)
        sure, hits = np.asarray(confidence, np.float64)[known], right[known]
        count = min(_BINS, len(sure) // _LEAST_IN_BIN)
        if not count:
            return None
        edges = np.unique(np.quantile(sure, np.arange(1, count) / count))  # equal confidences stay together
        inside = np.searchsorted(edges, sure, side="right")
        parts = [np.flatnonzero(inside == at) for at in np.unique(inside).tolist()]
        bins = tuple(Bin(float(sure[part].mean()), share(int(hits[part].sum()), len(part)), len(part)) for part in parts)
        weight = np.array([each.rows for each in bins]) / len(sure)
        off = np.array([abs(each.right.estimate - each.confidence) for each in bins])
        variance = np.array([(sure[part] * (1 - sure[part])).sum() / len(part) ** 2 for part in parts])
        return cls(bins, float(weight @ off), float(weight @ np.sqrt(2 * variance / np.pi)))


@dataclass(frozen=True, slots=True)
class Disparity:
    """The largest gap between segments: from the one that fares worst to the one that fares best."""

    worst: str
    best: str
    worst_rows: int
    gap: Estimated
    """Its interval holds over all pairs together, so it may be looked for first."""
    left_out: tuple[str, ...] = ()
    """Segments of fewer than 10 rows."""
    passed_over: int = 0
    """Segments that are not among the 50 with most rows."""


def disparity(counts: Mapping[str, tuple[int, int]], *, among: int = 1) -> Disparity | None:
    """From each segment's (hits, rows); None where fewer than two have 10 rows.

    Newcombe's interval of every pair at Bonferroni's level: the largest gap is at least the largest of the lower bounds and at most the
    largest of the upper ones. `among`: tags that are looked at, over all of which the interval holds.

    Examples
    --------
    >>> found = disparity({"en": (95, 100), "de": (90, 100), "fr": (70, 100), "is": (1, 2)})
    >>> found.worst, found.best, round(found.gap.estimate, 2), found.gap.low > 0.05, found.left_out
    ('fr', 'en', 0.25, True, ('is',))
    """
    few = tuple(name for name, (_, rows) in counts.items() if rows < LEAST_ROWS)
    known = sorted((name for name in counts if counts[name][1] >= LEAST_ROWS), key=lambda name: -counts[name][1])
    kept = known[:MOST_SEGMENTS]
    if len(kept) < 2:
        return None
    hits, rows = np.array([counts[name] for name in kept], np.float64).T
    order = np.argsort(hits / rows, kind="stable")
    shares, rows = (hits / rows)[order], rows[order]
    worse, better = np.triu_indices(len(kept), 1)
    z = float(special.ndtri(1 - 0.025 / (among * len(worse))))
    low, high = difference_interval(shares[better], rows[better], shares[worse], rows[worse], z)
    widest = Estimated(float(shares[-1] - shares[0]), max(0.0, float(low.max())), float(high.max()))
    return Disparity(kept[order[0]], kept[order[-1]], int(rows[0]), widest, few, len(known) - len(kept))


def by_group(right: NDArray[np.bool_], group: NDArray[np.str_]) -> dict[str, tuple[int, int]]:
    """(n,), (n,) → (hits, rows) of each group, '' left out: rows of no group."""
    names, codes = np.unique(group, return_inverse=True)
    hits, rows = np.bincount(codes[right], minlength=len(names)).tolist(), np.bincount(codes, minlength=len(names)).tolist()
    return {name: counts for name, counts in zip(names.tolist(), zip(hits, rows, strict=True), strict=True) if name}


def _intervals(hits: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(k,), (k,) → (k, 3) each share, with its ends."""
    known = rows > 0
    shares = np.where(known, hits / np.where(known, rows, 1), np.nan)
    low, high = proportion_interval(np.where(known, shares, 0.0), rows.astype(np.float64), _Z)
    return np.stack([shares, np.where(known, low, 0.0), np.where(known, high, 1.0)], axis=1)


def _mean(parts: NDArray[np.float64]) -> Estimated:
    """From (k, 3) of the classes."""
    if not len(parts):
        return _NOTHING
    middle = float(parts[:, 0].mean())
    below, above = (float(np.linalg.norm(parts[:, at] - parts[:, 0])) / len(parts) for at in (1, 2))
    return Estimated(middle, max(middle - below, 0.0), min(middle + above, 1.0))


def _difference(share: float, rows: float, other: float, other_rows: float, z: float) -> Estimated:
    low, high = difference_interval(np.array(share), rows, np.array(other), other_rows, z)
    return Estimated(share - other, float(low), float(high))
