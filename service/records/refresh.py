"""Candidates, their labels, and the cycle that they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.records.alarms import Step


class Purpose(StrEnum):
    """What a sample is asked about for."""

    PROBE = "probe"
    """To find out what a new mass of samples is."""
    EXPAND = "expand"
    """To cover a mass that is known to fail."""
    AUDIT = "audit"
    """Drawn without regard to its risk, so that risks can be held against outcomes."""
    CHALLENGE = "challenge"
    """Drawn at random from the slice that drifts, to verify the new model with; never trained on."""


class Outcome(StrEnum):
    """What became of a candidate once it was answered."""

    USABLE = "usable"
    REJECTED = "rejected"
    """By whoever answered."""
    REFUSED = "refused"
    """Its label by the label checks."""
    HARMFUL = "harmful"
    """By its estimated effect on golden's *select* part, the label known."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A production sample proposed for annotation. `risk` is the probability that, once answered, it turns out unusable or harmful; of
    what it is made stands in `junk`, `contested` and `influence`, each 0 to 1."""

    id: str
    reason: str
    risk: float
    segment: str
    text: str = ""
    predicted: str | None = None
    weight: int = 1
    """How many near-duplicates it stands for."""
    purpose: Purpose = Purpose.PROBE
    value: float = 0.0
    """What it is expected to add; comparable within one batch."""
    junk: float = 0.0
    contested: float = 0.0
    influence: float = 0.0
    failure: str = ""
    """Expand: the failure cluster, or the class, whose mass it covers."""
    nearest: tuple[str, ...] = ()
    """Ids of the nearest reference samples, nearest first."""
    copies: tuple[str, ...] = ()
    """Ids of some of the near-duplicates that it stands for."""
    inclusion: float | None = None
    """Challenge: the probability with which it was drawn."""
    time: float = 0.0
    outcome: Outcome | None = None
    known_risk: float | None = None
    """The risk of training on it, now that its label is known."""


class BatchState(StrEnum):
    PROPOSED = "proposed"
    APPROVED = "approved"
    SENT = "sent"
    PARTLY_RETURNED = "partly_returned"
    CLOSED = "closed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class AnnotationBatch:
    """Candidates that go to annotation together."""

    id: str
    monitor: str
    cycle: str
    reference_version: int
    state: BatchState
    items: tuple[Candidate, ...]
    created: float
    returned: int = 0
    history: tuple[Step, ...] = ()
    version: int = 0
    round: int = 1
    """Which of its cycle's batches it is."""


@dataclass(frozen=True, slots=True)
class Label:
    """An annotator's answer: a class, or None with `unusable` (junk, unreadable, none of the classes)."""

    monitor: str
    batch: str
    sample: str
    label: str | None
    time: float
    annotator: str = ""
    unusable: bool = False


class CycleState(StrEnum):
    ANNOTATING = "annotating"
    TRAINING = "training"
    VERIFYING = "verifying"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RefreshCycle:
    """Alarm → candidates → labels → retrained model → verification → promotion (rebase) or rejection."""

    id: str
    monitor: str
    reference_version: int
    opened_by: str
    attempt: int
    state: CycleState
    created: float
    batch: str = ""
    """The newest; nothing is asked in two at a time."""
    verification: Mapping[str, Any] | None = None
    history: tuple[Step, ...] = ()
    version: int = 0
    earlier: tuple[str, ...] = ()
    """Batches of the rounds before, oldest first."""
    rounds: int = 1
    """How many batches it may send."""
    segment: str = ""
    """Of which stream, and below from when on, its samples are; fixed before anything is chosen. '' where only the opener knows."""
    since: float = 0.0

    @property
    def batches(self) -> tuple[str, ...]:
        """All of them, oldest first."""
        return (*self.earlier, self.batch) if self.batch else self.earlier
