"""Chi-squared on counts: predicted classes, and the clusters that rows fall into."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.classical.base import LEAST_ROWS, Pooled, Rows, TestResult
from detectors.clustering import kmeans, squared_distances

_EXPECTED = 5.0
"""Smallest expected count at which the asymptotic law is trusted (Cochran 1954)."""

_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class ClusterCounts:
    """Pearson's chi-squared on how many rows of either sample fall into each of at most `clusters` clusters of both together.

    Asymptotic where every expected count is at least 5, else by permutation of the rows, exact given the clusters' sizes. The
    clusters are found on the pooled rows: those of the reference alone lie closer to its rows than to any window's. At most
    `rows` a side are used; memory is O(rows · clusters). Sees a changed mix, and nothing within a cluster.

    References
    ----------
    Pearson, "On the criterion that a given system of deviations …", Philosophical Magazine 1900.
    Cochran, "Some methods for strengthening the common χ² tests", Biometrics 1954.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reference, window = (rng.standard_normal((n, 8)).astype(np.float32) for n in (500, 200))
    >>> result = ClusterCounts()(reference, window, rng=rng)
    >>> round(result.statistic, 1), result.p_value > 0.05
    (17.6, True)
    >>> ClusterCounts()(reference, window + np.float32(0.5), rng=rng).p_value < 0.001
    True
    """

    clusters: int = 20
    permutations: int = 999
    rows: int = 5_000

    def __call__(self, reference: Rows, window: Rows, *, rng: np.random.Generator) -> TestResult:
        """One test of (n, d) against (m, d) float32."""
        pooled = Pooled.draw(reference, window, most=self.rows, rng=rng)
        k = max(2, min(self.clusters, pooled.n // 5, pooled.m // 5))
        nearest = squared_distances(pooled.rows, kmeans(pooled.rows, k, rng=rng)).argmin(1)
        table = np.stack([np.bincount(nearest[belongs], minlength=k) for belongs in (~pooled.window, pooled.window)])
        return _tested(table, self.permutations, rng)


def class_counts(
    reference: Sequence[Hashable], window: Sequence[Hashable], *, rng: np.random.Generator, permutations: int = 999
) -> TestResult:
    """Pearson's chi-squared on n and m predicted classes, of any hashable kind; asymptotic or by permutation as in `ClusterCounts`.

    Examples
    --------
    >>> class_counts("aab" * 20, "abb" * 20, rng=np.random.default_rng(0)).p_value < 0.01
    True

    References
    ----------
    Lipton, Wang and Smola, "Detecting and correcting for label shift with black box predictors", ICML 2018 (why on predictions).
    """
    for name, labels in (("reference", reference), ("window", window)):
        if len(labels) < LEAST_ROWS:
            raise ValueError(f"{name}: at least {LEAST_ROWS} predicted classes; found {len(labels)}")
    number = {label: i for i, label in enumerate(dict.fromkeys([*reference, *window]))}
    columns = [np.bincount([number[label] for label in labels], minlength=len(number)) for labels in (reference, window)]
    return _tested(np.stack(columns), permutations, rng)


def _tested(table: NDArray[np.int64], permutations: int, rng: np.random.Generator) -> TestResult:
    """Of a (2, k) table, reference first; without a second category nothing can differ."""
    table = table[:, table.sum(0) > 0]
    n, m = (int(side) for side in table.sum(1))
    columns, freedom = table.sum(0), table.shape[1] - 1
    statistic = float(_pearson(table[1], columns, m))
    smallest = float(columns.min() * min(n, m) / (n + m))
    if smallest >= _EXPECTED or not freedom:
        p_value, law = float(special.chdtrc(freedom, statistic)) if freedom else 1.0, f"asymptotic, {freedom} degrees of freedom"
    else:
        p_value, law = _permuted(statistic, columns, m, permutations, rng), f"{permutations} permutations, as small counts are expected"
    return TestResult(statistic, p_value, {"law": law, "reference_rows": n, "window_rows": m, "categories": freedom + 1})


def _pearson(window: NDArray[np.int64], columns: NDArray[np.int64], m: int) -> NDArray[np.float64]:
    """Of (…, k) window counts out of (k,) pooled ones: Σ (observed - expected)² / expected over both rows of the table."""
    size = int(columns.sum())
    expected = columns * (m / size)
    return np.asarray(((window - expected) ** 2 / expected).sum(-1) * (size / (size - m)))


def _permuted(statistic: float, columns: NDArray[np.int64], m: int, permutations: int, rng: np.random.Generator) -> float:
    """A random split of rows gives the window multivariate hypergeometric counts, which are drawn as such."""
    batch, exceeding = max(1, _CELLS // len(columns)), 0
    for start in range(0, permutations, batch):
        drawn = rng.multivariate_hypergeometric(columns, m, size=min(batch, permutations - start))
        exceeding += int((_pearson(drawn, columns, m) >= statistic * (1 - 1e-9)).sum())
    return (1 + exceeding) / (1 + permutations)
