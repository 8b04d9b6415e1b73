"""Tests that compare a batch of rows with the reference."""

from __future__ import annotations

from collections.abc import Callable

from .serving import Rows

WINDOW = 200
"""Rows of a batch."""


class Batches:
    """One test per full batch; nothing is remembered between them."""

    step = WINDOW

    def __init__(self, reference: Rows, test: Callable[[Rows], tuple[float, bool]], *held: object) -> None:
        self._row_bytes, self._test, self._held = reference.itemsize * reference.shape[1], test, held

    @property
    def state_bytes(self) -> int:
        """The rows of a batch that is not full."""
        return int(WINDOW * self._row_bytes)

    def restart(self) -> None:
        pass

    def score(self, rows: Rows) -> tuple[float, bool]:
        return self._test(rows)
