"""Class names as the numbers that the methods of choice work with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.selection.base import UNKNOWN


class Names:
    """The model's classes in the order of its logits, and after them those that only people name, in order of the alphabet: the same
    knowledge always gives the same numbers."""

    def __init__(self, classes: Sequence[str], named: Iterable[str | None]) -> None:
        others = {name for name in named if name} - set(classes)
        self._names = (*classes, *sorted(others))
        self._numbers = {name: number for number, name in enumerate(self._names)}

    def numbers(self, names: Iterable[str | None]) -> NDArray[np.int64]:
        """(n,) UNKNOWN for None, '' and names that were not announced."""
        return np.array([self._numbers.get(name or "", UNKNOWN) for name in names], np.int64)

    def name(self, number: int) -> str:
        """'' for UNKNOWN."""
        return self._names[number] if 0 <= number < len(self._names) else ""
