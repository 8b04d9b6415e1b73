"""Random Fourier features: a finite map whose means differ when distributions do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

FEATURES = 512
_PAIRS = 4000


@dataclass(frozen=True, slots=True, eq=False)
class RandomFeatures:
    """cos and sin of random projections, so that φ(x)·φ(y) ≈ exp(-‖x - y‖² / 2h²), h the median distance of the fit rows.

    The distance of two samples' mean features is then their maximum mean discrepancy (MMD) under that Gaussian kernel.

    References
    ----------
    Rahimi and Recht, "Random Features for Large-Scale Kernel Machines", NeurIPS 2007.
    Gretton et al., "A Kernel Two-Sample Test", JMLR 2012 (MMD and the median heuristic).
    """

    weights: NDArray[np.float32]
    """(d, D / 2)"""

    @classmethod
    def fit(cls, rows: NDArray[np.float32], *, rng: np.random.Generator, dimension: int = FEATURES) -> Self:
        """Draws D / 2 frequencies at the bandwidth of (n, d) rows."""
        a, b = rng.integers(0, len(rows), (2, _PAIRS))
        distances = np.linalg.norm(rows[a].astype(np.float64) - rows[b], axis=1)
        positive = distances[distances > 0]
        bandwidth = float(np.median(positive)) if len(positive) else 1.0
        return cls((rng.standard_normal((rows.shape[1], dimension // 2)) / bandwidth).astype(np.float32))

    @property
    def dimension(self) -> int:
        """D, the number of features."""
        return 2 * int(self.weights.shape[1])

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) float32 → (n, D) float32."""
        half = self.weights.shape[1]
        out = np.empty((len(rows), 2 * half), np.float32)
        projected = rows @ self.weights
        np.cos(projected, out=out[:, :half])
        np.sin(projected, out=out[:, half:])
        out *= np.float32(half**-0.5)
        return out
