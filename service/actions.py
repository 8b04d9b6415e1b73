"""What people (and labelling tools) may do to the loop from outside, by API or command line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from service.annotation import TakenBack
from service.records import Alarm, AnnotationBatch, Event, Label, LabelScheme, OutboxItem, RefreshCycle, Silence, Verdict
from service.selecting.proposal import Proposal


class Actions(Protocol):
    """Every method says who did it; NotFoundError and ConflictError tell what does not exist or was changed meanwhile."""

    def acknowledge(self, alarm_id: str, *, actor: str, note: str, now: float) -> Alarm: ...

    def resolve(self, alarm_id: str, *, actor: str, note: str, now: float) -> Alarm: ...

    def verdict(self, alarm_id: str, verdict: Verdict, *, actor: str, note: str, now: float) -> Alarm: ...

    def open_refresh(self, monitor: str, *, actor: str, note: str, now: float) -> RefreshCycle: ...

    def cancel_refresh(self, cycle_id: str, *, actor: str, note: str, now: float) -> RefreshCycle:
        """Ends the cycle, and its batch where that is still running."""

    def finish_refresh(self, cycle_id: str, *, actor: str, note: str, now: float) -> RefreshCycle:
        """Ends the rounds: the new model learns from what is labelled so far."""

    def propose(self, monitor: str, *, alarm: str = "", budget: int | None = None, now: float) -> Proposal:
        """What would go to annotators now; nothing is sent."""

    def approve_batch(self, batch_id: str, *, actor: str, note: str, now: float) -> AnnotationBatch:
        """Sends a proposed batch to annotators."""

    def cancel_batch(self, batch_id: str, *, actor: str, note: str, now: float) -> AnnotationBatch:
        """Ends a batch; annotators who have it are told."""

    def drop_candidates(self, batch_id: str, ids: Collection[str], *, actor: str, note: str, now: float) -> AnnotationBatch:
        """Takes candidates out of a proposed batch; they are not proposed again."""

    def restore_candidates(self, batch_id: str, ids: Collection[str], *, actor: str, note: str, now: float) -> AnnotationBatch:
        """Puts them back."""

    def prioritise_batch(self, batch_id: str, priority: float, *, item: str = "", actor: str, now: float) -> AnnotationBatch:
        """Another priority of a batch, or of one of its candidates."""

    def scheme(self, monitor: str, *, now: float) -> LabelScheme:
        """By which classes its annotators answer now."""

    def edit_scheme(
        self, monitor: str, change: Callable[[LabelScheme], LabelScheme], *, after: int | None = None, now: float
    ) -> LabelScheme:
        """The next version; ConflictError where another than `after` is in force."""

    def close_batch(self, batch_id: str, *, actor: str, note: str, now: float) -> AnnotationBatch:
        """Goes on with the labels that have come back."""

    def take_labels(self, labels: Sequence[Label], *, now: float) -> TakenBack:
        """Takes labels of one batch; a delivery that comes twice changes nothing."""

    def silence(
        self, matchers: Mapping[str, str], *, ends: float, actor: str, note: str, now: float, starts: float | None = None
    ) -> Silence:
        """Keeps news of the alarms that it matches back, from now on or from a later moment."""

    def end_silence(self, silence_id: str, *, actor: str, now: float) -> Silence:
        """Before its time."""

    def pause(self, monitor: str, *, until: float, actor: str, note: str, now: float) -> Event:
        """Maintenance: the monitor counts on, and opens no alarms until that log time."""

    def unpause(self, monitor: str, *, actor: str, note: str, now: float) -> Event:
        """Ends it before its time."""

    def replay(self, item_id: str, *, actor: str, now: float) -> OutboxItem:
        """Makes a dead outbox item due again."""
