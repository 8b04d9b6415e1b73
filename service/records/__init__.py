"""What flows through the service: frozen records, from a sample on arrival to the outbox.

A sample's way: `Record` (one entry of a partition, decoded) → `Sample` → `Pane` (closed, numbered) → `Alarm` →
`AnnotationBatch` of `Candidate`s → `Label`s → `RefreshCycle`. `Alarm`, `AnnotationBatch` and `RefreshCycle` are *entities*:
they have an id, a version that every change raises, and a history that names the reason of each step.
"""

from __future__ import annotations

from service.records.alarms import (
    Accuracy,
    Alarm,
    AlarmState,
    ClusterChange,
    Exemplar,
    Family,
    Finding,
    Measured,
    Regime,
    Severity,
    Step,
    Verdict,
)
from service.records.decisions import Decision, Entity, Event, OutboxItem
from service.records.ids import stable_id
from service.records.partitions import (
    OTHER,
    WHOLE,
    Assignment,
    Commit,
    DeadLetter,
    Pane,
    PaneKey,
    Pooled,
    Waiting,
    belongs,
    segment_of,
)
from service.records.refresh import AnnotationBatch, BatchState, Candidate, CycleState, Label, RefreshCycle
from service.records.samples import KEPT_BYTES, Item, Output, Partition, Payload, Record, Rejected, Request, Response, Sample

__all__ = [
    "KEPT_BYTES",
    "OTHER",
    "WHOLE",
    "Accuracy",
    "Alarm",
    "AlarmState",
    "AnnotationBatch",
    "Assignment",
    "BatchState",
    "Candidate",
    "ClusterChange",
    "Commit",
    "CycleState",
    "DeadLetter",
    "Decision",
    "Entity",
    "Event",
    "Exemplar",
    "Family",
    "Finding",
    "Item",
    "Label",
    "Measured",
    "OutboxItem",
    "Output",
    "Pane",
    "PaneKey",
    "Partition",
    "Payload",
    "Pooled",
    "Record",
    "RefreshCycle",
    "Regime",
    "Rejected",
    "Request",
    "Response",
    "Sample",
    "Severity",
    "Step",
    "Verdict",
    "Waiting",
    "belongs",
    "segment_of",
    "stable_id",
]
