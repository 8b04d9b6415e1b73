"""Samples that are probably no use: far from what is known, and not part of a mass of samples like them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from detectors.selection.kernel import Scales, blocks

_MOST = 4_000
"""Rows of the pool that company is counted among: more are drawn from evenly."""

_OFFSET, _DEPTH, _MASS = -4.1, 3.7, 0.3
"""Of the prior; see `junk`. The first two were fitted on pools of text and images with scattered and dense junk, given the third. That is a
choice: without it those pools are told a little better, but which masses are junk was made up there, two in each."""

_DEEPEST = 2.0

_HELD = 2.0
"""Answers at the row itself that the prior counts as much as."""


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What lies around rows of the pool, as a kernel K counts it.

    Attributes
    ----------
    depth : (n,) float32
        How far outside the reference: 0 where the nearest reference row is as close as usual, 1 where the kernel ends.
    company : (n,) float32
        Σ K over the pool's other rows, near-duplicates of the row itself left out.
    rejected, usable : (n,) float32
        Σ K over samples that were rejected, and over samples that got a class or are known to fail.
    """

    depth: NDArray[np.float32]
    company: NDArray[np.float32]
    rejected: NDArray[np.float32]
    usable: NDArray[np.float32]


def pool_company(unit: NDArray[np.float32], pool: NDArray[np.float32], *, scales: Scales) -> NDArray[np.float32]:
    """(n,) about how many rows of a pool (m, d) lie around each of (n, d) unit rows; copies of the row itself are no company.

    Costs O(n m d) for at most 4,000 rows of the pool, evenly spaced.
    """
    among = pool[np.unique(np.linspace(0, len(pool) - 1, _MOST).astype(np.int64))] if len(pool) > _MOST else pool
    found = np.empty(len(unit), np.float32)
    for rows in blocks(np.arange(len(unit))):
        cosine = unit[rows] @ among.T
        cosine[cosine >= scales.duplicate] = -1
        found[rows] = scales.closeness(cosine).sum(1)
    return np.asarray(found * (len(pool) / max(len(among), 1)), np.float32)


def junk(around: Surroundings) -> NDArray[np.float32]:
    """(n,) probability that each row is no use to anybody who answers it.

    Without answers nearby, with the depth s outside the reference, at most 2, the company m and the share of being alone a = e^(-m),

        prior = a p + (1 - a) min(p, .3),   logit p = -4.1 + 3.7 s:

    far out *and* alone is what is junk. Whether a dense mass outside is a new topic or spam only answers can tell; .3 is chosen, so that
    no new topic is held back before there are any. With J rejected and U usable ones around, by the kernel,

        junk = (2 prior + J) / (2 + J + U),

    the mean of a Beta law whose prior is worth two answers at the row itself.

    Examples
    --------
    >>> far = Surroundings(*(np.float32(column) for column in ([2, 2, 2, 2], [0, 20, 20, 20], [0, 0, 3, 0], [0, 0, 0, 3])))
    >>> junk(far).round(2)
    array([0.96, 0.3 , 0.72, 0.12], dtype=float32)
    """
    alone = np.exp(-np.maximum(around.company, 0))
    far = expit(_OFFSET + _DEPTH * np.clip(around.depth, 0, _DEEPEST))
    prior = alone * far + (1 - alone) * np.minimum(far, _MASS)
    heard = around.rejected + around.usable
    return np.asarray((_HELD * prior + around.rejected) / (_HELD + heard), np.float32)
