"""The norms that the scan measures mean differences in, and the traces that their null laws follow from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Which norms the scan takes: in the basis of the fit part's feature covariance, weights (G, D) of G squared norms.

    Row g is 1 / (λ + γ_g λ_max): spectral regularisation, γ → ∞ (plain MMD) being constant weights.

    References
    ----------
    Hagrass, Sriperumbudur and Li, "Spectral Regularized Kernel Two-Sample Tests", Annals of Statistics 2024.
    """

    basis: NDArray[np.float32]
    """(D, D), columns are eigenvectors."""
    weights: NDArray[np.float32]
    names: tuple[str, ...]

    @classmethod
    def fit(cls, features: NDArray[np.float32], regularisers: tuple[float, ...]) -> Self:
        """From the (n, D) features of the fit part; an infinite regulariser is the unwhitened norm."""
        covariance = np.cov(features.astype(np.float64), rowvar=False)
        values, basis = np.linalg.eigh(covariance)
        values = np.maximum(values, 0.0)
        top = float(values.max()) or 1.0
        rows = [np.ones_like(values) / values.sum() if np.isinf(g) else 1.0 / (values + g * top) for g in regularisers]
        names = tuple("mmd" if np.isinf(g) else f"whitened {g:g}" for g in regularisers)
        return cls(basis.astype(np.float32), np.array(rows, np.float32), names)


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """First three power traces (G,) of the whitened covariance: tr Σ, tr Σ², tr Σ³. A window's limit law has cumulants t1, 2 t2, 8 t3."""

    t1: NDArray[np.float64]
    t2: NDArray[np.float64]
    t3: NDArray[np.float64]

    @classmethod
    def of(cls, covariance: NDArray[np.float64], weights: NDArray[np.float32]) -> Self:
        """Plug-in traces of (D, D) under each row of (G, D) weights."""
        traces = []
        for w in weights:
            root = np.sqrt(w.astype(np.float64))
            whitened = covariance * root * root[:, None]
            square = whitened @ whitened  # a product costs less than the eigenvalues
            traces.append([np.trace(whitened), np.trace(square), np.vdot(square, whitened)])
        return cls(*np.array(traces).T)

    @classmethod
    def of_rows(cls, rows: NDArray[np.float64], weights: NDArray[np.float32]) -> Self:
        """The same from (n, D) rows; of few, their (n, n) inner products have the same traces at a tenth of the cost."""
        centred = (rows - rows.mean(0)) / np.sqrt(len(rows) - 1)
        if len(rows) >= rows.shape[1]:
            return cls.of(centred.T @ centred, weights)
        traces = []
        for w in weights:
            whitened = centred * np.sqrt(w.astype(np.float64))
            inner = whitened @ whitened.T
            square = inner @ inner
            traces.append([np.trace(inner), np.trace(square), np.vdot(square, inner)])
        return cls(*np.array(traces).T)

    def unbiased(self, n: float) -> Moments:
        """Removes what n independent rows add to the plug-in traces: E tr Σ̂² ≈ tr Σ² + (tr Σ)² / n, and likewise for the third."""
        t2 = np.maximum(self.t2 - self.t1**2 / n, 0.1 * self.t2)
        t3 = np.maximum(self.t3 - 3 * self.t1 * t2 / n - self.t1**3 / n**2, 0.1 * self.t3)
        return Moments(self.t1, t2, t3)

    @property
    def skewness(self) -> NDArray[np.float64]:
        """Of the limit law."""
        return np.asarray(8 * self.t3 / (2 * self.t2) ** 1.5)
