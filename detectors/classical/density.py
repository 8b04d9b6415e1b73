"""Least-squares density difference: how far the two densities lie apart, without estimating either."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.classical.base import Pooled, Rows, TestResult
from detectors.classical.kernels import median_distance
from detectors.classical.permutation import Splits, mean_differences, permutation_test
from detectors.clustering import squared_distances

_RIDGE = 0.01
"""Of the Gram matrix, whose diagonal is 1."""


@dataclass(frozen=True, slots=True)
class DensityDifference:
    """∫ (p - q)² with p - q modelled by Gaussians on random pooled rows: θ = (H + λI)⁻¹ h, estimate 2 θ'h - θ'Hθ.

    h is the difference of the mean kernel values at the centres, H the centres' own overlaps; in units of (π h²)^(d/2), which
    overflows at the dimensions of embeddings. By permutation. Unlike the original, width and λ are fixed (the median distance,
    0.01) and not chosen by cross-validation, since a choice made on the split as it is would spoil the permutation.
    Memory is O(rows · centres).

    References
    ----------
    Sugiyama et al., "Density-difference estimation", Neural Computation 2013.
    Bu, Alippi and Zhao, "A pdf-free change detection test based on density difference estimation", IEEE TNNLS 2018.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reference, window = (rng.standard_normal((n, 8)).astype(np.float32) for n in (500, 200))
    >>> result = DensityDifference()(reference, window, rng=rng)
    >>> round(result.statistic, 4), result.p_value > 0.05
    (0.0071, True)
    >>> DensityDifference()(reference, window + np.float32(0.5), rng=rng).p_value
    0.001
    """

    centres: int = 256
    permutations: int = 999
    rows: int = 5_000

    def __call__(self, reference: Rows, window: Rows, *, rng: np.random.Generator) -> TestResult:
        """One test of (n, d) against (m, d) float32."""
        pooled = Pooled.draw(reference, window, most=self.rows, rng=rng)
        features = self._features(pooled.rows, rng)

        def squared(splits: Splits) -> NDArray[np.float64]:
            return np.asarray(np.square(mean_differences(splits, features), dtype=np.float64).sum(1))

        statistic, p_value = permutation_test(squared, pooled.window, permutations=self.permutations, rng=rng)
        return pooled.result(statistic, p_value, law=f"{self.permutations} permutations")

    def _features(self, rows: Rows, rng: np.random.Generator) -> NDArray[np.float32]:
        """(N, C) kernel values in the basis in which the estimate is the squared length of the difference of means.

        With H = U s U' the estimate is h'U diag((s + 2λ) / (s + λ)²) U'h.
        """
        width = median_distance(rows, rng=rng)
        centres = rows[rng.choice(len(rows), min(self.centres, len(rows) // 2), replace=False)]
        overlaps = np.exp(squared_distances(centres, centres).astype(np.float64) / (-4 * width**2))
        values, vectors = np.linalg.eigh(overlaps)
        values = np.maximum(values, 0.0)
        weights = np.sqrt(values + 2 * _RIDGE) / (values + _RIDGE)
        features = np.exp(squared_distances(rows, centres) * np.float32(-0.5 / width**2))
        features -= features.mean(0, dtype=np.float64).astype(np.float32)
        return np.asarray(features @ (vectors * weights).astype(np.float32))
