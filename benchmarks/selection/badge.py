"""BADGE: rows that would pull the last layer hard, each in a direction of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detectors.selection import ONCE, Known, Pick, Pool, Turn, Why


class Badge:
    """Gradients of the last layer at its own answer, g = (p - e(answer)) ⊗ x, drawn by k-means++: each next one with a chance that grows
    with the squared distance to the nearest one drawn. Ash et al., "Deep batch active learning by diverse, uncertain
    gradient lower bounds", ICLR 2020. As g is an outer product, distances take O(C + d) instead of O(C d)."""

    def pick(
        self,
        pool: Pool,
        known: Known,  # noqa: ARG002 - the model alone decides
        *,
        budget: int,
        rng: np.random.Generator,
        turn: Turn = ONCE,  # noqa: ARG002 - every round is alike
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Pick, ...]:
        if pool.probabilities is None:
            raise ValueError("pool: BADGE takes the model's probabilities, found none")
        pull = pool.probabilities.copy()
        pull[np.arange(len(pool)), pull.argmax(1)] -= 1
        squares = (pull**2).sum(1) * (pool.embeddings**2).sum(1)
        chosen = [int(squares.argmax())]
        nearest = np.full(len(pool), np.inf)
        while len(chosen) < min(budget, len(pool)):
            last = chosen[-1]
            both = (pull @ pull[last]) * (pool.embeddings @ pool.embeddings[last])
            nearest = np.minimum(nearest, np.maximum(squares + squares[last] - 2 * both, 0).astype(np.float64))
            nearest[chosen] = 0
            if not nearest.sum() > 0:
                break
            chosen.append(int(rng.choice(len(pool), p=nearest / nearest.sum())))
            progress(len(chosen) / budget)
        return tuple(Pick(row, Why.METHOD) for row in chosen)
