"""Splits of the training rows: no near-duplicate on both sides, every class on both where it has rows for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.selection.duplicates import duplicate_groups

MOST_COMPARED = 20_000
"""Rows up to which near-duplicates are looked for: every pair is compared. Beyond it only equal embeddings make a group."""


def groups_of(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """(n,) the first row of each row's group of near-duplicates."""
    if len(rows) <= MOST_COMPARED:
        return duplicate_groups(rows)
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return np.asarray(first[inverse.ravel()], np.int64)


def folds(
    groups: NDArray[np.int64], strata: NDArray[np.int64], count: int, rng: np.random.Generator
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """`count` pairs of rows to fit and rows to hold out; every row is held out once.

    Groups are dealt class by class (the class of a group's first row), in an order that `rng` draws, so that each fold holds out about
    as many of each. A class of one group is held out of the one fit that can't learn it.
    """
    leaders, inverse = np.unique(groups, return_inverse=True)
    kinds = strata[leaders]
    order = rng.permutation(len(leaders))
    order = order[np.argsort(kinds[order], kind="stable")]
    fold = np.empty(len(leaders), np.int64)
    fold[order] = np.arange(len(leaders)) % count
    of_row = fold[inverse]
    return [(np.flatnonzero(of_row != each), np.flatnonzero(of_row == each)) for each in range(count)]
