"""What flows through the service: frozen records, from a sample on arrival to the outbox.

A sample's way: `Record` (one entry of a partition, decoded) → `Sample` → `Pane` (closed, numbered) → `Alarm` →
`AnnotationBatch` of `Candidate`s → `Label`s → `RefreshCycle`. `Alarm`, `AnnotationBatch`, `RefreshCycle`, and a monitor's
`Declaration` and `FailureMark`s are *entities*: they have an id, a version that every change raises, and a history that names each step's
reason.
"""

from __future__ import annotations

from service.records.access import AuditEntry, Role, Token, TokenState
from service.records.alarms import (
    Accuracy,
    Alarm,
    AlarmState,
    ClusterChange,
    Confusion,
    Contribution,
    Exemplar,
    Family,
    Finding,
    Measured,
    Onset,
    Regime,
    Severity,
    Step,
    Term,
    Verdict,
)
from service.records.backfills import Backfill, BackfillState, Stretch
from service.records.decisions import Decision, Event, Fence, OutboxItem
from service.records.declarations import Declaration, DeclarationState
from service.records.entities import KINDS, Entity
from service.records.failures import FailureMark, MarkState
from service.records.ids import stable_id
from service.records.kept import DRIFT, FAILURE, SEGMENT, UNIFORM, Pooled, Reservation, Reserved, ReservedPart
from service.records.keyed_answers import KeyedAnswer
from service.records.partitions import (
    OTHER,
    WHOLE,
    Assignment,
    Commit,
    DeadLetter,
    Pane,
    PaneKey,
    Position,
    Waiting,
    belongs,
    segment_of,
)
from service.records.policies import POLICY, Policy
from service.records.refresh import (
    AnnotationBatch,
    Artefact,
    BatchState,
    Candidate,
    CycleState,
    Delivery,
    DeliveryState,
    Errand,
    Label,
    Outcome,
    Purpose,
    RefreshCycle,
    RefreshSlot,
    Trigger,
)
from service.records.samples import KEPT_BYTES, Item, Original, Output, Partition, Payload, Record, Rejected, Request, Response, Sample
from service.records.schemes import LabelScheme, SchemeClass
from service.records.silences import Notice, NoticeState, Silence, SilenceState
from service.records.timeline import LEVELS, Passage
from service.records.truth import Answer, AnswerBlock, Judgement, Truths, Untold

__all__ = [
    "DRIFT",
    "FAILURE",
    "KEPT_BYTES",
    "KINDS",
    "LEVELS",
    "OTHER",
    "POLICY",
    "SEGMENT",
    "UNIFORM",
    "WHOLE",
    "Accuracy",
    "Alarm",
    "AlarmState",
    "AnnotationBatch",
    "Answer",
    "AnswerBlock",
    "Artefact",
    "Assignment",
    "AuditEntry",
    "Backfill",
    "BackfillState",
    "BatchState",
    "Candidate",
    "ClusterChange",
    "Commit",
    "Confusion",
    "Contribution",
    "CycleState",
    "DeadLetter",
    "Decision",
    "Declaration",
    "DeclarationState",
    "Delivery",
    "DeliveryState",
    "Entity",
    "Errand",
    "Event",
    "Exemplar",
    "FailureMark",
    "Family",
    "Fence",
    "Finding",
    "Item",
    "Judgement",
    "KeyedAnswer",
    "Label",
    "LabelScheme",
    "MarkState",
    "Measured",
    "Notice",
    "NoticeState",
    "Onset",
    "Original",
    "OutboxItem",
    "Outcome",
    "Output",
    "Pane",
    "PaneKey",
    "Partition",
    "Passage",
    "Payload",
    "Policy",
    "Pooled",
    "Position",
    "Purpose",
    "Record",
    "RefreshCycle",
    "RefreshSlot",
    "Regime",
    "Rejected",
    "Request",
    "Reservation",
    "Reserved",
    "ReservedPart",
    "Response",
    "Role",
    "Sample",
    "SchemeClass",
    "Severity",
    "Silence",
    "SilenceState",
    "Step",
    "Stretch",
    "Term",
    "Token",
    "TokenState",
    "Trigger",
    "Truths",
    "Untold",
    "Verdict",
    "Waiting",
    "belongs",
    "segment_of",
    "stable_id",
]
