"""The nearest rows of one set to those of another, exactly, in blocks of matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.clustering import squared_distances

_CELLS = 8_000_000
"""Distances that are held at once: 32 MB."""


class Neighbours(NamedTuple):
    """Of each of n rows its k nearest among others, nearest first: (n, k) Euclidean distances float32, and which rows int64."""

    distance: NDArray[np.float32]
    row: NDArray[np.int64]


def nearest_rows(
    rows: NDArray[np.float32],
    among: NDArray[np.float32],
    k: int,
    *,
    same: bool = False,
    progress: Callable[[float], None] = lambda _: None,
) -> Neighbours:
    """(n, d), (m, d) → their k nearest, k at most m. `same`: both are one set, and no row is its own neighbour.

    Costs O(n m d), all of it in matrix products; memory O(n k) beside blocks. Both are centred first, as a common offset would cost the
    digits that tell near rows apart.

    Examples
    --------
    >>> line = np.float32([[0], [1], [3]])
    >>> nearest_rows(line, line, 1, same=True).row.ravel().tolist()
    [1, 0, 1]
    """
    if not 1 <= k <= len(among) - same:
        raise ValueError(f"k: between 1 and the {len(among) - same} rows there are to choose from, found {k}")
    centre = among.mean(0, dtype=np.float64).astype(np.float32)
    others = among - centre
    distance, row = np.empty((len(rows), k), np.float32), np.empty((len(rows), k), np.int64)
    block = max(1, _CELLS // len(among))
    for start in range(0, len(rows), block):
        found = squared_distances(rows[start : start + block] - centre, others)
        if same:
            found[np.arange(len(found)), np.arange(start, start + len(found))] = np.inf
        at = np.argpartition(found, k - 1, axis=1)[:, :k]
        order = np.take_along_axis(found, at, 1).argsort(1, kind="stable")
        at = np.take_along_axis(at, order, 1)
        row[start : start + block] = at
        distance[start : start + block] = np.sqrt(np.take_along_axis(found, at, 1))
        progress(min(1.0, (start + block) / len(rows)))
    return Neighbours(distance, row)
