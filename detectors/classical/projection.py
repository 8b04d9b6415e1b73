"""Leading principal components of the pooled rows: few numbers a row, in which most of the traffic differs."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from detectors.classical.base import Rows


def principal_components(rows: Rows, most: int) -> Rows:
    """Scores (N, r) on at most `most` leading components of centred (N, d) rows, in descending order of variance, r ≥ 1.

    Fitted on both samples together: components fitted on the reference alone fit it better than any window, which by itself
    makes p-values too small. Components without variance are left out. The smaller of the two Gram matrices is decomposed.
    """
    n, d = rows.shape
    r = min(most, d, n - 1)
    wide = d > n
    gram = (rows @ rows.T if wide else rows.T @ rows).astype(np.float64)
    side = len(gram)
    values, vectors = linalg.eigh(gram, subset_by_index=(side - r, side - 1))
    kept = max(1, int((values > 1e-6 * max(values[-1], 1e-30)).sum()))
    values, vectors = values[::-1][:kept], vectors[:, ::-1][:, :kept]
    scores = vectors * np.sqrt(np.maximum(values, 0.0)) if wide else rows @ vectors
    return np.asarray(scores, np.float32)
