"""A set's CPU seconds, shared by weight among rivals of which the cheapest come first: what they leave goes to the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

NULL_PART, CELLS_PART = 0.25, 0.75
"""Of a share, spent once the streams without drift are followed, and once the cells are; what is left is for its own thresholds."""

LEAST = 2
"""Trials on which each is followed, whatever its share: a rival can be picked on one and compared on the other."""


class Share:
    """CPU seconds of one rival, spent part by part; without a bound for one that costs little."""

    def __init__(self, seconds: float = inf) -> None:
        self.seconds, self.spent = seconds, 0.0

    def left(self, part: float = 1.0) -> float:
        """Seconds until that part of the share is spent."""
        return self.seconds * part - self.spent

    def __str__(self) -> str:
        return f"{self.spent:.0f} of {self.seconds:.0f} s"


@dataclass(slots=True)
class Purse:
    """What all rationed rivals have left."""

    seconds: float
    weights: Sequence[float]

    def share(self, weight: float) -> Share:
        """Of the next one, which must be the first of `weights` left; 0 is unrationed."""
        return Share(self.seconds * weight / sum(self.weights)) if weight else Share()

    def settle(self, share: Share, weight: float) -> None:
        """It has spent what it could use."""
        if weight:
            self.seconds = max(self.seconds - share.spent, 0.0)
            self.weights = self.weights[1:]
