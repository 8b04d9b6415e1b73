"""What would be sent to annotators, and all that can be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from detectors.selection.base import Turn
from service.records import Candidate, Pooled
from service.selecting.gathering import Counts
from service.selecting.knowing import Situation
from service.selecting.slices import Slice
from service.selecting.spending import Cost


@dataclass(frozen=True, slots=True)
class Bound:
    """What the verification of the model that learns from these labels can promise: on traffic like the golden rows its accuracy falls by
    less than `rate`, at `confidence`."""

    rate: float
    confidence: float
    """After what earlier looks at the same rows have spent."""
    rows: int
    """Golden rows to verify with, near-duplicates counted once."""
    needed: int
    """Below which no model can pass."""
    allowed: int
    """By how many the rows that break may outnumber those that are mended."""

    @property
    def holds(self) -> bool:
        """Whether there are rows enough to promise it."""
        return self.rows >= self.needed


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """One batch: the candidates of a round, most valuable first, and the challenge rows that go with the first."""

    about: Slice
    situation: Situation
    turn: Turn
    candidates: tuple[Candidate, ...]
    challenge: tuple[Candidate, ...]
    rows: Mapping[str, Pooled]
    """Of both, by id, as they are kept: payload, tags, output."""
    cited: Mapping[str, str]
    """Texts of the reference rows that candidates name as nearest, by id."""
    counts: Counts
    cost: Cost
    risky: int = 0
    """Distinct rows left out because their risk is above the limit."""
    bound: Bound | None = None
    """None without a golden set: then nothing is promised."""
    notes: tuple[str, ...] = field(default=())
    """What could not be used, and what mends it."""

    @property
    def items(self) -> tuple[Candidate, ...]:
        """Everything that goes to annotators."""
        return (*self.challenge, *self.candidates)
