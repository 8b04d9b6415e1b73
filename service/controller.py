"""The controller: reads each monitor's log in sequence order, decides, and writes what follows in one transaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import msgspec
import structlog

from service.alarms import REBASE, Reason, judge_late, shown_as, step
from service.changes import Changes
from service.episodes import Stream
from service.errors import ConflictError, NotFoundError
from service.explaining.alarms import Recent, explain, is_due
from service.explaining.answers import explain_answers
from service.figures import describe_status
from service.notifying.routing import Consequences
from service.observe import Observer
from service.ports import Store
from service.records import Alarm, AlarmState, Decision, Event, Fence, OutboxItem, Pane, stable_id
from service.reference import Reference
from service.settings import MonitorSettings, Settings
from service.streams import SETTINGS, MonitorStreams
from service.timeline import Timeline
from service.truth.telling import TRUTH

_BATCH = 512
_CHECKPOINT_PANES = 256
_CHECKPOINT_SECONDS = 600.0

log = structlog.get_logger()


class Follower(Protocol):
    """Whoever acts on what was decided: opens refresh cycles, tells people."""

    def follow(self, alarm: Alarm, *, samples: int, now: float) -> None:
        """Called for each open alarm after every decision, with the samples its stream has taken since it opened."""

    def told(self, news: Sequence[tuple[str, Alarm]], monitor: MonitorSettings, *, now: float) -> tuple[OutboxItem, ...]:
        """What is to leave because of alarms' steps; written with the decision."""


