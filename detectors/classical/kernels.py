"""Energy distance and maximum mean discrepancy: two quadratic forms in the split, by permutation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.classical.base import Pooled, Rows, TestResult, check_rows, check_side, draw_rows
from detectors.classical.permutation import Splits, mean_differences, permutation_test
from detectors.clustering import squared_distances

_PAIRS = 4_000


@dataclass(frozen=True, slots=True)
class EnergyDistance:
    """Mean distance between the samples against the mean distances within: 2 E‖X - Y‖ - E‖X - X'‖ - E‖Y - Y'‖.

    No bandwidth to choose; sensitive to shifts of place more than of shape. By permutation. The distances of all pairs are held,
    so at most `rows` a side are drawn: 36 MB at 1,500.

    References
    ----------
    Székely and Rizzo, "Testing for equal distributions in high dimension", InterStat 2004.
    Sejdinovic et al., "Equivalence of distance-based and RKHS-based statistics", Annals of Statistics 2013.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reference, window = (rng.standard_normal((n, 8)).astype(np.float32) for n in (500, 200))
    >>> result = EnergyDistance()(reference, window, rng=rng)
    >>> round(result.statistic, 4), result.p_value > 0.05
    (0.0229, True)
    >>> EnergyDistance()(reference, window + np.float32(0.5), rng=rng).p_value
    0.001
    """

    permutations: int = 999
    rows: int = 1_500

    def __call__(self, reference: Rows, window: Rows, *, rng: np.random.Generator) -> TestResult:
        """One test of (n, d) against (m, d) float32."""
        pooled = Pooled.draw(reference, window, most=self.rows, rng=rng)
        likeness = -np.sqrt(squared_distances(pooled.rows, pooled.rows))
        np.fill_diagonal(likeness, 0.0)
        return _by_permutation(pooled, likeness, self.permutations, rng)


@dataclass(frozen=True, slots=True)
class MaximumMeanDiscrepancy:
    """Squared distance of the mean features under the Gaussian kernel exp(-‖x - y‖² / 2h²), h the median distance.

    The estimate includes the diagonal (V-statistic), so it is above 0 under the null. By permutation. The bandwidth comes from
    reference rows that are left out of the test, which keeps it exact and lets the reference's part be computed once for many
    windows (`prepare`). The kernel of all pairs is held, so at most `rows` a side are drawn: 36 MB at 1,500.

    References
    ----------
    Gretton et al., "A kernel two-sample test", JMLR 2012.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reference, window = (rng.standard_normal((n, 8)).astype(np.float32) for n in (500, 200))
    >>> prepared = MaximumMeanDiscrepancy().prepare(reference, rng=rng)
    >>> result = prepared.test(window, rng=rng)
    >>> round(result.statistic, 4), result.p_value > 0.05
    (0.0022, True)
    >>> prepared.test(window + np.float32(0.5), rng=rng).p_value
    0.001
    """

    permutations: int = 999
    rows: int = 1_500

    def __call__(self, reference: Rows, window: Rows, *, rng: np.random.Generator) -> TestResult:
        """One test of (n, d) against (m, d) float32."""
        reference, window = check_rows(reference, window)
        return self.prepare(reference, rng=rng).test(window, rng=rng)

    def prepare(self, reference: Rows, *, rng: np.random.Generator) -> PreparedReference:
        """Bandwidth and kernel of the (n, d) reference; an eighth of its rows, at most 500, gives the bandwidth and is then left out."""
        reference = check_side("reference", reference)
        order = rng.permutation(len(reference))
        apart = max(2, min(500, len(reference) // 8))
        bandwidth = median_distance(reference[order[:apart]], rng=rng)
        kept = draw_rows(reference[order[apart:]], self.rows, rng=rng)
        return PreparedReference(kept, bandwidth, _gaussian(kept, kept, bandwidth), self.permutations, self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedReference:
    """A reference that many windows are held against: rows (n, d), bandwidth, kernel (n, n) float32."""

    rows: Rows
    bandwidth: float
    kernel: NDArray[np.float32]
    permutations: int
    most: int

    def test(self, window: Rows, *, rng: np.random.Generator) -> TestResult:
        """The reference against (m, d) float32; each window its own look, with a p-value of its own."""
        if np.ndim(window) == 2 and window.shape[1] != self.rows.shape[1]:
            raise ValueError(f"window: rows of the reference's {self.rows.shape[1]} dimensions; found {window.shape[1]}")
        window = draw_rows(check_side("window", window), self.most, rng=rng)
        across, within = _gaussian(self.rows, window, self.bandwidth), _gaussian(window, window, self.bandwidth)
        belongs = np.arange(len(self.rows) + len(window)) >= len(self.rows)
        pooled = Pooled(np.concatenate([self.rows, window]), belongs)
        return _by_permutation(pooled, np.block([[self.kernel, across], [across.T, within]]), self.permutations, rng)


def median_distance(rows: Rows, *, rng: np.random.Generator) -> float:
    """Of random pairs of different rows; 1 where half of them coincide."""
    a = rng.integers(0, len(rows), _PAIRS)
    b = (a + rng.integers(1, len(rows), _PAIRS)) % len(rows)
    return float(np.median(np.linalg.norm(rows[a].astype(np.float64) - rows[b], axis=1))) or 1.0


def _gaussian(a: Rows, b: Rows, bandwidth: float) -> NDArray[np.float32]:
    middle = a.mean(0)  # a common offset would cost all digits
    return np.asarray(np.exp(squared_distances(a - middle, b - middle) * np.float32(-0.5 / bandwidth**2)))


def _by_permutation(pooled: Pooled, likeness: NDArray[np.float32], permutations: int, rng: np.random.Generator) -> TestResult:
    """z' L z, z = 1 / m on the window and -1 / n on the reference; L (N, N) is centred in place, which changes no value."""
    likeness -= likeness.mean(0, dtype=np.float64).astype(np.float32)
    likeness -= likeness.mean(1, dtype=np.float64).astype(np.float32)[:, None]
    scale = 1 / pooled.m + 1 / pooled.n

    def squared(splits: Splits) -> NDArray[np.float64]:
        return np.asarray((mean_differences(splits, likeness) * splits).sum(1, dtype=np.float64) * scale)

    statistic, p_value = permutation_test(squared, pooled.window, permutations=permutations, rng=rng)
    return pooled.result(max(statistic, 0.0), p_value, law=f"{permutations} permutations")
