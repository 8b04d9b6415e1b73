"""FLVMI: the submodular mutual information between what is chosen and the known failures, facility location over the pool."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detectors.selection import ONCE, Known, Pick, Pool, Turn, Why
from detectors.selection.kernel import directions


class MutualInformation:
    """Greedy steps for f(A) = Σ over i of the pool of min(max over A of s(i, a), η · max over failures q of s(i, q)), s being the cosine
    above 0. Kothawade et al., "SIMILAR: submodular information measures based active learning in realistic scenarios",
    NeurIPS 2021 (η = 1). What was asked about is part of A from the start. Holds the pool's n × n similarities."""

    def pick(
        self,
        pool: Pool,
        known: Known,
        *,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002 - nothing is left to chance
        turn: Turn = ONCE,  # noqa: ARG002 - the answered rows tell
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Pick, ...]:
        if known.failures is None or not len(known.failures):
            raise ValueError("failures: FLVMI asks what is like them, found none")
        centre = known.reference.mean(0)
        unit = directions(pool.embeddings, centre)
        likeness = np.maximum(unit @ unit.T, 0)
        worth = np.maximum(unit @ directions(known.failures, centre).T, 0).max(1)
        likeness = np.minimum(likeness, worth)
        covered = np.zeros(len(pool), np.float32)
        if known.answered is not None and len(known.answered):
            covered = np.minimum(np.maximum(unit @ directions(known.answered, centre).T, 0).max(1), worth)
        return tuple(Pick(row, Why.METHOD, value=gain) for row, gain in _greedy(likeness, covered, budget, progress))


def _greedy(
    likeness: NDArray[np.float32], covered: NDArray[np.float32], budget: int, progress: Callable[[float], None]
) -> list[tuple[int, float]]:
    """Lazily: a gain only shrinks, so one that still is the largest when it is looked at again is the largest."""
    gains = np.array([np.maximum(row - covered, 0).sum() for row in likeness])
    chosen: list[tuple[int, float]] = []
    while len(chosen) < min(budget, len(gains)):
        best = int(gains.argmax())
        fresh = float(np.maximum(likeness[best] - covered, 0).sum())
        if fresh < np.partition(gains, -2)[-2] if len(gains) > 1 else False:
            gains[best] = fresh
            continue
        chosen.append((best, fresh))
        np.maximum(covered, likeness[best], out=covered)
        gains[best] = -np.inf
        progress(len(chosen) / budget)
    return chosen
