"""Is it us? What delivers the samples may have changed, and not what they say: copies, gaps, losses, one source alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.clustering import squared_distances

_COPY = 1e-5
"""Squared distance of two copies, as a share of the typical one: float16 and another batch make no more of it."""
_MOST_ROWS = 2_000


def repeated(rows: NDArray[np.floating], reference: NDArray[np.float32], *, spoilt: NDArray[np.bool_] | None = None) -> float:
    """Share of (n, d) rows that are copies of an earlier one, beyond that of as many reference rows; 0 to 1.

    spoilt : (n,) rows beyond the reference in quality, which do not count: blank inputs are alike, and nobody sent them again.
    """
    rows = rows[-_MOST_ROWS:].astype(np.float32)
    own = reference[np.linspace(0, len(reference) - 1, min(len(rows), len(reference))).astype(np.int64)]
    within = _COPY * 2.0 * float(reference[: 20 * _MOST_ROWS].var(axis=0).sum())
    copies = _copies(rows, within)
    if spoilt is not None:
        copies &= ~spoilt[-_MOST_ROWS:]
    return max(float(copies.mean()) - float(_copies(own, within).mean()), 0.0) if len(rows) else 0.0


def _copies(rows: NDArray[np.float32], within: float) -> NDArray[np.bool_]:
    """(n,) whether a row lies within that squared distance of an earlier one."""
    centred = rows - rows.mean(0)
    near = squared_distances(centred, centred) <= max(within, 1e-12)
    return np.asarray(np.tril(near, -1).any(1), np.bool_)
