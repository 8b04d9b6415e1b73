"""What keeps quiet about alarms for a while, and what was told of each to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class SilenceState(StrEnum):
    ACTIVE = "active"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody is told of the alarms that it matches; they open, resolve and are shown as ever."""

    id: str
    matchers: Mapping[str, str]
    """`monitor`, `segment`, `family`, `severity`, `team` → the value, or a pattern with `*` and `?`; all of them must match."""
    starts: float
    ends: float
    actor: str
    note: str
    created: float
    state: SilenceState = SilenceState.ACTIVE
    monitor: str = ""
    """The one that it names; '' where it may match several."""
    ended_by: str = ""
    """Whoever ended it early."""
    version: int = 1


class NoticeState(StrEnum):
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    WITHHELD = "withheld"
    """Nothing was told: it was silenced, or paused, when there was something to tell."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a destination was told last of an alarm: the memory by which nothing is told twice, whoever leads."""

    id: str
    alarm: str
    destination: str
    monitor: str
    state: NoticeState
    severity: str
    at: float
    """When it was told, by our clock."""
    reason: str
    told: int = 1
    """How often something was told."""
    created: float = 0.0
    version: int = 1
