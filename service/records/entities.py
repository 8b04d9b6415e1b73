"""What has an id, a version that every change raises, and a state: all that the store keeps as a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from service.records.access import AuditEntry, Token
from service.records.alarms import Alarm
from service.records.declarations import Declaration
from service.records.erasure import Forgotten
from service.records.failures import FailureMark
from service.records.keyed_answers import KeyedAnswer
from service.records.policies import Policy
from service.records.refresh import AnnotationBatch, Delivery, Errand, RefreshCycle, RefreshSlot
from service.records.schemes import LabelScheme
from service.records.silences import Notice, Silence

Entity: TypeAlias = (
    Alarm
    | AnnotationBatch
    | RefreshCycle
    | Declaration
    | FailureMark
    | LabelScheme
    | Delivery
    | Errand
    | RefreshSlot
    | Policy
    | Silence
    | Notice
    | Token
    | AuditEntry
    | Forgotten
    | KeyedAnswer
)

KINDS: Mapping[type, str] = {
    Alarm: "alarm",
    AnnotationBatch: "annotation batch",
    RefreshCycle: "refresh cycle",
    Declaration: "declaration",
    FailureMark: "failure mark",
    LabelScheme: "label scheme",
    Delivery: "delivery",
    Errand: "errand",
    RefreshSlot: "refresh slot",
    Policy: "policy",
    Silence: "silence",
    Notice: "notice",
    Token: "token",
    AuditEntry: "audit entry",
    Forgotten: "forgotten sample",
    KeyedAnswer: "keyed answer",
}
"""What each is called: in messages, and where it is stored."""
