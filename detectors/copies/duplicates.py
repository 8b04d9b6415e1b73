"""Rows of one set that are copies of rows of another: what a limit rests on, and copies among vectors.

Rows of one kind are alike by nature, in some sets very much so. What counts as a copy is therefore read off the set itself: hardly any of
its rows is as like its nearest other row. Where the set is full of copies itself that would hide all others, so the limit is never so
strict that it would pass over half of the copies that are made of the set's own rows on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.clustering import kmeans, squared_distances
from detectors.neighbours import Neighbours, nearest_rows

FALSE_FLAGS = 0.007
"""Share of rows that are no copies and may be called so."""

_ALIKE = 0.25
"""Of vectors: nearer than a quarter of the distance to what lies around is a copy, whatever the set."""
_NEIGHBOURS, _DRAWN = 10, 2_000
"""Rows around, and rows that the limit is read off."""


_EXACT, _FITTED, _CELLS, _PROBED = 20_000, 8_000, 128, 4
"""Rows up to which all are compared; beyond, cells are made from so many rows, and of those cells the nearest few are searched."""


class Copies(NamedTuple):
    """Of each of n rows: the row of the other set that it is most like, -1 where none is comparable, and whether it is a copy of it."""

    row: NDArray[np.int64]
    found: NDArray[np.bool_]


class Twins(NamedTuple):
    """Within a set, of a draw (k,) of its rows: which other row is nearly the same, -1 where none is."""

    drawn: NDArray[np.int64]
    row: NDArray[np.int64]


def limit(natural: NDArray[np.floating], forged: NDArray[np.floating]) -> float:
    """The likeness above which a row is a copy.

    natural : (k,) likeness of rows of one set to the most alike other row of it.
    forged : (l,) likeness of rows copied on purpose to where they were copied from.

    Examples
    --------
    >>> limit(np.linspace(0, 1, 401), np.full(9, 2.0))
    0.995
    >>> limit(np.full(400, 5.0), np.full(9, 2.0))
    2.0
    """
    if not len(natural):
        return float(np.median(forged))
    strict = np.quantile(natural, 1 - FALSE_FLAGS, method="higher")
    return float(min(strict, np.median(forged)))


def near_rows(rows: NDArray[np.float32], among: NDArray[np.float32], *, rng: np.random.Generator) -> Copies:
    """Vectors (n, d) that lie much nearer to one of others (m, d) than what lies around that one.

    The likeness of a row is its distance to the nearest row over that to the tenth: small for a copy, wherever it lies and however dense
    the set is there. Equal vectors are copies in any case. Costs n m d where m is at most 20,000, beyond that about a thirtieth: copies
    share their cells.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> known = rng.standard_normal((500, 8)).astype(np.float32)
    >>> asked = np.concatenate([known[:2] + np.float32(0.01), rng.standard_normal((2, 8)).astype(np.float32)])
    >>> near_rows(asked, known, rng=rng).found.tolist()
    [True, True, False, False]
    """
    k = min(_NEIGHBOURS, len(among) - 1)
    drawn = np.sort(rng.choice(len(among), min(len(among), _DRAWN), replace=False))
    search = searcher(among, rng)
    found, own = search(rows, k), _others(search(among[drawn], k + 1), drawn)
    strict = -limit(-_nearness(own), np.array([-_ALIKE]))
    return Copies(found.row[:, 0], (_nearness(found) < strict) | (found.distance[:, 0] == 0))


def searcher(among: NDArray[np.float32], rng: np.random.Generator) -> Callable[[NDArray[np.float32], int], Neighbours]:
    """What finds the nearest k of these rows (m, d): exactly in a small set, in a large one among those of the nearest cells."""
    if len(among) <= _EXACT:
        return lambda rows, k: nearest_rows(rows, among, k)
    centres = kmeans(among[np.sort(rng.choice(len(among), _FITTED, replace=False))], _CELLS, rng=rng)
    cell = squared_distances(among, centres).argmin(1)
    return lambda rows, k: _in_cells(rows, among, k, centres=centres, cell=cell)


def _in_cells(
    rows: NDArray[np.float32], among: NDArray[np.float32], k: int, *, centres: NDArray[np.float32], cell: NDArray[np.int64]
) -> Neighbours:
    near = np.argpartition(squared_distances(rows, centres), _PROBED - 1, axis=1)[:, :_PROBED]
    distance, row = np.full((len(rows), k), np.inf, np.float32), np.full((len(rows), k), -1, np.int64)
    for number in range(len(centres)):
        members, asked = np.flatnonzero(cell == number), np.flatnonzero((near == number).any(1))
        if len(members) and len(asked):
            part = nearest_rows(rows[asked], among[members], min(k, len(members)))
            both = np.concatenate([distance[asked], part.distance], 1)
            rows_of = np.concatenate([row[asked], members[part.row]], 1)
            order = both.argsort(1, kind="stable")[:, :k]
            distance[asked], row[asked] = np.take_along_axis(both, order, 1), np.take_along_axis(rows_of, order, 1)
    return Neighbours(distance, row)


def _others(found: Neighbours, itself: NDArray[np.int64]) -> Neighbours:
    """Of rows found in their own set, without themselves; a row that is there several times may have given way to a copy."""
    same = found.row == itself[:, None]
    at = np.where(same.any(1), same.argmax(1), 0)
    kept = np.arange(found.row.shape[1]) != at[:, None]
    return Neighbours(found.distance[kept].reshape(len(itself), -1), found.row[kept].reshape(len(itself), -1))


def _nearness(found: Neighbours) -> NDArray[np.float64]:
    """(n,) distance to the nearest over that to the farthest looked at, 1 where all are equal: nothing stands out there."""
    near, far = found.distance[:, 0].astype(np.float64), found.distance[:, -1].astype(np.float64)
    return np.divide(near, far, out=np.ones_like(near), where=np.isfinite(far) & (far > 0))
