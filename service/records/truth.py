"""What later turned out to be right, beside what the model had answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class AnswerBlock:
    """What the model answered to a batch's samples of one monitor, as `service.truth.answers` packs it; the newest `keep` are kept."""

    monitor: str
    rows: int
    body: bytes
    keep: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of an answered sample until its truth comes."""

    predicted: str
    confidence: float
    segments: Mapping[str, str]
    streams: tuple[str, ...]
    """The segments that it counts in, besides the whole."""
    cluster: int
    reference_version: int
    time: float


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
    streams: tuple[str, ...] = ()
    """The segments that it counts in, besides the whole."""

    @property
    def right(self) -> bool:
        """Whether the model was."""
        return self.predicted == self.truth


@dataclass(frozen=True, slots=True, eq=False)
class Truths:
    """What became known of one monitor's samples, in the order in which it counts; of those that the log tells of, the newest `keep` are
    kept, and of the newest `remember` that they were judged at all."""

    monitor: str
    judgements: tuple[Judgement, ...]
    keep: int
    remember: int = 0
    before: Mapping[str, Judgement] | None = None
    """What was known of these samples when they were made, compared where it is given."""


@dataclass(frozen=True, slots=True, eq=False)
class Untold:
    """Judgements that the monitor's log does not tell of yet: those that came after the number `after`, up to `until`."""

    after: int
    until: int
    judgements: tuple[Judgement, ...]
