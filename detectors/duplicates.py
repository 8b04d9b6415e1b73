"""Rows of one set that are copies of rows of another: what a limit rests on, and copies among vectors.

Rows of one kind are alike by nature, in some sets very much so. What counts as a copy is therefore read off the set itself: hardly any of
its rows is as like its nearest other row. Where the set is full of copies itself that would hide all others, so the limit is never so
strict that it would pass over half of the copies that are made of the set's own rows on purpose.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.neighbours import Neighbours

FALSE_FLAGS = 0.0075
"""Share of rows that are no copies and may be called so."""

_ALIKE = 0.25
"""Of vectors: nearer than a quarter of the distance to what lies around is a copy, whatever the set."""


class Copies(NamedTuple):
    """Of each of n rows: the row of the other set that it is most like, -1 where none is comparable, and whether it is a copy of it."""

    row: NDArray[np.int64]
    found: NDArray[np.bool_]


def limit(natural: NDArray[np.floating], forged: NDArray[np.floating]) -> float:
    """The likeness above which a row is a copy.

    natural : (k,) likeness of rows of one set to the most alike other row of it.
    forged : (l,) likeness of rows copied on purpose to where they were copied from.

    Examples
    --------
    >>> limit(np.linspace(0, 1, 401), np.full(9, 2.0))
    0.9925
    >>> limit(np.full(400, 5.0), np.full(9, 2.0))
    2.0
    """
    if not len(natural):
        return float(np.median(forged))
    strict = np.quantile(natural, 1 - FALSE_FLAGS, method="higher")
    return float(min(strict, np.median(forged)))


def near_rows(found: Neighbours, own: Neighbours) -> Copies:
    """Vectors that lie much nearer to a row than the rows around that one.

    found : of each row its k nearest among the other set.
    own : of rows of that other set their k nearest among its others, k the same or one less.

    The likeness of a row is its distance to the nearest row over that to the k-th: small for a copy, wherever it lies and however dense
    the set is there. Equal vectors are copies in any case.

    Examples
    --------
    >>> line = np.float32([[0], [1], [2], [3], [4], [5]])
    >>> from detectors.neighbours import nearest_rows
    >>> near_rows(nearest_rows(np.float32([[1.02], [3.5]]), line, 3), nearest_rows(line, line, 3, same=True))
    Copies(row=array([1, 3]), found=array([ True, False]))
    """
    strict = -limit(-_nearness(own), np.array([-_ALIKE]))
    return Copies(found.row[:, 0], (_nearness(found) < strict) | (found.distance[:, 0] == 0))


def _nearness(found: Neighbours) -> NDArray[np.float64]:
    """(n,) distance to the nearest over that to the farthest looked at, 1 where all are equal: nothing stands out there."""
    near, far = found.distance[:, 0].astype(np.float64), found.distance[:, -1].astype(np.float64)
    return np.divide(near, far, out=np.ones_like(near), where=far > 0)
