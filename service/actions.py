"""What people (and labelling tools) may do to the loop from outside, by API or command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.records import Alarm, Label, OutboxItem, RefreshCycle, Verdict


class Actions(Protocol):
    """Every method says who did it; NotFoundError and ConflictError tell what does not exist or was changed meanwhile."""

    def acknowledge(self, alarm_id: str, *, actor: str, note: str, now: float) -> Alarm: ...

    def resolve(self, alarm_id: str, *, actor: str, note: str, now: float) -> Alarm: ...

    def verdict(self, alarm_id: str, verdict: Verdict, *, actor: str, note: str, now: float) -> Alarm: ...

    def open_refresh(self, monitor: str, *, actor: str, note: str, now: float) -> RefreshCycle: ...

    def take_labels(self, labels: Sequence[Label], *, now: float) -> int:
        """Returns how many were new or changed: a delivery that comes twice changes nothing."""

    def replay(self, item_id: str, *, actor: str, now: float) -> OutboxItem:
        """Makes a dead outbox item due again."""
