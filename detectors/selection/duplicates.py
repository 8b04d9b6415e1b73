"""Near-duplicates: rows that say the same, merged or kept together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.selection.kernel import Scales, blocks, directions


def merge_duplicates(unit: NDArray[np.float32], limit: float) -> NDArray[np.int64]:
    """For each of (n, d) unit rows the row that stands for it: the first representative whose cosine reaches `limit`, or itself.

    Greedy in the order given, so groups never chain: each member is a near-duplicate of its representative.
    """
    stands = np.arange(len(unit))
    leaders = stands[:1].copy()
    for rows in blocks(stands.copy()):
        cosine = unit[rows] @ unit[leaders].T
        known = (cosine >= limit).any(1)
        stands[rows[known]] = leaders[(cosine[known] >= limit).argmax(1)]
        new = rows[~known]
        alike = unit[new] @ unit[new].T >= limit
        free = np.ones(len(new), bool)
        for i in range(len(new)):
            if free[i]:
                stands[new[free & alike[i]]] = new[i]
                free &= ~alike[i]
        leaders = np.concatenate([leaders, new[stands[new] == new]])
    return stands


def duplicate_groups(embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
    """Groups that no near-duplicate pair straddles: for each of (n, d) rows the first row of its group.

    The scale is the rows' own (see `Scales`). Groups are connected components, so a chain of near-duplicates is one group.
    """
    if len(embeddings) < 2:
        return np.arange(len(embeddings))
    unit = directions(embeddings, embeddings.mean(0))
    limit = Scales.fit(unit).duplicate
    groups = np.arange(len(unit))
    for rows in blocks(np.arange(len(unit))):
        near, other = np.nonzero(unit[rows] @ unit.T >= limit)
        _join(groups, rows[near], other)
    return groups


def _join(groups: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64]) -> None:
    """Unites the groups of each pair in place; every entry ends as the smallest row of its group."""
    while True:
        low, high = np.minimum(groups[a], groups[b]), np.maximum(groups[a], groups[b])
        if np.array_equal(low, high):
            return
        np.minimum.at(groups, high, low)
        while not np.array_equal(groups, groups[groups]):
            groups[:] = groups[groups]
