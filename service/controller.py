"""The controller: reads each monitor's log in sequence order, decides, and writes what follows in one transaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

import msgspec
import structlog

from service.alarms import Reason, judge_late, step
from service.episodes import Stream
from service.errors import ConflictError, NotFoundError
from service.explanation import Recent, explain
from service.figures import describe_status
from service.observe import Observer, Reading
from service.ports import Store
from service.records import Alarm, AlarmState, Decision, Event, Measured, OutboxItem, Pane, stable_id
from service.reference import Reference
from service.settings import MonitorSettings
from service.streams import MonitorStreams

REBASE = "rebase"
"""Kind of the event that says from where on another reference decides: `after` that sequence number, this `version`."""

_BATCH = 512
_LETTERS = 1_000
_CHECKPOINT_PANES = 256
_CHECKPOINT_SECONDS = 600.0

log = structlog.get_logger()


class Follower(Protocol):
    """Whoever acts on what was decided: opens refresh cycles."""

    def follow(self, alarm: Alarm, *, samples: int, now: float) -> None:
        """Called for each open alarm after every decision, with the samples its stream has taken since it opened."""


class _Nobody:
    def follow(self, alarm: Alarm, *, samples: int, now: float) -> None:
        pass


class Controller:
    """Decides one monitor's log. Stateless but for what `Store.decided` lets it rebuild.

    A reference's controller takes the log over with a checkpoint of its own; one of another reference that is still around finds
    it there and stands down. Every decision that changes an alarm brings a checkpoint, so what is applied again never does.
    """

    def __init__(
        self, settings: MonitorSettings, reference: Reference, store: Store, observer: Observer, *, follower: Follower | None = None
    ) -> None:
        self._settings = settings
        self._store = store
        self._observer = observer
        self._follower = follower or _Nobody()
        self._lock = threading.RLock()
        self._unsaved = 0
        self._saved_at = 0.0
        self._stands_down = False
        self._torn = False
        """A step failed half-way: what it applied may not have been written."""
        self.streams = MonitorStreams(settings, reference)
        if not self._restore():
            self._take_over()

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
        if not entries:
            return
        started, expected = time.perf_counter(), self.streams.sequence
        changed: dict[str, Alarm] = {}
        opened: set[str] = set()
        crossed: set[str] = set()
        for entry in entries:
            alarms, opens = self._apply(entry, changed)
            changed |= {alarm.id: self._as_one_change(alarm, changed.get(alarm.id)) for alarm in alarms}
            opened |= opens
            crossed |= self._crossed(entry)
        if any(isinstance(entry, Event) for entry in entries):
            self._unsaved = _CHECKPOINT_PANES  # an allocation outlives its reference: the next one inherits it from the checkpoint
        self._commit(expected, changed, opened, now)
        self._announce(changed.values())
        self._report(crossed, time.perf_counter() - started)
        for alarm in (alarm for alarm in self.streams.alarms.values() if not alarm.quiet):
            self._follower.follow(alarm, samples=self.streams.samples_since(alarm), now=now)

    def _apply(self, entry: Pane | Event, changed: Mapping[str, Alarm]) -> tuple[Sequence[Alarm], set[str]]:
        """Decides an entry: the alarms it changed, and which of them it opened. `changed`: by entries before it, not written yet."""
        outcome = self.streams.apply(entry)
        if not isinstance(entry, Pane):
            return outcome.alarms or self._judged_late(entry, changed), set()
        alarms = [self._explained(a, outcome.opened[a.id], entry) if a.id in outcome.opened else a for a in outcome.alarms]
        return alarms, set(outcome.opened)

    def _judged_late(self, event: Event, changed: Mapping[str, Alarm]) -> Sequence[Alarm]:
        """Said about an alarm that is over: the store has it, no stream does."""
        try:
            alarm = changed.get(event.subject) or self._store.get(Alarm, event.subject)
        except NotFoundError:
            return ()
        judged = judge_late(alarm, event)
        return () if judged is alarm else (judged,)

    def checkpoint(self, *, now: float) -> None:
        """Stores the detectors' state, so that a restart replays nothing."""
        with self._lock:
            if self._stands_down:
                return
            self._unsaved = _CHECKPOINT_PANES
            try:
                self._commit(self.streams.sequence, {}, set(), now)
            except ConflictError as error:
                log.warning("checkpoint overtaken", monitor=self.monitor, reason=str(error))

    def _restore(self) -> bool:
        """From the last checkpoint on, decided entries are applied again without writing: the same log gives the same state.

        False if another reference decided last: then nothing is known but how far.
        """
        self.streams = MonitorStreams(self._settings, self.streams.reference)
        decided, covered, checkpoint = self._store.decided(self.monitor)
        known = checkpoint is not None and self.streams.restore(checkpoint)
        if known and decided > covered:
            for entry in self._store.entries(self.monitor, covered, decided - covered):
                self.streams.apply(entry)
        self.streams.sequence, self._unsaved = decided, decided - covered
        return known

    def _take_over(self) -> None:
        """The log is this reference's from here on: the alarms of another are over. An event tells those who replay the log."""
        after, version = self.streams.sequence, self.streams.reference.version
        told = float(self._store.status(self.monitor).get("last_time", 0.0))
        _, _, checkpoint = self._store.decided(self.monitor)
        if checkpoint is not None:
            self.streams.inherit(checkpoint)
        if after:
            body = {"after": after, "version": version}
            self._store.record_event(
                Event(stable_id(REBASE, self.monitor, version, after), self.monitor, REBASE, told, "driftgate", body=body)
            )
        still_open = self._store.find(Alarm, monitor=self.monitor, states=[AlarmState.OPEN, AlarmState.ACKNOWLEDGED], limit=1000)
        now = max((told, *(alarm.opened for alarm in still_open)))
        closed = {alarm.id: step(alarm, AlarmState.RESOLVED, Reason.REBASED, time=now) for alarm in still_open}
        self._unsaved = _CHECKPOINT_PANES
        self._commit(self.streams.sequence, closed, set(), now)
        self._announce(closed.values())

    def _as_one_change(self, alarm: Alarm, earlier: Alarm | None) -> Alarm:
        """Several steps of an alarm that are written together are one change to the store."""
        if earlier is None:
            return alarm
        alarm = replace(alarm, version=earlier.version)
        if alarm.id in self.streams.alarms:
            self.streams.alarms[alarm.id] = alarm
        return alarm

    def _explained(self, alarm: Alarm, stream: Stream, pane: Pane) -> Alarm:
        pool = self._store.pool(self.monitor, since=alarm.window_start)
        recent = Recent(pool, self._store.dead_letters(monitor=self.monitor, limit=_LETTERS))
        explained = explain(alarm, stream, pane, recent, self.streams.reference)
        self.streams.alarms[alarm.id] = explained
        return explained

    def _crossed(self, entry: Pane | Event) -> set[str]:
        if isinstance(entry, Event) or entry.key.segment not in self.streams.streams:
            return set()
        return {entry.key.segment} if self.streams.streams[entry.key.segment].evidence.alarm else set()

    def _commit(self, expected: int, changed: Mapping[str, Alarm], opened: set[str], now: float) -> None:
        self._unsaved += self.streams.sequence - expected
        save = self._unsaved >= _CHECKPOINT_PANES or now - self._saved_at >= _CHECKPOINT_SECONDS or bool(changed)
        self._store.decide(
            Decision(
                self.monitor,
                expected,
                self.streams.sequence,
                alarms=tuple(changed.values()),
                outbox=tuple(self._notifications(tuple(changed.values()), opened, now)),
                checkpoint=self.streams.checkpoint() if save else None,
                state=msgspec.json.encode(describe_status(self.streams)),
            )
        )
        if save:
            self._unsaved, self._saved_at = 0, now

    def _notifications(self, alarms: Sequence[Alarm], opened: set[str], now: float) -> list[OutboxItem]:
        """An item per alarm and destination, when it opens and when it resolves; none of quiet ones."""
        news = [(alarm, "alarm.opened") for alarm in alarms if alarm.id in opened]
        news += [(alarm, "alarm.resolved") for alarm in alarms if alarm.state is AlarmState.RESOLVED]
        return [
            OutboxItem(stable_id(kind, alarm.id, to), kind, to, notification(alarm), created=now, due=now)
            for alarm, kind in news
            if not alarm.quiet
            for to in self._settings.notify
        ]

    def _report(self, crossed: set[str], seconds: float) -> None:
        readings = [_reading(stream, crossed=stream.segment in crossed) for stream in self.streams.streams.values()]
        self._observer.decided(self.monitor, time=self.streams.traffic.last, seconds=seconds, readings=readings)

    def _announce(self, alarms: Iterable[Alarm]) -> None:
        for alarm in alarms:
            self._observer.alarm(alarm)
            log.info(
                "alarm",
                state=alarm.state.value,
                alarm=alarm.id,
                monitor=self.monitor,
                segment=alarm.segment,
                reason=alarm.history[-1].reason,
            )


