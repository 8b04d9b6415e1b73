"""Plain Lloyd k-means: prototypes of the reference and the regions that explanations speak of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def squared_distances(rows: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, d), (k, d) → (n, k) squared Euclidean distances, never negative."""
    out = rows @ (-2.0 * centres.T)
    out += np.einsum("ij,ij->i", rows, rows)[:, None]
    out += np.einsum("ij,ij->i", centres, centres)
    return np.asarray(np.maximum(out, 0.0, out=out), np.float32)


def nearest(rows: NDArray[np.float32], centres: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(n,) squared distance to the nearest of the centres, and which: what is the same for all of them is added at the end."""
    scores = rows @ (-2.0 * centres.T)
    scores += np.einsum("ij,ij->i", centres, centres)
    at = scores.argmin(1)
    return np.maximum(scores[np.arange(len(rows)), at] + np.einsum("ij,ij->i", rows, rows), 0.0), at


def kmeans(rows: NDArray[np.float32], k: int, *, rng: np.random.Generator, iterations: int = 12) -> NDArray[np.float32]:
    """At most k centres (k, d) of (n, d) rows, started at random rows of different values; empty clusters are dropped.

    References
    ----------
    Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory, 1982.

    Examples
    --------
    >>> kmeans(np.float32([[0], [0], [0], [0], [9]]), 2, rng=np.random.default_rng(0)).ravel().tolist()
    [0.0, 9.0]
    """
    centres = _distinct(rows, k, rng)
    for _ in range(iterations):
        nearest = squared_distances(rows, centres).argmin(1)
        _, starts, counts = np.unique(nearest[order := nearest.argsort(kind="stable")], return_index=True, return_counts=True)
        sums = np.add.reduceat(rows[order], starts, axis=0, dtype=np.float64)
        moved = (sums / counts[:, None]).astype(np.float32)
        if len(moved) == len(centres) and np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _distinct(rows: NDArray[np.float32], k: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """At most k random rows, no two alike, in ascending order: where most are copies of one, the others still are centres."""
    drawn = np.unique(rows[rng.choice(len(rows), min(k, len(rows)), replace=False)], axis=0)
    if len(drawn) == min(k, len(rows)):
        return drawn
    different = np.unique(rows, axis=0)
    return different[np.sort(rng.choice(len(different), min(k, len(different)), replace=False))]
