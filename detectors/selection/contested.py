"""Places where the reference contradicts itself, or the model: an answer there moves what its neighbours get."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.neighbours import Neighbours, nearest_rows
from detectors.selection.base import UNKNOWN
from detectors.selection.kernel import Scales

NEIGHBOURS = 10
"""Reference rows that have a say."""

_SHY = 0.5
"""Half-covered neighbours that agree, taken to be there beside the others: where nobody lives, nobody contests."""


def contested(
    unit: NDArray[np.float32],
    reference: NDArray[np.float32],
    classes: NDArray[np.int64],
    *,
    scales: Scales,
    answers: NDArray[np.int64] | None = None,
    near: Neighbours | None = None,
) -> NDArray[np.float32]:
    """(n,) 0 to 1: how far the nearest reference rows speak against the answer to each row.

    With the kernel K and the 10 nearest rows z of the reference, c(z) their classes and y(x) the answer,

        contested(x) = Σ K(x, z) [c(z) ≠ y(x)] / (Σ K(x, z) + ½).

    Where the model's answer is not known, y(x) is the class that prevails among them, so that what is left is how far they contradict each
    other. Far from everything it is 0: that is for the junk score to tell.

    Parameters
    ----------
    unit : (n, d) float32
        Unit rows.
    reference : (m, d) float32
        Unit rows in the same space, m ≥ 1.
    classes : (m,) int64
        Theirs, UNKNOWN where not known; such rows have no say.
    answers : (n,) int64, optional
        The model's, UNKNOWN where not known.
    near
        The nearest reference rows, if somebody looked for them already.

    Notes
    -----
    Costs O(n m d), the search; memory O(10 n) beside blocks.

    Examples
    --------
    >>> line = np.float32([[1, 0], [0.98, 0.2], [0.9, 0.43], [0.43, 0.9], [0.2, 0.98], [0, 1]])
    >>> scales = Scales(duplicate=0.999, zero=0.5, half=0.8)
    >>> contested(line[[0, 2]], line, np.array([0, 0, 1, 1, 1, 1]), scales=scales, answers=np.array([0, 0])).round(2)
    array([0.24, 0.43], dtype=float32)

    References
    ----------
    Smith, Martinez and Giraud-Carrier, "An instance level analysis of data complexity", Machine Learning 2014 (k-disagreeing neighbours).
    """
    if near is None:
        near = nearest_rows(unit, reference, min(NEIGHBOURS, len(reference)))
    voters = classes[near.row]
    say = np.where(voters == UNKNOWN, 0, scales.closeness(1 - near.distance**2 / 2))
    same = voters[:, :, None] == voters[:, None, :]
    prevailing = voters[np.arange(len(voters)), np.einsum("nij,nj->ni", same, say).argmax(1)]
    answer = prevailing if answers is None else np.where(answers == UNKNOWN, prevailing, answers)
    against = np.where(voters != answer[:, None], say, 0).sum(1)
    return np.asarray(against / (say.sum(1) + _SHY), np.float32)
