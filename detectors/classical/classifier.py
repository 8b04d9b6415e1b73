"""Domain classifier: if somebody can tell the window's rows from the reference's, unseen, they differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.classical.base import Pooled, Rows, TestResult
from detectors.classical.permutation import Splits, permutation_test
from detectors.classical.projection import principal_components


@dataclass(frozen=True, slots=True)
class DomainClassifier:
    """Area under the ROC curve of a linear classifier on rows that it was not fitted on; 0.5 is guessing.

    Nearest centroid in at most `components` whitened principal components of both samples, which is Fisher's discriminant with
    the pooled covariance; `folds` random folds, each judged by the classifier of the others; pairs are compared within a fold.
    By permutation: every split is fitted anew, so what the folds share is in the law. At most `rows` a side are used; memory
    is O(rows · components). Sees shifts of the mean, and how well they separate single samples.

    References
    ----------
    Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017. Rabanser, Günnemann and Lipton, "Failing loudly",
    NeurIPS 2019. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 1936.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reference, window = (rng.standard_normal((n, 8)).astype(np.float32) for n in (500, 200))
    >>> result = DomainClassifier()(reference, window, rng=rng)
    >>> round(result.statistic, 2), result.p_value > 0.05
    (0.49, True)
    >>> shifted = DomainClassifier()(reference, window + np.float32(0.5), rng=rng)
    >>> round(shifted.statistic, 2), shifted.p_value
    (0.86, 0.001)
    """

    components: int = 32
    folds: int = 5
    permutations: int = 999
    rows: int = 3_000

    def __call__(self, reference: Rows, window: Rows, *, rng: np.random.Generator) -> TestResult:
        """One test of (n, d) against (m, d) float32."""
        pooled = Pooled.draw(reference, window, most=self.rows, rng=rng)
        scores = principal_components(pooled.rows, min(self.components, len(pooled) // 10))
        whitened = scores / np.maximum(scores.std(0), 1e-12)
        parts = np.array_split(np.arange(len(pooled)), self.folds)

        def areas(splits: Splits) -> NDArray[np.float64]:
            """Each row's fold is judged by the centroids of the other folds."""
            judged = [_ordered_pairs(whitened, splits, part) for part in parts]
            right, pairs = (sum(column) for column in zip(*judged, strict=True))
            return np.asarray(right / np.maximum(pairs, 1))

        area, p_value = permutation_test(areas, pooled.window, permutations=self.permutations, rng=rng)
        return pooled.result(area, p_value, law=f"{self.permutations} permutations")


def _ordered_pairs(whitened: Rows, splits: Splits, part: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(b,) pairs of a window's and a reference's row within the part that the classifier of the rest puts in order, and all pairs.

    The rows stand in random order, so ties are broken by chance.
    """
    fitted = splits.astype(np.float32)
    fitted[:, part] = 0.0
    windows = np.maximum(fitted.sum(1, keepdims=True), 1.0)
    references = np.maximum(splits.shape[1] - len(part) - fitted.sum(1, keepdims=True), 1.0)
    sums = fitted @ whitened
    rest = whitened.sum(0) - whitened[part].sum(0) - sums
    scores = (sums / windows - rest / references) @ whitened[part].T
    ranked = np.take_along_axis(splits[:, part], np.argsort(scores, axis=1), axis=1)
    below = np.cumsum(~ranked, axis=1)
    return (below * ranked).sum(1).astype(np.float64), (below[:, -1] * ranked.sum(1)).astype(np.float64)
