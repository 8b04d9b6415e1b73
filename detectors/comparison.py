"""Old model against new on the same labelled rows: what got better, what broke, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betainccinv, ndtri


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


def worse(comparison: Comparison) -> float:
    """Exact one-sided p-value of "the new model is right at least as often": BinomCDF(positive flips; all flips, 1/2), 1 without any.

    Examples
    --------
    >>> round(worse(Comparison(100, 98, 90, negative_flips=9, positive_flips=1)), 4)
    0.0107
    """
    flips = comparison.negative_flips + comparison.positive_flips
    return float(bdtr(comparison.positive_flips, flips, 0.5)) if flips else 1.0


def upper_bound(count: int, rows: int, *, error: float) -> float:
    """One-sided Clopper-Pearson bound: the largest rate at which `count` or fewer of `rows` still have probability `error`.

    Whatever the rate, it lies above the bound in at most a share `error` of repetitions.

    Examples
    --------
    >>> round(upper_bound(0, 230, error=0.1), 4), round(upper_bound(4, 1000, error=0.05), 4)
    (0.01, 0.0091)

    References
    ----------
    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika, 1934.
    """
    _check_count(count, rows)
    _check_share("error", error)
    return 1.0 if count == rows else float(betainccinv(count + 1, rows - count, error))


def least_rows(rate: float, *, error: float, count: int = 0) -> int:
    """Fewest rows with which `count` flips still show a rate of at most `rate`; with none: ⌈log(error) / log(1 - rate)⌉.

    They show it where BinomCDF(count; rows, rate) ≤ error, which is where `upper_bound` is at most `rate`.

    Examples
    --------
    >>> least_rows(0.01, error=0.1), least_rows(0.01, error=0.05), least_rows(0.005, error=0.05)
    (230, 299, 598)
    """
    _check_share("rate", rate)
    _check_share("error", error)
    low, high = count, max(count + 1, math.ceil(math.log(error) / math.log1p(-rate)))
    while bdtr(count, high, rate) > error:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if bdtr(count, middle, rate) <= error else (middle, high)
    return high


def allowed_flips(rows: int, rate: float, *, error: float) -> int:
    """Most flips with which `rows` still show a rate of at most `rate`: the largest k with BinomCDF(k; rows, rate) ≤ error, -1 if none.

    Examples
    --------
    >>> [allowed_flips(rows, 0.01, error=0.05) for rows in (298, 299, 1000, 3000)]
    [-1, 0, 4, 20]
    """
    _check_count(0, rows)
    _check_share("rate", rate)
    _check_share("error", error)
    low, high = -1, rows
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bdtr(middle, rows, rate) <= error else (low, middle)
    return low


def steady_rows(rate: float, *, error: float) -> int:
    """Fewest rows that show a rate of at most `rate` although half of it is what they see: `least_rows` needs luck, this hardly any.

    Examples
    --------
    >>> steady_rows(0.01, error=0.05), allowed_flips(1182, 0.01, error=0.05)
    (1182, 6)
    """
    flips = 0
    while (rows := least_rows(rate, error=error, count=flips)) * rate / 2 > flips:
        flips += 1
    return rows


def paired_rows(difference: float, *, flips: float, error: float, power: float = 0.8) -> int:
    """Rows with which a true difference of two models' accuracies is told from none, two-sided, with probability `power`.

    n = (z(1 - error / 2) + z(power))² (flips - difference²) / difference², where `flips` is the share of rows that only one of the
    models gets right.

    Examples
    --------
    >>> paired_rows(0.1, flips=0.5, error=0.1), paired_rows(0.2, flips=0.5, error=0.1)
    (303, 72)

    References
    ----------
    Connor, "Sample size for testing differences in proportions for the paired-sample design", Biometrics, 1987.
    """
    _check_share("difference", difference)
    _check_share("error", error)
    reach = float(ndtri(1 - error / 2)) + float(ndtri(power))
    return math.ceil(reach**2 * max(flips - difference**2, 0.0) / difference**2) or 1


def spent(error: float, use: int, *, outcomes: int) -> float:
    """What the k-th use of the same rows may spend of an error: error / (k (k + 1) outcomes^(k-1)).

    A use that ends in one of so many outcomes can have told whoever makes the next model no more than which; the union over all
    that k - 1 of them can have told, and over all uses, stays below `error`. It falls so fast that fresh rows are the normal way.

    Examples
    --------
    >>> [float(f"{spent(0.1, use, outcomes=41):.2g}") for use in (1, 2, 3)]
    [0.05, 0.00041, 5e-06]
    """
    if use < 1 or outcomes < 1:
        raise ValueError(f"use and outcomes: 1 or more, found {use} and {outcomes}")
    _check_share("error", error)
    logarithm = math.log(error) - math.log(use * (use + 1)) - (use - 1) * math.log(outcomes)
    return max(math.exp(logarithm), float(np.finfo(np.float64).tiny))


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
    _check_share("confidence", confidence)
    n = comparison.rows + 2
    p, q = (comparison.positive_flips + 1) / n, (comparison.negative_flips + 1) / n
    reach = float(ndtri((1 + confidence) / 2)) * math.sqrt((p + q - (p - q) ** 2) / n)
    return max(-1.0, p - q - reach), min(1.0, p - q + reach)


def _check_count(count: int, rows: int) -> None:
    if not 0 <= count <= rows or rows < 1:
        raise ValueError(f"count: between 0 and rows ≥ 1, found {count} of {rows}")


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name}: between 0 and 1, found {value}")
