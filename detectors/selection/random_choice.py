"""Any rows: what every way of choosing has to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from detectors.selection.base import ONCE, Known, Pick, Pool, Turn, Why, check


@dataclass(frozen=True, slots=True)
class RandomChoice:
    """Uniformly, without replacement: P(row) = budget / n for each of n rows of the pool.

    The picks are a fair sample of the traffic, which no other method's are; where nothing is worth more than anything else, none does
    better.

    Examples
    --------
    >>> pool = Pool(np.eye(6, dtype=np.float32))
    >>> picks = RandomChoice().pick(pool, Known(np.eye(6, dtype=np.float32)), budget=3, rng=np.random.default_rng(0))
    >>> len({pick.row for pick in picks})
    3
    """

    def pick(
        self,
        pool: Pool,
        known: Known,
        *,
        budget: int,
        rng: np.random.Generator,
        turn: Turn = ONCE,  # noqa: ARG002 - every round is alike
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Pick, ...]:
        """As `Selector` says."""
        check(pool, known, budget)
        rows = rng.permutation(len(pool))[:budget]
        progress(1.0)
        return tuple(Pick(int(row), Why.METHOD) for row in rows)
