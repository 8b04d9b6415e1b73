"""Which returned labels to believe: those that trusted rows nearby, or other answers there, bear out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.neighbours import nearest_rows
from detectors.selection.base import REJECTED
from detectors.selection.kernel import Scales

NEIGHBOURS = 10

LEAST_SHARE = 0.2
"""Of the vote around a row that its label needs."""

FEW = 5
"""Trusted examples below which a class is exempt: of a new or rare one nothing nearby can bear out its first labels."""

_FAR = 0.1
"""Weight of a voter beyond the kernel's end: where only strangers vote, a label still needs some of them."""


def agreement(
    unit: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    trusted: NDArray[np.float32],
    trusted_labels: NDArray[np.int64],
    scales: Scales,
) -> NDArray[np.float32]:
    """(n,) share of the vote around each answered row that its label gets; NaN where the answer is REJECTED, or nobody votes.

    Voters are the 10 nearest among the trusted rows and the other answers that are classes, each with weight K + .1, where the kernel K
    says how near it is.

    Parameters
    ----------
    unit : (n, d) float32
        Answered rows as unit vectors.
    labels : (n,) int64
        Their answers, REJECTED for no class.
    trusted, trusted_labels : (t, d) float32, (t,) int64
        Unit rows whose classes are known.

    Notes
    -----
    Costs O(n (t + n) d).

    Examples
    --------
    >>> here, there = np.float32([[1, 0]] * 6), np.float32([[0, 1]] * 6)
    >>> trusted, classes = np.concatenate([here, there]), np.repeat([0, 1], 6)
    >>> scales = Scales(duplicate=0.999, zero=0.5, half=0.8)
    >>> agreement(np.float32([[1, 0], [1, 0]]), np.array([0, 1]), trusted=trusted, trusted_labels=classes, scales=scales).round(2)
    array([0.82, 0.04], dtype=float32)
    """
    given = np.flatnonzero(labels != REJECTED)
    found = np.full(len(labels), np.nan, np.float32)
    voters, classes = np.concatenate([trusted, unit[given]]), np.concatenate([trusted_labels, labels[given]])
    if not len(given) or len(voters) < 2:
        return found
    near = nearest_rows(unit[given], voters, min(NEIGHBOURS + 1, len(voters)))
    other = near.row != len(trusted) + np.arange(len(given))[:, None]
    last = other.cumsum(1) <= NEIGHBOURS
    weight = np.where(other & last, scales.closeness(1 - near.distance**2 / 2) + _FAR, 0)
    found[given] = np.where(classes[near.row] == labels[given][:, None], weight, 0).sum(1) / weight.sum(1)
    return found


def accepted(agreed: NDArray[np.float32], labels: NDArray[np.int64], trusted_labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) whether each answer is a label to train on: no rejection, and borne out by a fifth of the vote around it (see `agreement`).

    A class with fewer than 5 trusted examples (t,) is exempt, and so is a row for which nobody votes.

    Examples
    --------
    >>> accepted(np.float32([0.9, 0.1, 0.1, np.nan]), np.array([0, 0, 1, REJECTED]), np.zeros(10, np.int64)).tolist()
    [True, False, True, False]

    References
    ----------
    Wilson, "Asymptotic properties of nearest neighbor rules using edited data", IEEE Transactions on Systems, Man, and Cybernetics 1972.
    """
    seen = np.unique(trusted_labels, return_counts=True)
    few = ~np.isin(labels, seen[0][seen[1] >= FEW])
    return np.asarray((labels != REJECTED) & (few | ~(agreed < LEAST_SHARE)), np.bool_)
