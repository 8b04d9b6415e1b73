"""Candidates, their labels, and the cycle that they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    GOLD = "gold"
    """Its answer is known: it tells how good the answers of an annotator are."""
    TOP_UP = "top_up"
    """Drawn at random from all traffic, for the golden set."""
    REVIEW = "review"
    """A row of a data set whose label is in doubt."""


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
    answers: int = 1
    """How many annotators are to answer it, each for themselves."""
    again: str = ""
    """The batch whose answer to it is in doubt: this asks for a second opinion."""
    doubt: float | None = None
    """The probability that its label is wrong, by the label checks; None where nobody looked."""
    against: tuple[str, ...] = ()
    """What speaks against its label, the strongest first."""
    settled: str | None = None
    """What answers that differ come to, '' for unusable; None where none had to be settled."""
    priority: float = 0.0
    """What it would cost to go on failing on it (size of its failure × loss), 0 to 1 within its batch; larger goes first."""
    digest: str = ""
    """Of its payload."""
    truth: str = ""
    """Gold: the answer that is known."""

    @property
    def blind(self) -> bool:
        """Whether annotators see nothing that could colour their answer: no prediction, no score, no reason."""
        return self.purpose in _BLIND or self.answers > 1 or bool(self.again)


_BLIND = frozenset({Purpose.PROBE, Purpose.CHALLENGE, Purpose.GOLD, Purpose.TOP_UP, Purpose.REVIEW})


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
    scheme: int = 0
    """Version of the label scheme by which it is answered."""
    deadline: float = 0.0
    """When it closes with what has come back; 0: never by itself."""
    manifest: str = ""
    """Checksum of what was sent."""
    priority: int = 0
    """0 to 10, as the annotators' tool orders batches."""
    gold: tuple[Candidate, ...] = ()
    """Rows of the golden set whose answers are known, which go out among the items; their ids are the golden rows'."""
    destination: str = ""
    """Where it was sent."""
    dropped: tuple[Candidate, ...] = ()
    """What a person took out before it was sent: it is not asked, and not proposed again."""

    @property
    def chosen(self) -> tuple[Candidate, ...]:
        """All that was ever in it for its own sake."""
        return (*self.items, *self.dropped)


@dataclass(frozen=True, slots=True)
class Label:
    """An annotator's answer, in the words that were used: a class, an alias, `none of these`, `new: NAME`; None with `unusable` (junk,
    unreadable). What it means by now, `service.annotation.answers` tells."""

    monitor: str
    batch: str
    sample: str
    label: str | None
    time: float
    annotator: str = ""
    unusable: bool = False

    @property
    def withdrawn(self) -> bool:
        """Whether whoever answered took the answer back: its label is ''. Stores keep that, and show no label."""
        return self.label == ""


@dataclass(frozen=True, slots=True)
class Errand:
    """That the answers of a batch of no cycle go into a data set: what remains to be done follows from the store alone."""

    id: str
    """The batch's."""
    monitor: str
    created: float
    state: str
    """The purpose of what is asked while it waits, then `done`."""
    version: int = 1


class DeliveryState(StrEnum):
    PENDING = "pending"
    TAKEN = "taken"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Labels of one batch as they came in: kept before they are acknowledged, worked from later. The id is the sender's, or follows from
    what came, so that a repetition is known."""

    id: str
    monitor: str
    batch: str
    labels: tuple[Label, ...]
    created: float
    source: str = ""
    """How they came: `webhook`, a destination's name, a file's."""
    state: DeliveryState = DeliveryState.PENDING
    changed: int = 0
    """Labels that were new, or said something else than before."""
    unknown: tuple[str, ...] = ()
    """Ids that are not in the batch."""
    error: str = ""
    """Why it was refused."""
    version: int = 0
    checksum: str = ""
    """Of the labels, which go after a while."""
    count: int = 0
    """How many labels they are."""
    conflicting: int = 0
    """Labels by which an annotator says something else than the same one said before; the newest counts."""
    unresolved: tuple[str, ...] = ()
    """Answers that are no class of the scheme, nor an alias of one."""
    proposed: tuple[str, ...] = ()
    """Names of new classes that were proposed."""
    late: int = 0
    """Labels that were worked on after the batch had ended; they are kept all the same."""


class CycleState(StrEnum):
    ANNOTATING = "annotating"
    """Candidates are out, or wait for a person to send them."""
    TRAINING = "training"
    """The data sets are there and a new model was asked for."""
    VERIFYING = "verifying"
    """A model came back, and is held against the one in force."""
    VERIFIED = "verified"
    """It is proven better and waits for a person's word."""
    DEPLOYING = "deploying"
    """Its promotion was announced; production has not answered with it yet."""
    PROMOTED = "promoted"
    """It serves, and the reference is rebased on it."""
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    REVERTED = "reverted"
    """The model before is asked back, with its reference."""


class Trigger(StrEnum):
    """What opened a cycle."""

    ALARM = "alarm"
    PERSON = "person"
    CADENCE = "cadence"
    """The last cycle is `refresh.every_days` ago."""
    AGE = "age"
    """The model in force is older than `refresh.max_model_days`."""
    FRESHNESS = "freshness"
    """The test set covers less of the traffic than `refresh.min_freshness`."""


@dataclass(frozen=True, slots=True)
class RefreshSlot:
    """A monitor's newest cycle. Whoever opens the next one writes its id over that of one that has ended, which only one can."""

    id: str
    """The monitor's name."""
    monitor: str
    cycle: str
    created: float
    state: str = "taken"
    version: int = 1


@dataclass(frozen=True, slots=True)
class Artefact:
    """A model that came back for a cycle, kept below the installation's directory."""

    path: str
    """Of the ONNX file, from the directory."""
    checksum: str
    """SHA-256 of the file with its external weights."""
    classes: tuple[str, ...]
    """In the order of its logits."""
    version: str
    """What production will call it: the `model_version` of outputs that it makes."""
    created: float
    uri: str = ""
    """Where whoever trained it keeps it; what the promotion names."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """How it was made: hyper-parameters, seeds, manifest of the data, code version, lock file, platform."""


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
    model: Artefact | None = None
    """What the trainer gave."""
    job: str = ""
    """The receipt of its request for training, where there is one: the UID of a Kubernetes Job."""
    served: Artefact | None = None
    """What is verified and would be served: the model itself, or a switch between the one in force and it."""
    trigger: Trigger | None = None
    """None of cycles of former versions."""
    requested: Mapping[str, Any] | None = None
    """What its request for training says, fixed when it was made: every repetition says the same."""

    @property
    def entered(self) -> float:
        """When it came into its present state."""
        steps = [
            step.time for step, before in zip(self.history, (None, *self.history), strict=False) if not before or before.state != step.state
        ]
        return steps[-1] if steps else self.created

    @property
    def batches(self) -> tuple[str, ...]:
        """All of them, oldest first."""
        return (*self.earlier, self.batch) if self.batch else self.earlier