class Controller:
    """Decides one monitor's log. Stateless but for what `Store.decided` lets it rebuild.

    A reference's controller takes the log over with a checkpoint of its own; one of another reference that is still around finds
    it there and stands down. Every decision that changes an alarm brings a checkpoint, so what is applied again never does.
    """

    def __init__(
        self,
        settings: MonitorSettings,
        reference: Reference,
        store: Store,
        observer: Observer,
        *,
        follower: Follower | None = None,
        fence: Callable[[], Fence | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._fence = fence
        self._store = store
        self._observer = observer
        self._follower: Follower = follower or Consequences(store, Settings)
        self._lock = threading.RLock()
        self._unsaved = 0
        self._saved_at = 0.0
        self._stands_down = False
        self._torn = False
        """A step failed half-way: what it applied may not have been written."""
        self._changes = Changes()
        """Of alarms, not written yet."""
        self._timeline = Timeline()
        self._reference = reference
        self.streams: MonitorStreams
        if not self._restore():
            self._take_over()
        self._tell_settings()

    @property
    def monitor(self) -> str:
        """The monitor's name."""
        return self._settings.name

    def step(self, *, now: float) -> int:
        """Decides what has come since the last call; returns how many entries. Another controller's progress is taken over."""
        with self._lock:
            if self._torn:
                self._stands_down = not self._restore()
            if self._stands_down:
                return 0
            before, self._torn = self.streams.sequence, True
            try:
                self._step(now)
            except ConflictError as error:
                log.warning("decision overtaken", monitor=self.monitor, reason=str(error))
                self._stands_down = not self._restore()
            self._torn = False
            return self.streams.sequence - before

    def _step(self, now: float) -> None:
        entries = self._store.entries(self.monitor, self.streams.sequence, _BATCH)
        if not entries and not self._changes.alarms:
            return
        started, expected = time.perf_counter(), self.streams.sequence
        crossed: set[str] = set()
        for entry in entries:
            self._apply(entry)
            crossed |= _crossed(self.streams, entry)
        if any(isinstance(entry, Event) and entry.kind != TRUTH for entry in entries):
            self._unsaved = _CHECKPOINT_PANES  # an allocation outlives its reference: the next one inherits it from the checkpoint
        self._commit(expected, now)
        self._observer.decided(self.monitor, seconds=time.perf_counter() - started, crossings=len(crossed))
        for alarm in (alarm for alarm in self.streams.alarms.values() if not alarm.quiet):
            self._follower.follow(alarm, samples=self.streams.samples_since(alarm), now=now)

    def _apply(self, entry: Pane | Event) -> None:
        """Decides an entry, and notes what it changed."""
        outcome = self.streams.apply(entry)
        alarms = outcome.alarms
        if isinstance(entry, Pane):
            self._note(entry)
            alarms = tuple(self._explained(a, outcome.opened[a.id], entry) if a.id in outcome.opened else a for a in alarms)
        elif entry.kind == TRUTH:
            concept = self.streams.concept
            alarms = tuple(explain_answers(a, self._store, concept.usual(a.segment), since=concept.labels_since(a)) for a in alarms)
        for alarm in alarms or self._judged_late(entry):
            self._keep(self._changes.add(alarm))
        for alarm, pane in _due(self.streams, entry):
            explained = self._explained(alarm, self.streams.streams[alarm.segment], pane)
            as_of = alarm.at_sample + self.streams.samples_since(alarm)
            self._keep(self._changes.revise(replace(explained, kind=alarm.kind, findings=alarm.findings, as_of=as_of)))

    def _note(self, pane: Pane) -> None:
        """In the timeline of the pane's stream, where it has taken it."""
        stream = self.streams.streams.get(pane.key.segment)
        if stream is not None and pane.summary.count and pane.key.reference_version == self._reference.version:
            self._timeline.note(stream, pane, self._reference.version)

    def _keep(self, alarm: Alarm) -> None:
        """An open alarm as it will be written."""
        if alarm.id in self.streams.alarms:
            self.streams.alarms[alarm.id] = alarm

    def _judged_late(self, entry: Pane | Event) -> Sequence[Alarm]:
        """Said about an alarm that is over: the store has it, no stream does."""
        if isinstance(entry, Pane):
            return ()
        alarm = self._changes.alarms.get(entry.subject) or _stored(self._store, entry.subject)
        judged = judge_late(alarm, entry) if alarm else None
        return (judged,) if judged and judged is not alarm else ()

    def checkpoint(self, *, now: float) -> None:
        """Stores the detectors' state, so that a restart replays nothing."""
        with self._lock:
            if self._stands_down or self._torn:
                return
            self._unsaved = _CHECKPOINT_PANES
            try:
                self._commit(self.streams.sequence, now)
            except ConflictError as error:
                log.warning("checkpoint overtaken", monitor=self.monitor, reason=str(error))

    def _restore(self) -> bool:
        """From the last checkpoint on, decided entries are applied again: the same log gives the same state.

        What they change all the same, as another version of driftgate may decide otherwise, is written with the next decision. False
        if another reference decided last: then nothing is known but how far.
        """
        streams = MonitorStreams(self._settings, self._reference)
        decided, covered, checkpoint = self._store.decided(self.monitor)
        known = checkpoint is not None and streams.restore(checkpoint)
        self.streams, self._changes = streams, Changes()
        for alarm in streams.alarms.values():
            self._keep(shown_as(alarm, _stored(self._store, alarm.id) or alarm))
        if known and decided > covered:
            for entry in self._store.entries(self.monitor, covered, decided - covered):
                self._apply(entry)
        self._timeline = Timeline()  # what was applied again is written already
        for stored in [found for alarm in self._changes.alarms if (found := _stored(self._store, alarm))]:
            self._keep(self._changes.number(stored.id, stored.version + 1))
        self.streams.sequence, self._unsaved = decided, decided - covered
        return known

    def _take_over(self) -> None:
        """The log is this reference's from here on: the alarms of another are over. An event tells those who replay the log."""
        after, version = self.streams.sequence, self._reference.version
        told = float(self._store.status(self.monitor).get("last_time", 0.0))
        _, _, checkpoint = self._store.decided(self.monitor)
        before = None if checkpoint is None else self.streams.inherit(checkpoint)
        if after:
            body = {"after": after, "version": version, "before": before, "settings": self._settings.deciding}
            self._store.record_event(
                Event(stable_id(REBASE, self.monitor, version, after), self.monitor, REBASE, told, "driftgate", body=body)
            )
        still_open = self._store.find(Alarm, monitor=self.monitor, states=[AlarmState.OPEN, AlarmState.ACKNOWLEDGED], limit=1000)
        now = max((told, *(alarm.opened for alarm in still_open)))
        for alarm in still_open:
            self._changes.add(step(alarm, AlarmState.RESOLVED, Reason.REBASED, time=now))
        self._unsaved = _CHECKPOINT_PANES
        self._commit(self.streams.sequence, now)

    def _tell_settings(self) -> None:
        """Those that decide from here on, where others did: an event, so that a replay decides the same."""
        before, after = self.streams.settings.deciding, self._settings.deciding
        if before != after:
            known_by = stable_id(SETTINGS, self.monitor, self.streams.sequence, msgspec.json.encode(after, order="deterministic").hex())
            told = self.streams.traffic.last
            body = {"before": before, "after": after}
            self._store.record_event(Event(known_by, self.monitor, SETTINGS, told, "driftgate", body=body))
            log.info("settings changed", monitor=self.monitor, after=self.streams.sequence)

    def _explained(self, alarm: Alarm, stream: Stream, pane: Pane) -> Alarm:
        explained = explain(alarm, stream, pane, Recent.of(self._store, alarm, self.streams.lost(alarm)), self._reference)
        self.streams.alarms[alarm.id] = explained
        return explained

    def _commit(self, expected: int, now: float) -> None:
        alarms = tuple(self._changes.alarms.values())
        self._unsaved += self.streams.sequence - expected
        save = self._unsaved >= _CHECKPOINT_PANES or now - self._saved_at >= _CHECKPOINT_SECONDS or bool(alarms)
        self._store.decide(
            Decision(
                self.monitor,
                expected,
                self.streams.sequence,
                alarms=alarms,
                outbox=self._follower.told(self._changes.news, self._settings, now=now),
                checkpoint=self.streams.checkpoint() if save else None,
                state=msgspec.json.encode(describe_status(self.streams)),
                timeline=tuple(self._timeline.take()),
                fence=self._fence(),
            )
        )
        steps, self._changes = self._changes.steps, Changes()
        if save:
            self._unsaved, self._saved_at = 0, now
        _announce(self._observer, steps)


def _stored(store: Store, alarm: str) -> Alarm | None:
    try:
        return store.get(Alarm, alarm)
    except NotFoundError:
        return None


def _announce(observer: Observer, alarms: Iterable[Alarm]) -> None:
    for alarm in alarms:
        observer.alarm(alarm)
        log.info(
            "alarm",
            state=alarm.state.value,
            alarm=alarm.id,
            monitor=alarm.monitor,
            segment=alarm.segment,
            reason=alarm.history[-1].reason,
        )


def _crossed(streams: MonitorStreams, entry: Pane | Event) -> set[str]:
    """The stream whose evidence the entry has taken past its threshold."""
    if isinstance(entry, Event) or entry.key.segment not in streams.streams:
        return set()
    return {entry.key.segment} if streams.streams[entry.key.segment].evidence.alarm else set()


def _due(streams: MonitorStreams, entry: Pane | Event) -> list[tuple[Alarm, Pane]]:
    """Those that show more from an entry's samples on; how those arrived that opened the alarm stays."""
    if isinstance(entry, Event) or entry.key.reference_version != streams.reference.version:
        return []
    still = [alarm for alarm in streams.alarms.values() if alarm.segment == entry.key.segment]
    return [(alarm, entry) for alarm in still if is_due(alarm, streams.samples_since(alarm), entry.summary.count)]
