"""How well a model answers where the truth is known: shares with intervals that stay honest for classes and segments of a few rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.accuracy import Estimated
from detectors.bounds import difference_interval, proportion_interval

LEAST_ROWS = 10
"""Of a segment that is compared with others."""

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
    if not rows:
        return _NOTHING
    low, high = proportion_interval(np.array(hits / rows), rows, _Z)
    return Estimated(hits / rows, float(low), float(high))


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

    classes : (C,) all that were true or answered, in order. counts : (C, C) rows by truth and answer.

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
    >>> table.counts.tolist(), table.accuracy.estimate
    ([[2, 1], [0, 1]], 0.75)
    >>> [round(figures.recall.estimate, 2) for figures in table.by_class()]
    [0.67, 1.0]
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, truth: NDArray[np.str_], answer: NDArray[np.str_]) -> Self:
        """From (n,) names each."""
        if truth.shape != answer.shape or truth.ndim != 1:
            raise ValueError(f"truth and answer are (n,) each, found {truth.shape} and {answer.shape}")
        classes, codes = np.unique(np.concatenate([truth, answer]), return_inverse=True)
        size = len(classes)
        cells = np.bincount(codes[: len(truth)] * size + codes[len(truth) :], minlength=size * size)
        return cls(tuple(classes.tolist()), cells.reshape(size, size))

    @property
    def rows(self) -> int:
        """n"""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> Estimated:
        """Share of right answers."""
        return share(int(np.trace(self.counts)), self.rows)

    def by_class(self) -> list[ClassFigures]:
        """In the order of the classes."""
        rows, answers, hits = self.counts.sum(1).tolist(), self.counts.sum(0).tolist(), np.diag(self.counts).tolist()
        return [_class(*each) for each in zip(self.classes, rows, answers, hits, strict=True)]

    def macro(self) -> tuple[Estimated, Estimated]:
        """Mean recall and mean F₁ over the classes that have rows: a rare class counts as much as a common one."""
        known = [figures for figures in self.by_class() if figures.rows]
        return _mean([figures.recall for figures in known]), _mean([figures.f1 for figures in known])

    def among(self, count: int) -> Confusion:
        """Cut to the `count` classes that are most often wrong, or wrongly answered, in the order of the classes."""
        wrong = self.counts - np.diag(np.diag(self.counts))
        kept = np.sort(np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")[:count])
        return Confusion(tuple(self.classes[at] for at in kept), self.counts[np.ix_(kept, kept)])


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
    gap: Estimated
    """Its interval holds over all pairs together, so it may be looked for first."""
    left_out: tuple[str, ...] = ()
    """Segments of fewer than 10 rows."""


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
    known = {name: (hits / rows, rows) for name, (hits, rows) in counts.items() if rows >= LEAST_ROWS}
    if len(known) < 2:
        return None
    names = sorted(known, key=lambda name: known[name][0])
    pairs = among * len(names) * (len(names) - 1) / 2
    z = float(special.ndtri(1 - 0.025 / pairs))
    gaps = [_difference(*known[better], *known[worse], z) for at, worse in enumerate(names) for better in names[at + 1 :]]
    widest = known[names[-1]][0] - known[names[0]][0]
    low, high = max(0.0, *(each.low for each in gaps)), max(each.high for each in gaps)
    return Disparity(names[0], names[-1], Estimated(widest, low, high), tuple(name for name in counts if name not in known))


def by_group(right: NDArray[np.bool_], group: NDArray[np.str_]) -> dict[str, tuple[int, int]]:
    """(n,), (n,) → (hits, rows) of each group, '' left out: rows of no group."""
    names, codes = np.unique(group, return_inverse=True)
    hits, rows = np.bincount(codes[right], minlength=len(names)).tolist(), np.bincount(codes, minlength=len(names)).tolist()
    return {name: counts for name, counts in zip(names.tolist(), zip(hits, rows, strict=True), strict=True) if name}


def _class(name: str, rows: int, answers: int, hits: int) -> ClassFigures:
    both = share(hits, rows + answers - hits)
    f1 = Estimated(*(2 * value / (1 + value) for value in (both.estimate, both.low, both.high)))
    return ClassFigures(name, rows, answers, share(hits, answers), share(hits, rows), f1)


def _mean(parts: Sequence[Estimated]) -> Estimated:
    if not parts:
        return _NOTHING
    values = np.array([(part.estimate, part.low, part.high) for part in parts])
    middle = float(values[:, 0].mean())
    below, above = (float(np.linalg.norm(values[:, at] - values[:, 0])) / len(parts) for at in (1, 2))
    return Estimated(middle, max(middle - below, 0.0), min(middle + above, 1.0))


def _difference(share: float, rows: float, other: float, other_rows: float, z: float) -> Estimated:
    low, high = difference_interval(np.array(share), rows, np.array(other), other_rows, z)
    return Estimated(share - other, float(low), float(high))
