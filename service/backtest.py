"""What a configuration would have decided: a monitor's log through the same rules again, in memory, changing nothing.

Decisions are a pure function of the log and the configuration, so under the configuration that decided the log a backtest gives
the recorded alarms exactly. Under another one, what people said about a recorded alarm counts for the alarm that the backtest
has open on the same stream at that moment: they would have said it about that one.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.alarms import REBASE, SAID, VERDICT, Reason, closed_at, judge_late, step
from service.budget import ALLOCATION
from service.figures import describe_status
from service.ports import Store
from service.records import WHOLE, Alarm, AlarmState, Event, Pane, Regime, Verdict
from service.reference import Reference
from service.settings import MonitorSettings
from service.streams import SETTINGS, MonitorStreams

MOST_ALARMS = 10_000
"""Recorded alarms that are compared."""

_BATCH = 512


@dataclass(frozen=True, slots=True)
class Span:
    """The log time that is judged; what lies before it is replayed for the detectors' memory only."""

    since: float = -np.inf
    until: float = np.inf

    def holds(self, time: float) -> bool:
        """Whether the moment is judged."""
        return self.since <= time <= self.until


@dataclass(frozen=True, slots=True)
class History:
    """What the store has of a monitor's log: alarms and events as they were, and where its kept panes begin."""

    alarms: tuple[Alarm, ...] = ()
    events: tuple[Event, ...] = ()
    begins: int = 0
    """The sequence number before the first kept pane."""
    checkpoint: bytes | None = None
    """The detectors' state there, None where they had none."""

    @classmethod
    def of(cls, store: Store, monitor: str) -> History:
        """As the store has it."""
        recorded = sorted(store.find(Alarm, monitor=monitor, limit=MOST_ALARMS), key=lambda alarm: alarm.at_sequence)
        return cls(tuple(recorded), tuple(store.events(monitor)), *store.log_start(monitor))

    def settings(self, configured: MonitorSettings, sequence: int) -> MonitorSettings:
        """Those that decided what follows a sequence number, as far as the events say; the configured ones where nothing says otherwise."""
        told = [event for event in self.events if event.kind in {SETTINGS, REBASE}]
        deciding = next((event.body.get("before") for event in told), None)
        for event in told:
            begins = event.sequence if event.kind == SETTINGS else int(event.body["after"])
            if begins <= sequence:
                deciding = event.body.get("after" if event.kind == SETTINGS else "settings", deciding)
        return configured if deciding is None else configured.deciding_as(deciding)

    def rebases(self) -> Mapping[int, int]:
        """Reference version that decides from after a sequence number; of two attempts at one take-over the later one counts."""
        found: dict[int, int] = {}
        for event in self.events:
            if event.kind == REBASE:
                after, version = int(event.body["after"]), int(event.body["version"])
                if found and next(reversed(found.values())) == version:
                    found.popitem()
                found[after] = version
        return found


def stored(store: Store, monitor: str, history: History) -> Iterator[Sequence[Pane | Event]]:
    """The kept log up to where it is decided, batch by batch."""
    at, decided = history.begins, store.decided(monitor)[0]
    while at < decided and (entries := store.entries(monitor, at, min(_BATCH, decided - at))):
        yield entries
        at = entries[-1].sequence


