"""Is a new model surely no worse than the old one by more than a margin, on the same labelled rows?

Of n rows b are right with the new model only and c with the old one only (positive and negative flips). The difference of accuracies
Δ = P(positive) - P(negative) is estimated by (b - c) / n, and Tango's score holds it against any value λ:

    T(λ) = (b - c - n λ) / √(n (2 q + λ (1 - λ))),   q = (√(B² - 8 n C) - B) / (4 n),

with B = (2 n - b + c) λ - b - c and C = -c λ (1 - λ), where q is the share of negative flips that is most likely if Δ = λ. It is
defined without any flip and keeps its level where Wald's interval does not. Non-inferiority is shown if T(-margin) reaches a critical
value. The normal one lets a little too many through at some row counts (5.9 % at 150 rows and 3 points); the one used here is raised
until exactly at most `error` of models that are worse by just the margin pass, however many rows flip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, gammaln, ndtri, xlogy

_FLIPS = 48
"""Shares of flips at which the level is computed, from only negative ones to every row."""
_STEP = 0.97
"""By which the level is lowered until it holds."""
_BISECTIONS = 32
_SMALLEST = 1e-300


def tango_score(positive: ArrayLike, negative: ArrayLike, rows: ArrayLike, *, difference: ArrayLike) -> NDArray[np.float64]:
    """Tango's T(difference) of counts of flips that broadcast together; about normal if that is the true difference.

    Examples
    --------
    >>> round(float(tango_score(0, 1, 44, difference=-0.1)), 3)  # soft contact lenses, Tango's section 6.1
    1.709
    >>> float(tango_score(0, 0, 50, difference=0.0))
    0.0

    References
    ----------
    Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design", Statistics in
    Medicine, 1998.
    """
    b, c, n, at = (np.asarray(each, np.float64) for each in (positive, negative, rows, difference))
    linear = (2 * n - b + c) * at - b - c
    likely = (np.sqrt(np.maximum(linear**2 + 8 * n * c * at * (1 - at), 0.0)) - linear) / (4 * n)
    variance = n * (2 * likely + at * (1 - at))
    distance = b - c - n * at
    return np.asarray(np.where(distance == 0, 0.0, distance / np.sqrt(np.maximum(variance, _SMALLEST))))


def score_interval(positive: int, negative: int, rows: int, *, confidence: float) -> tuple[float, float]:
    """Two-sided interval of the difference: where |T| stays below the normal quantile.

    Examples
    --------
    >>> [round(end, 3) for end in score_interval(9, 3, 32, confidence=0.95)]  # sleeping difficulties, Tango's section 6.2
    [-0.027, 0.39]
    >>> [round(end, 3) for end in score_interval(0, 1, 44, confidence=0.9)]
    [-0.096, 0.037]
    >>> [round(end, 3) for end in score_interval(0, 0, 100, confidence=0.95)]
    [-0.037, 0.037]
    """
    _check_counts(positive, negative, rows)
    _check_share("confidence", confidence)
    return score_limits(positive, negative, rows, reach=float(ndtri((1 + confidence) / 2)))


def score_limits(positive: int, negative: int, rows: int, *, reach: float) -> tuple[float, float]:
    """Where T comes down to `reach` below the estimate, and to -`reach` above it: T falls as the difference grows."""
    estimate, levels = (positive - negative) / rows, np.array([reach, -reach])
    low, high = np.array([-1.0, estimate]), np.array([estimate, 1.0])
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = tango_score(positive, negative, rows, difference=middle) >= levels
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    lower, upper = ((low + high) / 2).tolist()
    return lower, upper


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """A test of "Δ is above -margin" on so many rows, which a model that is worse by the margin passes with probability `error` at most.

    The error is exact: the sum over all counts of flips that pass, the largest over a grid of shares of rows that may flip, near
    which it hardly changes.

    Attributes
    ----------
    critical
        What T(-margin) must reach: the normal quantile of `error`, raised where that lets too many through.

    Examples
    --------
    >>> test = NonInferiority.of(1_500, margin=0.01, error=0.05)
    >>> test.shows(12, 14), test.shows(12, 24)
    (True, False)
    >>> test.level() <= 0.05, round(test.power(0.02), 2), round(test.power(0.02, difference=-0.01), 2) <= 0.05
    (True, 0.83, True)
    """

    rows: int
    margin: float
    error: float
    critical: float

    @classmethod
    def of(cls, rows: int, *, margin: float, error: float) -> NonInferiority:
        """ValueError unless there is a row and both shares are between 0 and 1."""
        _check_counts(0, 0, rows)
        _check_share("margin", margin)
        _check_share("error", error)
        level = error
        while True:
            made = cls(rows, margin, error, float(-ndtri(level)))
            if made.level() <= error:
                return made
            level *= _STEP

    def shows(self, positive: int, negative: int) -> bool:
        """Whether so many flips show it."""
        _check_counts(positive, negative, self.rows)
        return bool(tango_score(positive, negative, self.rows, difference=-self.margin) >= self.critical)

    def limits(self, positive: int, negative: int) -> tuple[float, float]:
        """The interval that agrees with the test: its lower end is above -margin where, and only where, the test shows it."""
        return score_limits(positive, negative, self.rows, reach=self.critical)

    def level(self) -> float:
        """The largest share of models worse by the margin that pass."""
        most = (1 - self.margin) / 2
        mended = [0.0, *np.geomspace(most * 1e-4, most, _FLIPS), *np.linspace(0.0, most, _FLIPS)[1:-1]]
        allowed = self._most_negative(np.arange(self.rows + 1))
        return max(self._passing(share, share + self.margin, allowed) for share in mended)

    def power(self, flips: float, *, difference: float = 0.0) -> float:
        """The share of models with this true difference that pass, if on a share `flips` of rows only one of the two is right."""
        if not abs(difference) <= flips <= 1:
            raise ValueError(f"flips: between the difference and 1, found {flips}")
        return self._passing((flips + difference) / 2, (flips - difference) / 2, self._most_negative(np.arange(self.rows + 1)))

    def _passing(self, mended: float, broken: float, allowed: NDArray[np.int64]) -> float:
        """Summed over the counts of positive flips that are not too rare to matter. `allowed`: (rows + 1,) negative ones beside each."""
        n, deep = self.rows, math.sqrt(2 * math.log(1e4 / self.error))
        spread = deep * math.sqrt(n * mended * (1 - mended)) + deep**2
        positive = np.arange(max(0, math.floor(n * mended - spread)), min(n, math.ceil(n * mended + spread)) + 1)
        logarithm = gammaln(n + 1) - gammaln(positive + 1) - gammaln(n - positive + 1)
        logarithm = logarithm + xlogy(positive, mended) + xlogy(n - positive, 1 - mended)
        most = allowed[positive]
        rest = min(broken / (1 - mended), 1.0) if mended < 1 else 0.0
        below = np.where(most >= 0, bdtr(np.maximum(most, 0), n - positive, rest), 0.0)
        return float((np.exp(logarithm) * below).sum())

    def _most_negative(self, positive: NDArray[np.int64]) -> NDArray[np.int64]:
        """Most negative flips that still pass beside so many positive ones, -1 where none does: T falls with them."""
        low, high = np.full(len(positive), -1), self.rows - positive + 1
        while bool((high - low > 1).any()):
            middle = (low + high) // 2
            passing = tango_score(positive, np.maximum(middle, 0), self.rows, difference=-self.margin) >= self.critical
            low, high = np.where(passing & (middle >= 0), middle, low), np.where(passing, high, middle)
        return low


def noninferior_rows(margin: float, *, flips: float, error: float, power: float = 0.8) -> int:
    """Rows with which a model that is as good as the old one passes with probability `power`, if `flips` of the rows change sides.

    It starts at n = (z(error) σ0 + z(power) σ1)² / margin², where σ1² = flips and σ0² is Tango's variance at the margin, and goes up
    until the exact power is there.

    Examples
    --------
    >>> noninferior_rows(0.01, flips=0.02, error=0.05), noninferior_rows(0.03, flips=0.02, error=0.05)
    (1397, 225)

    References
    ----------
    Nam, "Establishing equivalence of two treatments and sample size requirements in matched-pairs design", Biometrics, 1997.
    """
    for name, value in (("margin", margin), ("flips", flips), ("error", error), ("power", power)):
        _check_share(name, value)
    linear = flips + 2 * margin
    likely = (math.sqrt(max(linear**2 - 4 * flips * margin * (1 + margin), 0.0)) + linear) / 4
    under = math.sqrt(2 * likely - margin * (1 + margin))
    rows = math.ceil(((-float(ndtri(error)) * under + float(ndtri(power)) * math.sqrt(flips)) / margin) ** 2)
    while NonInferiority.of(rows, margin=margin, error=error).power(flips) < power:
        rows = math.ceil(rows * 1.01) + 1
    return rows


def joint_power(powers: Iterable[float]) -> float:
    """Of several tests that must all pass, as if they were independent: rows in common make it more, so it is rather too low.

    Examples
    --------
    >>> round(joint_power([0.8, 0.9]), 2)
    0.72
    """
    return math.prod(powers)


def _check_counts(positive: int, negative: int, rows: int) -> None:
    if rows < 1 or positive < 0 or negative < 0 or positive + negative > rows:
        raise ValueError(f"flips: 0 or more, together at most the rows (1 or more); found {positive} and {negative} of {rows}")


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name}: between 0 and 1, found {value}")
