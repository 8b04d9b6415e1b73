"""What a person who is fallible answers when asked about a sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.selection import REJECTED

WRONG, FORCED = 0.065, 0.5
"""Share of samples of a class that get another one's label, and of junk that gets a class at all."""

_CLOSE = 5
"""Classes that a sample may be taken for: those whose means lie nearest."""


def answers(
    rows: NDArray[np.float32], truth: NDArray[np.int64], means: NDArray[np.float32], *, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(n,) a class or REJECTED for each of (n, d) rows of true classes (n,), REJECTED for junk. means (K, d) are those of the classes.

    A wrong label is one of the five classes, beside the right one, whose means lie nearest; so is the class that junk is forced into.
    """
    nearness = rows @ means.T - 0.5 * (means**2).sum(1)
    junk = truth == REJECTED
    nearness[np.flatnonzero(~junk), truth[~junk]] = -np.inf
    close = np.argsort(-nearness, axis=1)[:, : min(_CLOSE, len(means) - 1)]
    other = close[np.arange(len(rows)), rng.integers(0, close.shape[1], len(rows))]
    moved = rng.random(len(rows)) < np.where(junk, FORCED, WRONG)
    return np.where(moved, other, truth)
