"""Which rows of one set are copies of another's: texts by their words, vectors by distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates import Copies, near_rows
from detectors.neighbours import Neighbours, nearest_rows
from detectors.wording import Wording
from service.checking.sets import Rows

Progress = Callable[[str, float], None]
Neighbouring = Callable[[Rows, Rows], Neighbours | None]
"""The nearest rows of one set among another's."""

_NEIGHBOURS, _DRAWN, _FEWEST = 10, 1_000, 20


class Twins(NamedTuple):
    """Of a draw (k,) of a set's rows: which other row is nearly the same, -1 where none is."""

    drawn: NDArray[np.int64]
    row: NDArray[np.int64]


class Likeness:
    """Learns once of each set what its rows have in common; who asks twice pays once."""

    def __init__(self, *, neighbouring: Neighbouring | None = None, progress: Progress = lambda *_: None) -> None:
        self._neighbouring = neighbouring or _neighbouring
        self._progress = progress
        self._wordings: dict[str, Wording] = {}
        self._copies: dict[tuple[str, str], Copies | None] = {}

    def copies(self, of: Rows, among: Rows) -> Copies | None:
        """Of each row, whether it is a copy of one among the other set's, and of which; None where the two can't be compared."""
        key = of.name, among.name
        if key not in self._copies:
            self._copies[key] = self._compared(of, among) if len(of) and len(among) and of.content == among.content else None
        return self._copies[key]

    def twins(self, rows: Rows) -> Twins | None:
        """Within a set, of up to 2,000 rows; None where that can't be told."""
        if rows.content == "text" and len(rows):
            return Twins(*self._wording(rows).twins)
        return None

    def _compared(self, of: Rows, among: Rows) -> Copies | None:
        step = f"{of.name} in {among.name}"
        if of.content == "text":
            return self._wording(among).copies(of.texts, progress=lambda done: self._progress(step, done))
        self._progress(step, 0.0)
        if of.fingerprint != among.fingerprint or of.vectors is None or among.vectors is None or len(among) < _FEWEST:
            return None
        if of.vectors.shape[1] != among.vectors.shape[1]:
            return None
        found, own = self._neighbouring(of, among), _own(among.vectors)
        return None if found is None else near_rows(found, own)

    def _wording(self, rows: Rows) -> Wording:
        if rows.name not in self._wordings:
            step = f"wording of {rows.name}"
            self._progress(step, 0.0)
            rng = np.random.default_rng(0)
            self._wordings[rows.name] = Wording(rows.texts, rng=rng, progress=lambda done: self._progress(step, done))
        return self._wordings[rows.name]


def _neighbouring(of: Rows, among: Rows) -> Neighbours | None:
    if of.vectors is None or among.vectors is None:
        return None
    return nearest_rows(of.vectors, among.vectors, min(_NEIGHBOURS, len(among)))


def _own(rows: NDArray[np.float32]) -> Neighbours:
    """Of a draw of a set's rows the nearest others; one that is there twice is not its own neighbour."""
    drawn = np.sort(np.random.default_rng(0).choice(len(rows), min(len(rows), _DRAWN), replace=False))
    found = nearest_rows(rows[drawn], rows, min(_NEIGHBOURS + 1, len(rows)))
    itself = np.where((found.row == drawn[:, None]).any(1), (found.row == drawn[:, None]).argmax(1), found.row.shape[1] - 1)
    kept = np.arange(found.row.shape[1]) != itself[:, None]
    return Neighbours(found.distance[kept].reshape(len(drawn), -1), found.row[kept].reshape(len(drawn), -1))
