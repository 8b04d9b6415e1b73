"""What later turned out to be right, beside what the model had answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """A sample whose truth is known: the model's answer of then, and the label of now. Times are in seconds since the epoch."""

    monitor: str
    sample: str
    predicted: str
    truth: str
    confidence: float
    """The model's largest probability, NaN where it gave none."""
    segments: Mapping[str, str]
    cluster: int
    """The reference cluster that the sample fell into; the number of clusters stands for none of them, -1 for not known."""
    reference_version: int
    time: float
    """Of the sample."""
    told: float
    """When its truth arrived."""

    @property
    def right(self) -> bool:
        """Whether the model was."""
        return self.predicted == self.truth
