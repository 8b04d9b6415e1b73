"""Decisions as a pure function of a monitor's log of panes and events: a detector per stream, an episode per stream and family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from detectors import Evidence
from detectors.fleet import EDetector
from detectors.kinds import Kind, name_kind
from detectors.stream import StreamScan
from service.alarms import (
    HOLD_BACK_GROWTH,
    HOLD_BACK_SECONDS,
    HeldBack,
    Reason,
    Rules,
    apply_event,
    calm,
    cross,
    severity,
    should_open,
    spoken,
    step,
    withhold,
    worse,
)
from service.blindness import Feed
from service.budget import ALLOCATION, Allocation, Exposures
from service.checkpoints import REMEDY, Head, Kept, below, read, write
from service.episodes import Stream, Traffic, measured
from service.errors import ArtefactError
from service.hours import LogTimes
from service.losses import Loss
from service.maintenance import MAINTENANCE, Pause
from service.records import (
    WHOLE,
    Alarm,
    AlarmState,
    Event,
    Family,
    Pane,
    Regime,
    Step,
    Verdict,
    stable_id,
)
from service.reference import Reference, effective_tolerance
from service.settings import MonitorSettings
from service.silence import SILENCE
from service.truth import keeping
from service.truth.telling import TRUTH
from service.truth.watching import Concept, Place
from service.tuning import Tuning

SETTINGS = "settings"
"""Kind of the event from which on other settings decide: `after` it, instead of those `before`."""

_DRIFTS = (0.05, 0.1, 0.2, 0.5)
"""Shares of new content whose expected delay is shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What one entry of the log did: alarms as they stand after it, and the streams of those that it opened, by the alarm's id."""

    alarms: tuple[Alarm, ...] = ()
    opened: Mapping[str, Stream] = field(default_factory=dict)
    hidden: Loss | None = None
    """What the window of an alarm has lost that did not open for it."""


