"""What goes because somebody asked for it, or because it is old."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from service.records.erasure import Doomed


class Erasing(Protocol):
    """The part of a store that lets go. Repeating any of it is harmless."""

    def erase(self, doomed: Doomed) -> Mapping[str, int]:
        """Takes samples out of the pool, the reserve and those that wait for a response; of those that are named also their labels,
        answers and judgements. Where → how many rows were there."""

    def drop_dead_letters(self, ids: Collection[str]) -> int:
        """Returns how many of them were there."""

    def scrub(self) -> None:
        """What was deleted leaves free pages, write-ahead logs and append-only files, too."""
