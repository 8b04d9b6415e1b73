"""Label values that others choose, kept from growing without end."""

from __future__ import annotations

from collections.abc import Iterable

from service.records import OTHER

MAX_VALUES = 40
"""Of a label besides those that are known from the start."""


class Bounded:
    """Values up to a number of different ones; the rest share `__other__`."""

    def __init__(self, limit: int, known: Iterable[str] = ()) -> None:
        """known : values that are there anyway."""
        self._seen = set(known)
        self._limit = max(limit, len(self._seen))

    def label(self, value: str) -> str:
        """The value itself, or `__other__` once there are too many."""
        if value in self._seen:
            return value
        if len(self._seen) >= self._limit:
            return OTHER
        self._seen.add(value)
        return value