class MonitorStreams:
    """All streams of a monitor under one reference version."""

    def __init__(self, settings: MonitorSettings, reference: Reference) -> None:
        self.settings = settings
        self.reference = reference
        self.sequence = 0
        self.samples = 0
        self.other_versions = 0
        self.exposures = Exposures()
        self.times = LogTimes()
        self.feed = Feed(settings, reference.version)
        self.pause = Pause()
        self.concept = Concept(settings.name, settings.truth, reference)
        self.tuning = Tuning(settings, reference)
        tolerance = effective_tolerance(settings, reference.model)
        self.alarms: dict[str, Alarm] = {}
        self.streams = {segment: _stream(self, segment, tolerance) for segment in reference.slices}
        self.rules = Rules(tolerance, settings.detection.critical, calm_samples=self.longest_window)
        self.tune(None)

    @property
    def run_length(self) -> float:
        """Samples of the whole stream per false alarm, over all streams."""
        return self.tuning.per_alarm

    @property
    def traffic(self) -> Traffic:
        """Of the whole stream."""
        return self.streams[WHOLE].traffic

    @property
    def longest_window(self) -> int:
        """Samples that the longest window holds at least, once the stream has brought them."""
        return self.streams[WHOLE].scan.longest_window

    def samples_since(self, alarm: Alarm) -> int:
        """Samples that an open alarm's stream has taken since it opened."""
        return self.streams[alarm.segment].samples - alarm.at_sample

    def lost(self, alarm: Alarm) -> Loss:
        """What the alarm's window has lost of the monitor's whole input, asked when it opens."""
        return _lost(self, self.streams[alarm.segment], alarm.window_start, alarm.window_samples)

    def apply(self, entry: Pane | Event) -> Outcome:
        """Decides one entry of the log, in sequence order."""
        self.sequence = entry.sequence
        return self._event(entry) if isinstance(entry, Event) else self._pane(entry)

    def inherit(self, checkpoint: bytes) -> Mapping[str, Any] | None:
        """Takes over what outlives a reference: how much traffic there is, the last allocation, and what the budget has seen. Returns
        the settings that decided under it."""
        head = read(checkpoint)[0]
        self.exposures, self.pause = head.exposures, head.pause
        self.feed.inherit(head.sight)
        for kept in head.streams:
            if kept.segment in self.streams:
                self.streams[kept.segment].traffic = kept.traffic
        self.tune(head.allocation)
        return head.deciding

    def tune(self, allocation: Allocation | None) -> None:
        """Gives every stream the run length and regime of an allocation; without one, of the monitor's own configuration."""
        self.tuning = Tuning(self.settings, self.reference, allocation, self.concept.begun)
        for segment, stream in self.streams.items():
            stream.regime, stream.answers_share = self.tuning.regime(segment), self.tuning.answers_share
            if stream.scan.run_length != self.tuning.scanned(segment):
                stream.scan.retune(self.tuning.scanned(segment))
        self.concept.retune(self.tuning.answered)
        model, whole = self.reference.model, self.streams[WHOLE].scan.run_length
        self.delays = {share: model.expected_delay(share, whole) for share in _DRIFTS}

    # --- panes --------------------------------------------------------------------------------------------------------

    def _pane(self, pane: Pane) -> Outcome:
        if pane.key.reference_version != self.reference.version:
            self.other_versions += 1
            return Outcome()
        if pane.key.segment == WHOLE:
            self.samples += pane.summary.count
            self.feed.take(pane)
        stream = self.streams.get(pane.key.segment)
        outcomes = self._weighed(stream, pane) if stream is not None and pane.summary.count else []
        hidden = next((outcome.hidden for outcome in outcomes if outcome.hidden), None)
        fed = self._stand(*self.feed.judge(pane, hidden, self.alarms, self.pause, at_sample=self.streams[WHOLE].samples))
        opened = {alarm: stream for outcome in outcomes for alarm, stream in outcome.opened.items()}
        return Outcome((*(alarm for outcome in outcomes for alarm in outcome.alarms), *fed.alarms), opened)

    def _weighed(self, stream: Stream, pane: Pane) -> list[Outcome]:
        _expose(self, stream, pane)
        stream.take(pane.summary, _span(self, pane))
        return [self._weigh(stream, family, evidence, pane) for family, evidence in stream.weighed()]

    def _stand(self, *changed: Alarm) -> Outcome:
        """Alarms as they are now; what is resolved stands no more."""
        self.alarms |= {alarm.id: alarm for alarm in changed}
        for alarm in changed:
            if alarm.state is AlarmState.RESOLVED:
                del self.alarms[alarm.id]
        return Outcome(changed)

    def _weigh(self, stream: Stream, family: Family, evidence: Evidence, pane: Pane) -> Outcome:
        """What a pane's evidence in one family means for the family's episode."""
        episode = stream.episodes[family] = cross(stream.episodes[family], evidence)
        if episode.alarm:
            return self._follow(stream, family, evidence, pane)
        if should_open(episode, evidence, self.rules, pane.last_time):
            if self.pause.keeps(stream.segment, family, pane.last_time):
                return Outcome()
            loss = _lost(self, stream, stream.scan.window_start(evidence), evidence.scale)
            if not self.feed.hides(family, loss):
                return self._open(stream, family, evidence, pane)
            return Outcome(hidden=loss)
        stream.episodes[family] = withhold(episode, evidence, self.rules, pane.last_time)
        return Outcome()

    def _open(self, stream: Stream, family: Family, evidence: Evidence, pane: Pane) -> Outcome:
        alarm, before = _alarm(self, stream, family, evidence, pane), stream.episodes[family]
        episode = replace(before, alarm=alarm.id, crossed=False, calm_since=None, held_back=None, opened=before.opened + 1)
        stream.episodes[family] = episode
        self.alarms[alarm.id] = alarm
        return Outcome((alarm,), {alarm.id: stream})

    def _follow(self, stream: Stream, family: Family, evidence: Evidence, pane: Pane) -> Outcome:
        """An open episode grows critical or, after long calm, resolves."""
        alarm = self.alarms[stream.episodes[family].alarm]
        upper = np.inf if self.feed.sight.blind else stream.calm_bound(family)
        stream.episodes[family], over = calm(stream.episodes[family], upper, samples=stream.samples, now=pane.last_time, rules=self.rules)
        if over:
            return self._close(stream, step(alarm, AlarmState.RESOLVED, Reason.CALM, time=pane.last_time))
        quiet = self.tuning.quiet(stream.segment)
        heard = spoken(alarm, time=pane.last_time, quiet=quiet)
        changed = heard or _renamed(alarm, stream, pane) or worse(alarm, evidence.effect, self.rules, time=pane.last_time)
        return self._stand(changed) if changed else Outcome()

    def _close(self, stream: Stream, alarm: Alarm, held_back: HeldBack | None = None) -> Outcome:
        """Only a resolution, a verdict or a rebase makes a detector forget."""
        stream.forget()
        episode = stream.episodes[alarm.family]
        stream.episodes[alarm.family] = replace(episode, alarm="", calm_since=None, held_back=held_back)
        return self._stand(alarm)

    # --- events -------------------------------------------------------------------------------------------------------

    def _event(self, event: Event) -> Outcome:
        if event.kind == SILENCE:
            return self._stand(*self.feed.silence(event, self.pause, at_sample=self.streams[WHOLE].samples))
        if event.kind == TRUTH:
            if self.concept.begin(event):
                self.tune(self.tuning.allocation)
            return self._stand(*self.concept.take(event, partial(_place, self), self.alarms))
        _go_by(self, event)
        alarm = self.alarms.get(event.subject)
        if alarm is None or (changed := apply_event(alarm, event)) is alarm:
            return Outcome()
        return self._said(changed, event)

    def _said(self, alarm: Alarm, event: Event) -> Outcome:
        """An alarm as a person's word left it."""
        if alarm.state is AlarmState.RESOLVED and alarm.family not in {Family.FEED, Family.CONCEPT}:
            held_back = HeldBack(HOLD_BACK_GROWTH * alarm.effect.estimate, self.traffic.last + HOLD_BACK_SECONDS)
            back = held_back if alarm.verdict in {Verdict.FALSE, Verdict.SEASONAL} else None
            return self._close(self.streams[alarm.segment], alarm, back)
        if alarm.state is AlarmState.RESOLVED and alarm.family is Family.FEED:
            self.feed.close(alarm.id)
        elif alarm.state is AlarmState.RESOLVED:
            self.concept.close(alarm, now=event.time)
        return self._stand(alarm)

    # --- checkpoint ---------------------------------------------------------------------------------------------------

    def checkpoint(self) -> bytes:
        """Everything decided so far, as an .npz without pickle."""
        kept = [(f"{number}.", stream.state()) for number, stream in enumerate(self.streams.values())]
        arrays = {prefix + name: value for prefix, state in kept for name, value in state.items()}
        return write(_head(self), {**arrays, **keeping.arrays(self.concept)})

    def restore(self, checkpoint: bytes) -> bool:
        """Takes up a checkpoint of the same reference version; False (and nothing changed) for another's."""
        head, arrays = read(checkpoint)
        if head.version != self.reference.version or [kept.segment for kept in head.streams] != list(self.streams):
            return False
        if head.deciding is not None:
            _configure(self, head.deciding)
        streams = {segment: _stream(self, segment, self.rules.tolerance) for segment in self.streams}
        try:
            for number, (stream, kept) in enumerate(zip(streams.values(), head.streams, strict=True)):
                stream.restore(below(f"{number}.", arrays))
                stream.episodes, stream.traffic, stream.samples = kept.episodes, kept.traffic, kept.samples
            keeping.restore(self.concept, head.concept, arrays)
        except (KeyError, ValueError) as error:
            raise ArtefactError(f"monitor {self.settings.name}: the checkpoint does not fit its reference ({error}); {REMEDY}") from error
        self.streams, self.alarms = streams, {alarm.id: alarm for alarm in head.alarms}
        self.sequence, self.samples, self.other_versions = head.sequence, head.samples, head.other_versions
        self.exposures, self.times, self.feed.sight, self.pause = head.exposures, head.times, head.sight, head.pause
        self.tune(head.allocation)
        return True