@dataclass(slots=True, eq=False)
class Course:
    """How the evidence went, pane by pane: log time, evidence ÷ threshold, and the samples of the whole stream."""

    times: array[float] = field(default_factory=lambda: array("d"))
    closeness: array[float] = field(default_factory=lambda: array("d"))
    samples: array[int] = field(default_factory=lambda: array("q"))

    def add(self, pane: Pane, closeness: float) -> None:
        """Notes a decided pane."""
        self.times.append(pane.last_time)
        self.closeness.append(closeness)
        self.samples.append(pane.summary.count if pane.key.segment == WHOLE else 0)

    def between(self, since: float, until: float) -> int:
        """Samples of the whole stream that came after `since`, up to `until`."""
        times, samples = np.asarray(self.times), np.asarray(self.samples)
        return int(samples[(times > since) & (times <= until)].sum())

    def binned(self, edges: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(periods,) samples and largest evidence ÷ threshold between the (periods + 1,) edges."""
        at = np.searchsorted(edges, np.asarray(self.times), side="right") - 1
        inside = (at >= 0) & (at < len(edges) - 1)
        samples, most = np.zeros(len(edges) - 1, np.int64), np.zeros(len(edges) - 1)
        np.add.at(samples, at[inside], np.asarray(self.samples)[inside])
        np.maximum.at(most, at[inside], np.asarray(self.closeness)[inside])
        return samples, most


class Backtest:
    """One configuration over a log, entry by entry."""

    def __init__(
        self,
        settings: MonitorSettings,
        references: Callable[[int], Reference],
        history: History | None = None,
        *,
        span: Span | None = None,
        as_recorded: bool = False,
        budget: float = 1.0,
    ) -> None:
        """`as_recorded`: the configuration decided this log itself, so that the detectors may start from the stored checkpoint.
        `budget`: how many times the false alarms that the installation accepted it accepts; allocations are scaled by it."""
        self.span = span or Span()
        self.course = Course()
        self.expected = 0.0
        """False alarms that the configuration accepts over what was judged."""
        self.first: Pane | None = None
        self.last_time = -np.inf
        self._settings = settings
        self._references = references
        self._history = history or History()
        self._recorded = {alarm.id: alarm for alarm in self._history.alarms}
        self._rebases = self._history.rebases()
        self._checkpoint = self._history.checkpoint
        self._as_recorded = as_recorded
        self._budget = budget
        self._streams: MonitorStreams | None = None
        self._alarms: dict[str, Alarm] = {}
        self._early: list[Event] = []
        """Events before the first pane, which tells the reference that they are for."""

    @property
    def alarms(self) -> Sequence[Alarm]:
        """Those that opened in the judged span, in order."""
        return [alarm for alarm in self._alarms.values() if self.span.holds(alarm.opened)]

    def apply(self, entry: Pane | Event) -> None:
        """Decides the next entry of the log."""
        if isinstance(entry, Pane) and entry.last_time > self.span.until:
            return
        streams = self._deciding(entry)
        if streams is not None:
            self._decide(entry, streams)
        elif isinstance(entry, Event):
            self._early.append(entry)

    def _decide(self, entry: Pane | Event, streams: MonitorStreams) -> None:
        if isinstance(entry, Event) and entry.kind == SETTINGS and not self._as_recorded:
            return  # another configuration decides all of it
        meant = self._meant(entry, streams) if isinstance(entry, Event) else entry
        outcome = streams.apply(meant)
        self._alarms |= {alarm.id: alarm for alarm in outcome.alarms}
        if isinstance(meant, Event) and not outcome.alarms and meant.subject in self._alarms:
            self._alarms[meant.subject] = judge_late(self._alarms[meant.subject], meant)
        if isinstance(entry, Pane) and entry.key.reference_version == streams.reference.version:
            self._note(entry, streams)

    def figures(self) -> Mapping[str, Any]:
        """The monitor's figures at the end, as `driftgate status` has them; {} where no pane was decided."""
        return describe_status(self._streams) if self._streams is not None else {}

    def _deciding(self, entry: Pane | Event) -> MonitorStreams | None:
        """The streams of the reference that decides here; None before the first pane of all."""
        version = self._version(entry)
        if version is not None and (self._streams is None or self._streams.reference.version != version):
            self._begin(version, entry.sequence - 1)
        return self._streams

    def _version(self, entry: Pane | Event) -> int | None:
        said = [version for after, version in self._rebases.items() if after < entry.sequence]
        if said:
            return said[-1]
        own = None if self._streams is None else self._streams.reference.version
        made_with = entry.key.reference_version if isinstance(entry, Pane) else None
        return max(own, made_with) if own is not None and made_with is not None else own or made_with

    def _begin(self, version: int, after: int) -> None:
        """A reference takes the log over: what is open is over, and every stream starts anew, the first from the checkpoint."""
        settings = self._history.settings(self._settings, after) if self._as_recorded else self._settings
        before, self._streams = self._streams, MonitorStreams(settings, self._references(version))
        if before is not None:
            standing = before.alarms
            now = max((before.traffic.last, *(alarm.opened for alarm in standing.values())))
            self._alarms |= {key: step(alarm, AlarmState.RESOLVED, Reason.REBASED, time=now) for key, alarm in standing.items()}
            self._streams.inherit(before.checkpoint())
        elif self._checkpoint is not None:
            self._resume(self._streams, self._checkpoint)
        early, self._early = self._early, []
        for event in early:
            self._decide(event, self._streams)

    def _resume(self, streams: MonitorStreams, checkpoint: bytes) -> None:
        """Where the kept panes begin: all of it for what decided them, the traffic and the allocation for another configuration."""
        if self._as_recorded and streams.restore(checkpoint):
            self._alarms |= streams.alarms
            return
        streams.inherit(checkpoint)
        given = streams.tuning.allocation
        if given is not None and self._budget != 1.0:
            event = Event("", self._settings.name, ALLOCATION, given.time, "driftgate", body=given.body(), sequence=self._history.begins)
            streams.apply(self._meant(event, streams))

    def _meant(self, event: Event, streams: MonitorStreams) -> Event:
        """What was said about a recorded alarm, said about the one that is open here in its place; and an allocation, to scale."""
        if event.kind == ALLOCATION:
            lengths = {segment: length / self._budget for segment, length in event.body["run_lengths"].items()}
            return replace(event, body={**event.body, "run_lengths": lengths})
        recorded = self._recorded.get(event.subject)
        if recorded is None or event.subject in streams.alarms or _said_late(recorded, event):
            return event
        for alarm in streams.alarms.values():
            if (alarm.segment, alarm.family) == (recorded.segment, recorded.family):
                return replace(event, subject=alarm.id)
        return event

    def _note(self, pane: Pane, streams: MonitorStreams) -> None:
        self.first = self.first or pane
        self.last_time = max(self.last_time, pane.last_time)
        stream = streams.streams.get(pane.key.segment)
        if stream is None or not self.span.holds(pane.last_time):
            return
        self.expected += 0.0 if stream.regime is Regime.ADVISORY else pane.summary.count / stream.run_length
        self.course.add(pane, stream.evidence.surprise / stream.evidence.threshold)


def differences(backtest: Backtest, recorded: Iterable[Alarm]) -> Sequence[str]:
    """Ids of alarms that the log's own configuration decides otherwise today: none, unless settings or the program changed since."""
    ours = {alarm.id: _decided(alarm) for alarm in backtest.alarms}
    theirs = {alarm.id: _decided(alarm) for alarm in recorded if backtest.span.holds(alarm.opened)}
    return sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))


def _decided(alarm: Alarm) -> Alarm:
    """What deciding alone makes of an alarm, without numbering of writes, explanation, and what follows from that: a kind of the
    feed's is not renamed."""
    history = tuple(taken for taken in alarm.history if taken.reason != Reason.RENAMED)
    alike = replace(alarm, kind="", exemplars=(), clusters=(), findings=(), history=history, version=0)
    return replace(alike, as_of=0, onset=None, contributions=(), terms=(), missed=(), confusions=(), judged=0, label_delay=None)


def _said_late(alarm: Alarm, event: Event) -> bool:
    """Whether the alarm was over when it was said: then it was about that one, and not about what stood on its stream by then."""
    if event.kind != VERDICT:
        return False
    said = event.time, event.actor, SAID[Verdict(str(event.body["verdict"]))]
    before = takewhile(lambda taken: (taken.time, taken.actor, taken.reason) != said, alarm.history)
    return any(taken.state == AlarmState.RESOLVED for taken in before)


def closed(alarm: Alarm) -> float:
    """When the episode ended; infinity while it is open."""
    ended = closed_at(alarm)
    return np.inf if ended is None else ended
