"""What people do to the loop, carried out: every act on an alarm is an event in the monitor's log, decided like a pane."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from service import annotation, monitors, refresh
from service.alarms import VERDICT
from service.annotation import TakenBack, sending, take_back
from service.annotation.editing import edited
from service.errors import ConflictError, NotFoundError
from service.maintenance import paused
from service.notifying import silences
from service.outbox import replayed
from service.ports import Store
from service.records import (
    Alarm,
    AlarmState,
    AnnotationBatch,
    Event,
    Label,
    LabelScheme,
    OutboxItem,
    RefreshCycle,
    Silence,
    Trigger,
    Verdict,
    stable_id,
)
from service.refresher import Refresher
from service.selecting.proposal import Proposal

_OUTBOX = 100_000


class Monitors(monitors.Monitors, Protocol):
    """What acts ask of the installation."""

    def version(self, monitor: str) -> int | None:
        """The reference version in force."""


class Operations:
    """The acts behind API and command line. `decide` returns once a monitor's log is decided up to a sequence number."""

    def __init__(
        self,
        store: Store,
        refresher: Refresher,
        monitors: Monitors,
        decide: Callable[[str, int], None],
        *,
        affords: Callable[[AnnotationBatch], None] = lambda _: None,
    ) -> None:
        """`affords`: ConflictError where a batch costs more than may be spent."""
        self._store = store
        self._refresher = refresher
        self._monitors = monitors
        self._decide = decide
        self._affords = affords

    def acknowledge(self, alarm_id: str, *, actor: str, note: str, now: float) -> Alarm:
        """Somebody takes care of the alarm."""
        alarm = self._store.get(Alarm, alarm_id)
        return alarm if alarm.state is AlarmState.ACKNOWLEDGED else self._act(alarm_id, "acknowledge", {"note": note}, actor, now)

    def resolve(self, alarm_id: str, *, actor: str, note: str, now: float) -> Alarm:
        """Closes the episode; the stream's detector starts anew."""
        return self._act(alarm_id, "resolve", {"note": note}, actor, now)

    def verdict(self, alarm_id: str, verdict: Verdict, *, actor: str, note: str, now: float) -> Alarm:
        """Says what the alarm turned out to be; *false* and *seasonal* close an open one and hold its like back."""
        alarm = self._store.get(Alarm, alarm_id)
        if alarm.state is AlarmState.RESOLVED and alarm.verdict is verdict:
            return alarm
        return self._act(alarm_id, VERDICT, {"note": note, "verdict": verdict.value}, actor, now)

    def open_refresh(self, monitor: str, *, actor: str, note: str, now: float) -> RefreshCycle:
        """Opens a cycle for the monitor's strongest open alarm."""
        opener = refresh.Opener(Trigger.PERSON, actor, note)
        return self._refresher.open(monitor, stable_id("request", monitor, actor, note, now), opener=opener, now=now)

    def cancel_refresh(self, cycle_id: str, *, actor: str, note: str, now: float) -> RefreshCycle:
        """Ends the cycle, and its batch where that is still running."""
        return refresh.cancel(self._store, cycle_id, actor=actor, now=now, note=note)

    def finish_refresh(self, cycle_id: str, *, actor: str, note: str, now: float) -> RefreshCycle:
        """Ends the rounds: the new model learns from what is labelled so far."""
        return refresh.finish(self._store, cycle_id, actor=actor, now=now, note=note)

    def propose(self, monitor: str, *, alarm: str = "", budget: int | None = None, now: float) -> Proposal:
        """What would go to annotators now."""
        if alarm and self._store.get(Alarm, alarm).monitor != monitor:
            raise NotFoundError(f"monitor {monitor}: no alarm {alarm!r:.80}; `GET /v1/alarms?monitor={monitor}` lists its alarms")
        return self._refresher.preview(self._refresher.about(monitor, alarm), budget=budget, now=now)

    def approve_batch(self, batch_id: str, *, actor: str, note: str, now: float) -> AnnotationBatch:
        """Sends a proposed batch to annotators."""
        batch = self._store.get(AnnotationBatch, batch_id)
        self._affords(batch)
        return sending.approve(self._store, batch_id, self._monitors.effective(batch.monitor).annotation, actor=actor, now=now, note=note)

    def cancel_batch(self, batch_id: str, *, actor: str, note: str, now: float) -> AnnotationBatch:
        """Ends a batch; annotators who have it are told."""
        return sending.cancel(self._store, batch_id, actor=actor, now=now, note=note)

    def drop_candidates(self, batch_id: str, ids: Collection[str], *, actor: str, note: str, now: float) -> AnnotationBatch:
        """Takes candidates out of a proposed batch; they are not proposed again."""
        return sending.drop(self._store, batch_id, ids, actor=actor, now=now, note=note)

    def restore_candidates(self, batch_id: str, ids: Collection[str], *, actor: str, note: str, now: float) -> AnnotationBatch:
        """Puts them back."""
        return sending.restore(self._store, batch_id, ids, actor=actor, now=now, note=note)

    def prioritise_batch(self, batch_id: str, priority: float, *, item: str = "", actor: str, now: float) -> AnnotationBatch:
        """Another priority of a batch, or of one of its candidates."""
        return sending.prioritise(self._store, batch_id, priority, item=item, actor=actor, now=now)

    def scheme(self, monitor: str, *, now: float) -> LabelScheme:
        """By which classes its annotators answer now."""
        return annotation.in_force(self._store, self._monitors.effective(monitor), now=now)

    def edit_scheme(
        self, monitor: str, change: Callable[[LabelScheme], LabelScheme], *, after: int | None = None, now: float
    ) -> LabelScheme:
        """The next version; ConflictError where another than `after` is in force."""
        return edited(self._store, self._monitors.effective(monitor), change, after=after, now=now)

    def close_batch(self, batch_id: str, *, actor: str, note: str, now: float) -> AnnotationBatch:
        """Goes on with the labels that have come back."""
        batch = annotation.close(self._store.get(AnnotationBatch, batch_id), actor=actor, now=now, note=note)
        self._store.save(batch)
        return batch

    def take_labels(self, labels: Sequence[Label], *, now: float) -> TakenBack:
        """Takes labels of one batch; a delivery that comes twice changes nothing."""
        quota = self._monitors.effective(labels[0].monitor).annotation.quota if labels else 1.0
        return take_back(self._store, labels, quota=quota, now=now)

    def silence(
        self, matchers: Mapping[str, str], *, ends: float, actor: str, note: str, now: float, starts: float | None = None
    ) -> Silence:
        """Keeps news of the alarms that it matches back, from now on or from a later moment."""
        silence = silences.made(matchers, starts=now if starts is None else starts, ends=ends, actor=actor, note=note, now=now)
        try:
            return self._store.get(Silence, silence.id)
        except NotFoundError:
            self._store.save(silence)
            return silence

    def end_silence(self, silence_id: str, *, actor: str, now: float) -> Silence:
        """Before its time."""
        silence = silences.ended(self._store.get(Silence, silence_id), actor=actor, now=now)
        self._store.save(silence)
        return silence

    def pause(self, monitor: str, *, until: float, actor: str, note: str, now: float) -> Event:
        """Maintenance: the monitor counts on, and opens no alarms until that log time."""
        return self._maintain(paused(monitor, until, actor=actor, note=note, now=now))

    def unpause(self, monitor: str, *, actor: str, note: str, now: float) -> Event:
        """Ends it before its time."""
        shown = self._store.status(monitor).get("maintenance") or {}
        if shown.get("until") is None:
            raise ConflictError(f"monitor {monitor} is in no maintenance pause")
        return self._maintain(paused(monitor, None, actor=actor, note=note, now=now))

    def replay(self, item_id: str, *, actor: str, now: float) -> OutboxItem:  # noqa: ARG002 - the protocol names who; the ledger will keep it
        """Makes a dead outbox item due again."""
        for item in self._store.outbox(states=["dead"], limit=_OUTBOX):
            if item.id == item_id:
                again = replayed(item, now)
                self._store.settle(again)
                return again
        raise NotFoundError(f"no dead outbox item {item_id!r:.80}; `GET /v1/outbox?state=dead` lists them")

    def _maintain(self, event: Event) -> Event:
        """Decided at once where somebody decides the monitor's log; else when a reference is brought into force."""
        recorded = self._store.record_event(event)
        if self._monitors.version(event.monitor) is not None:
            self._decide(event.monitor, recorded.sequence)
        return recorded

    def _act(self, alarm_id: str, kind: str, body: dict[str, str], actor: str, now: float) -> Alarm:
        """Records the event and has it decided at once, so that the answer shows what it did."""
        alarm = self._store.get(Alarm, alarm_id)
        if alarm.state is AlarmState.RESOLVED and kind != VERDICT:
            raise ConflictError(f"alarm {alarm.id} is resolved already ({alarm.history[-1].reason})")
        if self._monitors.version(alarm.monitor) is None:
            raise ConflictError(f"monitor {alarm.monitor}: no reference is in force, so nobody decides its log; bring one into force first")
        event = Event(stable_id(kind, alarm.id, alarm.version), alarm.monitor, kind, now, actor, alarm.id, body)
        recorded = self._store.record_event(event)
        if (recorded.actor, recorded.body) != (actor, body):
            raise ConflictError(f"alarm {alarm.id}: {recorded.actor} was faster; look at it again")
        self._decide(alarm.monitor, recorded.sequence)
        return self._store.get(Alarm, alarm.id)
