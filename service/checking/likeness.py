"""Which rows are copies of another set's: texts by their words, images by their pixels, vectors by distance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detectors.copies import Copies, Pictures, Thumbnails, Twins, Wording, near_rows
from service.checking.sets import Rows
from service.checking.thumbnails import thumbnails

Progress = Callable[[str, float], None]
_FEWEST = 20
"""Rows that a set needs before any can be called near."""


class Likeness:
    """Learns once of each set what its rows have in common; who asks twice pays once."""

    def __init__(self, *, progress: Progress = lambda *_: None) -> None:
        self._progress = progress
        self._wordings: dict[str, Wording] = {}
        self._pictures: dict[str, Thumbnails] = {}
        self._albums: dict[str, Pictures] = {}
        self._copies: dict[tuple[str, str], Copies | None] = {}

    def copies(self, of: Rows, among: Rows) -> Copies | None:
        """Of each row, whether it is a copy of one among the other set's, and of which; None where the two can't be compared."""
        key = of.name, among.name
        if key not in self._copies:
            self._copies[key] = self._compared(of, among) if len(of) and len(among) and of.content == among.content else None
        return self._copies[key]

    def legible(self, rows: Rows) -> Rows:
        """Without images that can't be decoded: one of them keeps nothing else from being looked at."""
        if rows.content != "image":
            return rows
        found = self._thumbnails(rows)
        broken = np.asarray(np.isnan(found).any((1, 2)), np.bool_)
        self._pictures[rows.name] = found[~broken]
        return rows.without(broken, "an image that can't be decoded") if broken.any() else rows

    def twins(self, rows: Rows) -> Twins | None:
        """Within a set, of up to 2,000 rows; None where that can't be told."""
        if len(rows) < _FEWEST or rows.content == "vector":
            return None
        return self._wording(rows).twins if rows.content == "text" else self._album(rows).twins

    def _compared(self, of: Rows, among: Rows) -> Copies | None:
        step = f"{of.name} in {among.name}"
        if of.content == "text":
            return self._wording(among).copies(of.texts, progress=lambda done: self._progress(step, done))
        if of.content == "image":
            return self._album(among).copies(self._thumbnails(of))
        self._progress(step, 0.0)
        if of.fingerprint != among.fingerprint or of.vectors is None or among.vectors is None or len(among) < _FEWEST:
            return None
        if of.vectors.shape[1] != among.vectors.shape[1]:
            return None
        return near_rows(of.vectors, among.vectors, rng=np.random.default_rng(0))

    def _thumbnails(self, rows: Rows) -> Thumbnails:
        if rows.name not in self._pictures:
            step = f"thumbnails of {rows.name}"
            self._pictures[rows.name] = thumbnails(rows.images, progress=lambda done: self._progress(step, done))
        return self._pictures[rows.name]

    def _album(self, rows: Rows) -> Pictures:
        if rows.name not in self._albums:
            step, rng = f"pictures of {rows.name}", np.random.default_rng(0)
            self._albums[rows.name] = Pictures(self._thumbnails(rows), rng=rng, progress=lambda done: self._progress(step, done))
        return self._albums[rows.name]

    def _wording(self, rows: Rows) -> Wording:
        if rows.name not in self._wordings:
            step = f"wording of {rows.name}"
            self._progress(step, 0.0)
            rng = np.random.default_rng(0)
            self._wordings[rows.name] = Wording(rows.texts, rng=rng, progress=lambda done: self._progress(step, done))
        return self._wordings[rows.name]
