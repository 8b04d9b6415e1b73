"""What deciding writes: alarms, what leaves, and how far the log is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.records.alarms import Alarm
from service.records.timeline import Passage


@dataclass(frozen=True, slots=True)
class Event:
    """A change that takes effect between panes, such as a verdict. `sequence` is the monitor's, given by the store."""

    id: str
    monitor: str
    kind: str
    time: float
    actor: str
    subject: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """Something that must leave: delivered at least once, keyed by `id`, until `delivered`, visibly `dead`, or `dropped`: there was nothing
    left to tell."""

    id: str
    kind: str
    """`alarm.opened`, `annotation.batch`, `refresh.requested`, ...: the `type` of the webhook."""
    destination: str
    """The name of a configured destination."""
    payload: Mapping[str, Any]
    created: float
    state: str = "pending"
    attempts: int = 0
    due: float = 0.0
    error: str = ""
    """Why the last attempt failed, or why it was dropped."""
    held: str = ""
    """Why it waits, though it is due: a silence, a maintenance pause."""
    receipt: str = ""
    """What the other side has given for it already, kept before the delivery goes on."""


@dataclass(frozen=True, slots=True)
class Fence:
    """The right to decide: the lease of this name, as long as nobody has taken it with a higher token."""

    lease: str
    token: int


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """All that deciding a run of panes changes, written in one transaction that compares and raises the last decided sequence number."""

    monitor: str
    expected_sequence: int
    decided_sequence: int
    alarms: tuple[Alarm, ...] = ()
    outbox: tuple[OutboxItem, ...] = ()
    checkpoint: bytes | None = None
    """Detector state up to `decided_sequence`; None keeps the one before."""
    state: bytes | None = None
    """The monitor's figures as `driftgate status` shows them (JSON)."""
    fence: Fence | None = None
    """Compared: one who has lost the lease decides nothing."""
    timeline: tuple[Passage, ...] = ()
    """What it adds to the passages of the monitor's streams."""
