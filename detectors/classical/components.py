"""Kolmogorov–Smirnov and Cramér–von Mises on each principal component, with Holm over the components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.classical.adjust import holm
from detectors.classical.base import Pooled, Rows, TestResult
from detectors.classical.permutation import Splits, permutation_test
from detectors.classical.projection import principal_components

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class KolmogorovSmirnov:
    """Largest gap between the two empirical distribution functions, over at most `components` principal components.

    The statistic is the largest component's D = sup |F - G|; its p-value is that of the largest, by permutation, so the family is
    exact however the components depend on each other. `detail` has each component's D, its asymptotic p-value and Holm's.
    At most `rows` a side are used; memory is O(rows · components).

    References
    ----------
    Smirnov, "Table for estimating the goodness of fit of empirical distributions", Annals of Mathematical Statistics 1948.
    Stephens, "Use of the Kolmogorov–Smirnov … statistics without extensive tables", JRSS B 1970 (the small-sample term).
    Westfall and Young, "Resampling-based multiple testing", Wiley 1993 (the largest of several, by permutation).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reference, window = (rng.standard_normal((n, 8)).astype(np.float32) for n in (500, 200))
    >>> result = KolmogorovSmirnov()(reference, window, rng=rng)
    >>> round(result.statistic, 3), result.p_value > 0.05
    (0.08, True)
    >>> KolmogorovSmirnov()(reference, window + np.float32(0.5), rng=rng).p_value
    0.001
    """

    components: int = 16
    permutations: int = 999
    rows: int = 5_000

    def __call__(self, reference: Rows, window: Rows, *, rng: np.random.Generator) -> TestResult:
        """One test of (n, d) against (m, d) float32."""
        pooled = Pooled.draw(reference, window, most=self.rows, rng=rng)
        return _tested(pooled, _Law(_largest_gap, _kolmogorov_tail), self.components, self.permutations, rng)


@dataclass(frozen=True, slots=True)
class CramerVonMises:
    """Squared gap between the two empirical distribution functions, summed over rows, on at most `components` components.

    T = nm / N² · Σ (F - G)² over the pooled rows: less sensitive than Kolmogorov–Smirnov in one point, more to a shift of the
    whole. The rest is as in `KolmogorovSmirnov`.

    References
    ----------
    Anderson, "On the distribution of the two-sample Cramér–von Mises criterion", Annals of Mathematical Statistics 1962.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reference, window = (rng.standard_normal((n, 8)).astype(np.float32) for n in (500, 200))
    >>> result = CramerVonMises()(reference, window, rng=rng)
    >>> round(result.statistic, 3), result.p_value > 0.05
    (0.228, True)
    >>> CramerVonMises()(reference, window + np.float32(0.5), rng=rng).p_value
    0.001
    """

    components: int = 16
    permutations: int = 999
    rows: int = 5_000

    def __call__(self, reference: Rows, window: Rows, *, rng: np.random.Generator) -> TestResult:
        """One test of (n, d) against (m, d) float32."""
        pooled = Pooled.draw(reference, window, most=self.rows, rng=rng)
        return _tested(pooled, _Law(_squared_gap, _cramer_von_mises_tail), self.components, self.permutations, rng)


@dataclass(frozen=True, slots=True)
class _Law:
    """What is made of gaps (b, N) with weights (N,), and the tail of that under the null; both for n and m rows."""

    measure: Callable[[Floats, Floats, int, int], Floats]
    tail: Callable[[Floats, int, int], Floats]


def _tested(pooled: Pooled, law: _Law, components: int, permutations: int, rng: np.random.Generator) -> TestResult:
    scores = principal_components(pooled.rows, components)
    order = np.argsort(scores, axis=0)
    weights = [_weights(scores[order[:, j], j]) for j in range(scores.shape[1])]

    def each(splits: Splits) -> Floats:
        """(b, N) → (b, r)."""
        found = [law.measure(_gaps(splits[:, order[:, j]]), weight, pooled.n, pooled.m) for j, weight in enumerate(weights)]
        return np.asarray(np.stack(found, axis=1))

    def largest(splits: Splits) -> Floats:
        return np.asarray(each(splits).max(1))

    statistic, p_value = permutation_test(largest, pooled.window, permutations=permutations, rng=rng)
    own = each(pooled.window[None, :])[0]
    p_values = law.tail(own, pooled.n, pooled.m)
    return pooled.result(
        statistic,
        p_value,
        law=f"{permutations} permutations of the largest component; asymptotic for each",
        components=tuple(own.tolist()),
        component_p_values=tuple(p_values.tolist()),
        component_holm=tuple(holm(p_values).tolist()),
    )


def _weights(ascending: NDArray[np.float32]) -> Floats:
    """(N,) how many rows share the value that ends here, 0 where it goes on: distribution functions are read after a tie."""
    ends = np.append(np.flatnonzero(np.diff(ascending)), len(ascending) - 1)
    weights = np.zeros(len(ascending))
    weights[ends] = np.diff(ends, prepend=-1)
    return weights


def _gaps(splits: Splits) -> Floats:
    """(b, N) splits in ascending order of value → window's minus reference's distribution function after each."""
    size = splits.shape[1]
    m = int(splits[0].sum())
    n = size - m
    return np.asarray(np.cumsum(splits, axis=1, dtype=np.int32) * (1 / m + 1 / n) - np.arange(1, size + 1) / n)


def _largest_gap(gaps: Floats, weights: Floats, n: int, m: int) -> Floats:  # noqa: ARG001 - its scale needs no sizes
    return np.asarray(np.abs(gaps[:, weights > 0]).max(1))


def _squared_gap(gaps: Floats, weights: Floats, n: int, m: int) -> Floats:
    return np.asarray(gaps**2 @ (weights * n * m / (n + m) ** 2))


def _kolmogorov_tail(d: Floats, n: int, m: int) -> Floats:
    """P(D ≥ d): Kolmogorov's limit at Stephens' effective size."""
    root = np.sqrt(n * m / (n + m))
    return np.asarray(special.kolmogorov((root + 0.12 + 0.11 / root) * d))


def _cramer_von_mises_tail(t: Floats, n: int, m: int) -> Floats:
    """P(T ≥ t): the limit law at T brought to that law's mean and variance."""
    size = n + m
    mean = (1 + 1 / size) / 6
    variance = (size + 1) * (4 * n * m * size - 3 * (n * n + m * m) - 2 * n * m) / (45 * size**2 * 4 * n * m)
    return _limit_tail(np.maximum(1 / 6 + (t - mean) / np.sqrt(45 * variance), 1e-3))


def _limit_tail(x: Floats, terms: int = 40) -> Floats:
    """1 - (π √x)⁻¹ Σ Γ(k + ½) / (Γ(½) k!) √(4k + 1) e^-q K_¼(q), q = (4k + 1)² / 16x (Anderson and Darling 1952)."""
    k = np.arange(terms)
    y = 4 * k + 1
    q = y**2 / (16 * x[..., None])
    weight = np.exp(special.gammaln(k + 0.5) - special.gammaln(k + 1)) / np.pi**1.5
    below = (weight * np.sqrt(y / x[..., None]) * np.exp(-2 * q) * special.kve(0.25, q)).sum(-1)
    return np.asarray(np.clip(1 - below, 0.0, 1.0))