def notification(alarm: Alarm) -> dict[str, Any]:
    """What a destination is told: facts and links' ids, thin enough for any webhook (no payload text beyond 3 cut exemplars)."""
    return {
        "alarm": alarm.id,
        "monitor": alarm.monitor,
        "segment": alarm.segment,
        "kind": alarm.kind,
        "severity": alarm.severity.value,
        "state": alarm.state.value,
        "opened": alarm.opened,
        "window_samples": alarm.window_samples,
        "effect": asdict(alarm.effect),
        "novel_share": asdict(alarm.novel_share),
        "accuracy": None if alarm.accuracy is None else asdict(alarm.accuracy),
        "reference_version": alarm.reference_version,
        "reason": alarm.history[-1].reason,
        "exemplars": [exemplar.text or exemplar.id for exemplar in alarm.exemplars[:3]],
    }


def _reading(stream: Stream, *, crossed: bool) -> Reading:
    evidence, effect = stream.evidence, stream.evidence.effect
    novel, accuracy = stream.scan.novel_share(), stream.accuracy()
    return Reading(
        evidence.surprise,
        evidence.threshold,
        Measured(effect.estimate, effect.low, effect.high),
        Measured(novel.estimate, novel.low, novel.high),
        stream.segment,
        stream.family,
        crossed=crossed,
        accuracy=None if accuracy is None else accuracy.window,
    )