def _head(streams: MonitorStreams) -> Head:
    return Head(
        version=streams.reference.version,
        sequence=streams.sequence,
        samples=streams.samples,
        other_versions=streams.other_versions,
        streams=[Kept(s.segment, s.episodes, s.traffic, s.samples) for s in streams.streams.values()],
        alarms=list(streams.alarms.values()),
        exposures=streams.exposures,
        times=streams.times,
        sight=streams.feed.sight,
        pause=streams.pause,
        allocation=streams.tuning.allocation,
        deciding=dict(streams.settings.deciding),
        concept=keeping.kept(streams.concept),
    )


def _stream(streams: MonitorStreams, segment: str, tolerance: float) -> Stream:
    model, own = streams.reference.model, streams.reference.slices[segment]
    scan = StreamScan(model, run_length=streams.tuning.scanned(segment), slice=own)
    return Stream(segment, scan, EDetector(model, own, tolerance=tolerance))


def _go_by(streams: MonitorStreams, event: Event) -> None:
    """What decides from here on."""
    if event.kind == ALLOCATION:
        streams.tune(Allocation.of(event))
    elif event.kind == SETTINGS:
        _configure(streams, event.body["after"])
    elif event.kind == MAINTENANCE:
        streams.pause.take(event)


def _configure(streams: MonitorStreams, deciding: Mapping[str, Any]) -> None:
    """Other settings decide from here on. What the detectors have seen stays, but the slow one's where its tolerance is another."""
    settings = streams.settings = streams.settings.deciding_as(deciding)
    streams.concept.settings = settings.truth
    model, tolerance = streams.reference.model, effective_tolerance(settings, streams.reference.model)
    if tolerance != streams.rules.tolerance:
        for segment, stream in streams.streams.items():
            stream.detector = EDetector(model, streams.reference.slices[segment], tolerance=tolerance)
    streams.rules = Rules(tolerance, settings.detection.critical, calm_samples=streams.longest_window)
    sight, streams.feed = streams.feed.sight, Feed(settings, streams.reference.version)
    streams.feed.sight = sight
    streams.tune(streams.tuning.allocation)


