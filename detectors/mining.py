"""The rows of a large pool that are nearest to a few, and one order made of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.selection.kernel import directions

_CELLS = 4_000_000
"""Values of a block of rows, or of its cosines: 16 MB."""

_FUSION = 60


class Closeness(NamedTuple):
    """Of each of n rows: (n,) float32 its largest cosine to a query, and (n,) int64 to which."""

    cosine: NDArray[np.float32]
    query: NDArray[np.int64]


def closeness(
    rows: NDArray[np.floating],
    queries: NDArray[np.float32],
    centre: NDArray[np.float32],
    *,
    progress: Callable[[float], None] = lambda _: None,
) -> Closeness:
    """How near each row lies to the nearest of the queries, exactly: cosines seen from a centre, in blocks of matrix products.

    Costs O(n q d); memory one block beside the rows, which may be float16.

    Parameters
    ----------
    rows : (n, d)
    queries : (q, d) float32, q at least 1
    centre : (d,) float32
        The reference's mean: without it what all rows share would make them all alike.

    Examples
    --------
    >>> found = closeness(np.float32([[1, 0], [0, 3], [-1, 0]]), np.float32([[2, 0], [0, 1]]), np.zeros(2, np.float32))
    >>> found.cosine.tolist(), found.query.tolist()
    ([1.0, 1.0, 0.0], [0, 1, 1])
    """
    if rows.ndim != 2 or queries.ndim != 2 or rows.shape[1] != queries.shape[1] or not len(queries):
        raise ValueError(f"rows and queries of one dimension, at least one query; found {rows.shape} and {queries.shape}")
    asked = directions(queries, centre).T
    cosine, query = np.empty(len(rows), np.float32), np.empty(len(rows), np.int64)
    block = max(1, _CELLS // max(rows.shape[1], len(queries)))
    for start in range(0, len(rows), block):
        part = slice(start, min(start + block, len(rows)))
        found = directions(rows[part].astype(np.float32), centre) @ asked
        query[part] = found.argmax(1)
        cosine[part] = found.max(1)
        progress(part.stop / len(rows))
    return Closeness(cosine, query)


def fused(orders: Sequence[NDArray[np.int64]], rows: int) -> NDArray[np.float64]:
    """(n,) reciprocal rank fusion of several orders of n rows, larger first: Σ 1 / (60 + rank), ranks from 1.

    orders : of each way of ranking the rows that it ranks, best first; a row that one of them does not rank gets nothing from it.

    References
    ----------
    Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", SIGIR 2009.

    Examples
    --------
    >>> fused([np.array([0, 1, 2]), np.array([1, 2])], 3).argsort()[::-1].tolist()
    [1, 2, 0]
    """
    total = np.zeros(rows)
    for order in orders:
        total[order] += 1 / (_FUSION + 1 + np.arange(len(order)))
    return total
