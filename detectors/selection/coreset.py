"""Rows that lie far from everything known and from each other: covers a space, junk first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.selection.base import ONCE, Known, Pick, Pool, Turn, Why, check
from detectors.selection.kernel import blocks


@dataclass(frozen=True, slots=True)
class Coreset:
    """k-centre greedy: each step takes arg max over x of min over z in S of ||x - z||, S being what is known and what is chosen.

    The largest distance that is left is at most twice the smallest possible. What is farthest is what nothing resembles: outliers are
    picked before any dense new mass. Takes O(n (m + b) d) time for n rows of the pool, m known ones and b picks, and O(n) memory beside
    blocks of distances.

    Examples
    --------
    >>> pool = Pool(np.float32([[0, 0], [5, 0], [5.1, 0], [0, 3]]))
    >>> picks = Coreset().pick(pool, Known(np.float32([[0, 0], [0, 1]])), budget=2, rng=np.random.default_rng(0))
    >>> [(pick.row, round(pick.value, 1)) for pick in picks]
    [(2, 5.1), (3, 2.0)]

    References
    ----------
    Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985.
    Sener and Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR 2018.
    """

    def pick(
        self,
        pool: Pool,
        known: Known,
        *,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002 - nothing is left to chance
        turn: Turn = ONCE,  # noqa: ARG002 - every round is alike
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Pick, ...]:
        """As `Selector` says."""
        check(pool, known, budget)
        rows = pool.embeddings
        far = distances(rows, everything_known(known))
        picks: list[Pick] = []
        for step in range(min(budget, len(rows))):
            best = int(far.argmax())
            picks.append(Pick(best, Why.METHOD, value=float(far[best])))
            far = np.minimum(far, np.linalg.norm(rows - rows[best], axis=1))
            far[best] = -np.inf
            progress((step + 1) / budget)
        return tuple(picks)


def everything_known(known: Known) -> NDArray[np.float32]:
    """(k, d) reference rows, failures and what was asked about."""
    return np.concatenate([part for part in (known.reference, known.failures, known.answered) if part is not None])


def distances(rows: NDArray[np.float32], near: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) how far each of (n, d) rows is from the nearest of (k, d); infinite where there is none."""
    found = np.full(len(rows), np.inf, np.float32)
    lengths = (rows**2).sum(1)
    for part in blocks(np.arange(len(near))):
        other = near[part]
        squares = lengths[:, None] - 2 * (rows @ other.T) + (other**2).sum(1)
        np.minimum(found, np.sqrt(np.maximum(squares.min(1), 0)), out=found)
    return found