def _place(streams: MonitorStreams, segment: str) -> Place:
    """A stream as an alarm of its answers shows it."""
    stream, tuning = streams.streams[segment], streams.tuning
    return Place(
        samples=stream.samples,
        labels_per_alarm=tuning.answered(segment),
        run_length=stream.run_length,
        regime=stream.regime,
        quiet=tuning.quiet(segment),
        novel_share=stream.shown().novel_share,
        moved=bool(stream.episodes[Family.INPUT].alarm),
        pause=streams.pause,
    )


def _lost(streams: MonitorStreams, stream: Stream, start: float, samples: int) -> Loss:
    """Of the whole input, as what is lost is of no segment: since then, or as many samples as came while the stream took those."""
    share = streams.streams[WHOLE].samples / max(stream.samples, 1)
    return streams.feed.sight.losses.over(start, samples=samples * max(share, 1.0))


def _span(streams: MonitorStreams, pane: Pane) -> tuple[float, float]:
    """Where the reference goes by the hour, only of a pane whose hour is known."""
    if streams.reference.model.profile.clock.size == 1:
        return pane.first_time, pane.last_time
    return streams.times.span(pane, full=pane.summary.count >= streams.settings.detection.pane_samples)


def _expose(streams: MonitorStreams, stream: Stream, pane: Pane) -> None:
    """Counts what the pane could have cost."""
    count, whole = pane.summary.count, stream.segment == WHOLE
    gone = stream.traffic.add(count, pane.last_time)
    if stream.regime is Regime.SHADOW:
        return
    allowed = count / stream.run_length if stream.regime is Regime.ACTIVE else 0.0
    streams.exposures.add(pane.last_time, seconds=gone if whole else 0.0, samples=count if whole else 0, allowed=allowed)


def _renamed(alarm: Alarm, stream: Stream, pane: Pane) -> Alarm | None:
    """Its kind by the window that has just doubled since it opened; what the feed explains stays the feed's."""
    since = stream.samples - alarm.at_sample
    if not since - pane.summary.count < alarm.window_samples <= since or alarm.kind.startswith(Kind.FEED):
        return None
    kind = name_kind(stream.scan.signs())
    if kind == alarm.kind:
        return None
    return replace(step(alarm, alarm.state, Reason.RENAMED, time=pane.last_time, note=f"was {alarm.kind}"), kind=kind)


def _alarm(streams: MonitorStreams, stream: Stream, family: Family, evidence: Evidence, pane: Pane) -> Alarm:
    """A new episode, as the pane that opens it shows it."""
    where = (streams.settings.name, stream.segment, family, streams.reference.version, str(pane.key.partition), pane.key.first_offset)
    return Alarm(
        id=stable_id(*where),
        monitor=streams.settings.name,
        segment=stream.segment,
        family=family,
        reference_version=streams.reference.version,
        kind=name_kind(stream.scan.signs()),
        severity=severity(evidence.effect, streams.rules),
        state=AlarmState.OPEN,
        at_sample=stream.samples,
        at_sequence=pane.sequence,
        opened=pane.last_time,
        window_samples=evidence.scale,
        window_start=stream.scan.window_start(evidence),
        effect=measured(evidence.effect),
        novel_share=measured(stream.scan.novel_share()),
        channel=evidence.channel,
        effect_channel=evidence.effect_channel,
        accuracy=stream.accuracy(),
        run_length=stream.run_length,
        regime=stream.regime,
        quiet=streams.tuning.quiet(stream.segment),
        history=(Step(AlarmState.OPEN.value, Reason.DRIFT.value, pane.last_time),),
        version=1,
    )
