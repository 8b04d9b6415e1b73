"""Old model against new on the same labelled rows: what got better, what broke, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv, ndtri


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paired counts over n labelled rows.

    Attributes
    ----------
    rows
        n, at least 1.
    old_right, new_right
        Rows that the model gets right.
    negative_flips
        Old right, new wrong.
    positive_flips
        Old wrong, new right; new_right - old_right = positive_flips - negative_flips.
    """

    rows: int
    old_right: int
    new_right: int
    negative_flips: int
    positive_flips: int

    @property
    def old_accuracy(self) -> float:
        return self.old_right / self.rows

    @property
    def new_accuracy(self) -> float:
        return self.new_right / self.rows

    @property
    def gain(self) -> float:
        """New accuracy minus old."""
        return (self.positive_flips - self.negative_flips) / self.rows

    @property
    def negative_flip_rate(self) -> float:
        """Share of all rows, not only of those the old model got right."""
        return self.negative_flips / self.rows


def compare(old_right: NDArray[np.bool_], new_right: NDArray[np.bool_]) -> Comparison:
    """Counts (n,) booleans: whether the old and the new model get each row right.

    Examples
    --------
    >>> compare(np.array([True, True, False, False]), np.array([True, False, True, True]))
    Comparison(rows=4, old_right=2, new_right=3, negative_flips=1, positive_flips=2)

    References
    ----------
    Yan et al., "Positive-congruent training: towards regression-free model updates", CVPR 2021 (negative flips).
    """
    if old_right.shape != new_right.shape or old_right.ndim != 1 or not len(old_right):
        raise ValueError(f"a comparison needs the same rows for both models, at least one; found {old_right.shape} and {new_right.shape}")
    return Comparison(
        rows=len(old_right),
        old_right=int(old_right.sum()),
        new_right=int(new_right.sum()),
        negative_flips=int((old_right & ~new_right).sum()),
        positive_flips=int((~old_right & new_right).sum()),
    )


def mcnemar(comparison: Comparison) -> float:
    """Exact two-sided p-value of "both models are right equally often": min(1, 2 BinomCDF(min(b, c); b + c, 1/2)).

    b and c are the flips of either kind; without flips it is 1. Exact means never too small: under the null P(p ≤ α) ≤ α.

    Examples
    --------
    >>> round(mcnemar(Comparison(100, 90, 98, negative_flips=1, positive_flips=9)), 4)
    0.0215

    References
    ----------
    McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", Psychometrika, 1947.
    """
    flips = comparison.negative_flips + comparison.positive_flips
    if not flips:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(comparison.negative_flips, comparison.positive_flips), flips, 0.5)))


def upper_bound(count: int, rows: int, *, confidence: float) -> float:
    """One-sided Clopper-Pearson bound: the largest rate at which `count` or fewer of `rows` still have probability 1 - confidence.

    Whatever the rate, it lies at or below the bound in at least a share `confidence` of repetitions.

    Examples
    --------
    >>> round(upper_bound(0, 230, confidence=0.9), 4), round(upper_bound(4, 1000, confidence=0.95), 4)
    (0.01, 0.0091)

    References
    ----------
    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika, 1934.
    """
    _check(count, rows, confidence)
    return 1.0 if count == rows else float(betaincinv(count + 1, rows - count, confidence))


def least_rows(rate: float, *, confidence: float, count: int = 0) -> int:
    """Fewest rows with which `count` flips still show a rate of at most `rate`; with none: ⌈log(1 - confidence) / log(1 - rate)⌉.

    Examples
    --------
    >>> least_rows(0.01, confidence=0.9), least_rows(0.01, confidence=0.95), least_rows(0.005, confidence=0.95)
    (230, 299, 598)
    """
    _check(0, 1, confidence)
    if not 0 < rate < 1:
        raise ValueError(f"rate: between 0 and 1, found {rate}")
    low, high = count, max(count, math.ceil(math.log(1 - confidence) / math.log1p(-rate)))
    while high == count or upper_bound(count, high, confidence=confidence) > rate:
        low, high = high, 2 * high + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if upper_bound(count, middle, confidence=confidence) <= rate else (middle, high)
    return high


def gain_interval(comparison: Comparison, *, confidence: float) -> tuple[float, float]:
    """Two-sided interval of the gain: Bonett and Price's, Wald's on counts to which one flip of each kind and two rows were added.

    With p = (positive + 1) / (n + 2) and q likewise: p - q ± z √((p + q - (p - q)²) / (n + 2)). It is approximate; its coverage
    stays close to nominal (a little above with few flips) from about 20 rows on.

    Examples
    --------
    >>> low, high = gain_interval(Comparison(100, 80, 88, negative_flips=2, positive_flips=10), confidence=0.9)
    >>> round(low, 3), round(high, 3)
    (0.019, 0.137)

    References
    ----------
    Bonett and Price, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data",
    Journal of Educational and Behavioral Statistics, 2012.
    """
    _check(0, 1, confidence)
    n = comparison.rows + 2
    p, q = (comparison.positive_flips + 1) / n, (comparison.negative_flips + 1) / n
    reach = float(ndtri((1 + confidence) / 2)) * math.sqrt((p + q - (p - q) ** 2) / n)
    return max(-1.0, p - q - reach), min(1.0, p - q + reach)


def _check(count: int, rows: int, confidence: float) -> None:
    if not 0 <= count <= rows or rows < 1:
        raise ValueError(f"count: between 0 and rows ≥ 1, found {count} of {rows}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: between 0 and 1, found {confidence}")
