"""The most typical row of each cluster: good with few labels, and blind to what the model knows already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.clustering import kmeans, nearest
from detectors.selection.base import ONCE, Known, Pick, Pool, Turn, Why, check
from detectors.selection.kernel import directions

_NEIGHBOURS, _SMALL = 20, 5
"""That typicality looks at; members below which a cluster is left to the end."""


@dataclass(frozen=True, slots=True)
class TypiClust:
    """Clusters pool and answered rows into as many as there are answers and picks together (at most `clusters`) and takes from the largest
    clusters with the fewest answers the row of the highest

        typicality(x) = 1 / mean of ||x - y|| over its 20 nearest y of the cluster,

    clusters by turns, those below five members last. The reference plays no part, so most picks are what the model knows.

    Parameters
    ----------
    clusters
        At most; the authors' 500.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> topic = np.repeat([0, 1, 2], [40, 30, 20])
    >>> rows = (np.eye(3, 8)[topic] + 0.1 * rng.standard_normal((90, 8))).astype(np.float32)
    >>> picks = TypiClust().pick(Pool(rows), Known(rows[:2]), budget=3, rng=rng)
    >>> sorted(int(topic[pick.row]) for pick in picks)
    [0, 1, 2]

    References
    ----------
    Hacohen, Dekel and Weinshall, "Active learning on a budget: opposite strategies suit high and low budgets", ICML 2022.
    """

    clusters: int = 500

    def pick(
        self,
        pool: Pool,
        known: Known,
        *,
        budget: int,
        rng: np.random.Generator,
        turn: Turn = ONCE,  # noqa: ARG002 - the answers tell
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Pick, ...]:
        """As `Selector` says."""
        check(pool, known, budget)
        if not len(pool):
            return ()
        asked = np.empty((0, pool.embeddings.shape[1]), np.float32) if known.answered is None else known.answered
        unit = directions(np.concatenate([pool.embeddings, asked]), np.zeros(pool.embeddings.shape[1], np.float32))
        count = min(len(asked) + budget, self.clusters, len(unit))
        member = nearest(unit, kmeans(unit, count, rng=rng))[1]
        progress(0.5)
        queues = _queues(unit[: len(pool)], member[: len(pool)], np.bincount(member[len(pool) :], minlength=count))
        chosen = [row for turns in zip_longest_rows(queues) for row in turns][:budget]
        progress(1.0)
        return tuple(Pick(row, Why.METHOD, value=value) for row, value in chosen)


def _queues(unit: NDArray[np.float32], member: NDArray[np.int64], answered: NDArray[np.int64]) -> list[list[tuple[int, float]]]:
    """Of each cluster its rows with their typicality, most typical first; clusters in the order in which they have their turn."""
    sizes = np.bincount(member, minlength=len(answered))
    order = np.lexsort((-sizes, answered, sizes < _SMALL))
    queues = []
    for cluster in order[sizes[order] > 0]:
        rows = np.flatnonzero(member == cluster)
        value = _typicality(unit[rows])
        queues.append([(int(rows[i]), float(value[i])) for i in np.argsort(-value, kind="stable")])
    return queues


def _typicality(unit: NDArray[np.float32]) -> NDArray[np.float32]:
    near = min(_NEIGHBOURS, len(unit) - 1)
    if near < 1:
        return np.ones(len(unit), np.float32)
    apart = np.sqrt(np.maximum(2 - 2 * unit @ unit.T, 0))
    return np.asarray(1 / np.maximum(np.partition(apart, near, axis=1)[:, : near + 1].sum(1) / near, 1e-6), np.float32)


def zip_longest_rows(queues: list[list[tuple[int, float]]]) -> list[list[tuple[int, float]]]:
    """The first of each queue, then the second of each that has one, and so on."""
    longest = max(map(len, queues), default=0)
    return [[queue[turn] for queue in queues if turn < len(queue)] for turn in range(longest)]
