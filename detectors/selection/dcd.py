"""What lies nearest to known failures, class by class: the strongest simple way where failures are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.selection.base import ONCE, UNKNOWN, Known, Pick, Pool, Turn, Why, check
from detectors.selection.coreset import distances
from detectors.selection.duplicates import merge_duplicates
from detectors.selection.kernel import Scales, directions


@dataclass(frozen=True, slots=True)
class FailureDistance:
    """Data-centric debugging by ℓ2: for each class y of the failures F(y) the rows with the smallest

        d(x, y) = min over z in F(y) of ||x - z||,

    classes by turns, until the budget is spent. Where rows carry weak labels only those labelled y stand in the line of y, as in
    the paper; elsewhere all rows do. Of near-duplicates, also of failures and of rows asked about before, one is taken. Answers are
    not made use of. Without failures it falls back to novelty, the largest distance to what the model gets right first, which finds
    junk first.

    Takes O(n (f + m) d) time.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> topic = np.repeat([0, 1, 2, 3, 4], 20)
    >>> rows = np.asarray(np.eye(8)[topic] + 0.2 * rng.standard_normal((100, 8)), np.float32)
    >>> known = Known(rows[:60], failures=rows[[60, 80]], failure_labels=np.array([3, 4]))
    >>> [(int(topic[pick.row]), pick.label) for pick in FailureDistance().pick(Pool(rows), known, budget=4, rng=rng)]
    [(3, 3), (4, 4), (3, 3), (4, 4)]

    References
    ----------
    Singla et al., "Data-centric debugging: mitigating model failures via targeted image retrieval", WACV 2024.
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
        rows, copies = _distinct(pool, known)
        progress(0.5)
        chosen = _near_failures(pool, known, rows, budget) if _has_failures(known) else _most_novel(pool, known, rows)[:budget]
        progress(1.0)
        return tuple(
            Pick(row, Why.METHOD if label == UNKNOWN else Why.EXPAND, label, value, copies=copies.get(row, ()))
            for row, label, value in chosen
        )


def _has_failures(known: Known) -> bool:
    return known.failures is not None and known.failure_labels is not None and len(known.failures) > 0


def _near_failures(pool: Pool, known: Known, rows: NDArray[np.int64], budget: int) -> list[tuple[int, int, float]]:
    """Row, class and closeness, in the order of choice."""
    if known.failures is None or known.failure_labels is None:
        return []
    lines = {}
    for label in np.unique(known.failure_labels).tolist():
        able = rows if pool.weak is None else rows[pool.weak[rows] == label]
        apart = distances(pool.embeddings[able], known.failures[known.failure_labels == label])
        lines[label] = iter([(int(able[i]), label, 1 / (1 + float(apart[i]))) for i in np.argsort(apart, kind="stable")])
    chosen: dict[int, tuple[int, int, float]] = {}
    while lines and len(chosen) < budget:
        for label in list(lines):
            found = next((each for each in lines[label] if each[0] not in chosen), None)
            if found is None:
                del lines[label]
            elif len(chosen) < budget:
                chosen[found[0]] = found
    return list(chosen.values())


def _most_novel(pool: Pool, known: Known, rows: NDArray[np.int64]) -> list[tuple[int, int, float]]:
    far = distances(pool.embeddings[rows], known.right)
    return [(int(rows[i]), UNKNOWN, float(far[i])) for i in np.argsort(-far, kind="stable")]


def _distinct(pool: Pool, known: Known) -> tuple[NDArray[np.int64], dict[int, tuple[int, ...]]]:
    """Rows that say something new, and the copies that some of them stand for."""
    before = np.concatenate([part for part in (known.failures, known.answered) if part is not None] or [pool.embeddings[:0]])
    centre = known.reference.mean(0)
    scales = Scales.fit(directions(known.reference, centre))
    stands = merge_duplicates(directions(np.concatenate([before, pool.embeddings]), centre), scales.duplicate) - len(before)
    own = stands[len(before) :]
    rows = np.flatnonzero(own == np.arange(len(own)))
    copies: dict[int, tuple[int, ...]] = {}
    for row in np.flatnonzero((own >= 0) & (own != np.arange(len(own)))).tolist():
        copies[int(own[row])] = (*copies.get(int(own[row]), ()), row)
    return rows, copies
