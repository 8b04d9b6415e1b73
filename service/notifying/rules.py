"""What becomes of a piece of news on its way out, and why: a pure function of the alarm as it stands and of what was told before."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.records import Alarm, AlarmState, Notice, NoticeState, Severity

OPENED, WORSE, REMINDER, ACKNOWLEDGED, RESOLVED = "alarm.opened", "alarm.worse", "alarm.reminder", "alarm.acknowledged", "alarm.resolved"
"""What is told of an alarm: kinds of outbox items."""

TEST = "alarm.test"
"""A test that somebody asked for: tried once, and no alarm stands behind it."""


class Why(StrEnum):
    """The named reason for what becomes of it."""

    FIRST = "first notification"
    ROSE = "severity rose"
    REPEAT = "repeat interval elapsed"
    TAKEN = "acknowledged"
    OVER = "resolved"
    MISSED = "opened and resolved meanwhile, missed while down"
    LATE = "opened and acknowledged before it could be told"
    SILENCED = "silenced"
    PAUSED = "paused for maintenance"
    TOLD = "already told"
    ENDED = "resolved before it could be told, which its resolution says"
    SEEN = "acknowledged before it could be told, which its acknowledgement says"
    NEVER = "silenced or paused until it was over"
    UNKNOWN = "the alarm is kept no longer"


SENT = frozenset({Why.FIRST, Why.ROSE, Why.REPEAT, Why.TAKEN, Why.OVER, Why.MISSED, Why.LATE, Why.UNKNOWN})
"""Reasons to send."""

HELD = frozenset({Why.SILENCED, Why.PAUSED})
"""Reasons to wait. All others are reasons to send nothing."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Why nobody is to be told for now, and until when at most."""

    why: Why
    until: float
    by: str


def decide(kind: str, alarm: Alarm | None, notice: Notice | None, quiet: Quiet | None) -> Why:
    """Of an item of this kind about an alarm, for a destination that was told `notice` last. A silence hides news, and never the end of
    what was told: whoever was called is told that it is over."""
    if alarm is None:
        return Why.UNKNOWN
    told = None if notice is None or notice.state is NoticeState.WITHHELD else notice
    if kind == RESOLVED:
        return _end(notice, told, quiet)
    if alarm.state is AlarmState.RESOLVED:
        return Why.ENDED
    if kind == ACKNOWLEDGED:
        return _taken(told, quiet)
    return _again(alarm, told, quiet) if kind == REMINDER else _begun(kind, alarm, told, quiet)


def _begun(kind: str, alarm: Alarm, told: Notice | None, quiet: Quiet | None) -> Why:
    if told is not None and (kind == OPENED or told.severity == Severity.CRITICAL):
        return Why.TOLD
    if quiet is not None:
        return quiet.why
    if kind == OPENED and alarm.state is AlarmState.ACKNOWLEDGED:
        return Why.SEEN
    return Why.FIRST if told is None else Why.ROSE


def _again(alarm: Alarm, told: Notice | None, quiet: Quiet | None) -> Why:
    """A reminder that may not be heard is none later: the next one comes after the interval."""
    if alarm.state is not AlarmState.OPEN or told is None:
        return Why.SEEN
    return Why.REPEAT if quiet is None else Why.NEVER


def _end(notice: Notice | None, told: Notice | None, quiet: Quiet | None) -> Why:
    if told is not None:
        return Why.TOLD if told.state is NoticeState.RESOLVED else Why.OVER
    return Why.MISSED if notice is None and quiet is None else Why.NEVER


def _taken(told: Notice | None, quiet: Quiet | None) -> Why:
    if told is not None and told.state is not NoticeState.FIRING:
        return Why.TOLD
    if quiet is not None and told is None:
        return quiet.why
    return Why.LATE if told is None else Why.TAKEN


def due_again(notice: Notice, alarm: Alarm, *, after: float | None, now: float) -> bool:
    """Whether a destination is reminded of a critical alarm that nobody has acknowledged."""
    if after is None or notice.state is not NoticeState.FIRING or now - notice.at < after:
        return False
    return alarm.state is AlarmState.OPEN and alarm.severity is Severity.CRITICAL
