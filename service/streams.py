"""Decisions as a pure function of a monitor's log of panes and events: a detector per stream, an episode per stream and family."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import Evidence
from detectors.fleet import EDetector
from detectors.kinds import Kind, name_kind
from detectors.stream import StreamScan
from service.alarms import (
    HOLD_BACK_GROWTH,
    HOLD_BACK_SECONDS,
    Episode,
    HeldBack,
    Reason,
    Rules,
    apply_event,
    calm,
    cross,
    severity,
    should_open,
    step,
    withhold,
)
from service.budget import ALLOCATION, Allocation, Exposures
from service.episodes import Stream, Traffic, measured
from service.errors import ArtefactError
from service.hours import LogTimes
from service.records import (
    WHOLE,
    Alarm,
    AlarmState,
    Event,
    Family,
    Pane,
    Regime,
    Severity,
    Step,
    Verdict,
    stable_id,
)
from service.reference import Reference, effective_tolerance
from service.settings import MonitorSettings
from service.tuning import Tuning

_FORMAT = 2
"""Of checkpoints; goes up with every change to what they hold."""
_REMEDY = "run the version that wrote it, or start with another directory: the alarms that it holds open would be lost"
_DRIFTS = (0.05, 0.1, 0.2, 0.5)
"""Shares of new content whose expected delay is shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What one entry of the log did: alarms as they stand after it, and the streams of those that it opened, by the alarm's id."""

    alarms: tuple[Alarm, ...] = ()
    opened: Mapping[str, Stream] = field(default_factory=dict)


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
        self.tuning = Tuning(settings, reference)
        tolerance = effective_tolerance(settings, reference.model)
        self.alarms: dict[str, Alarm] = {}
        self.streams = {segment: self._stream(segment, tolerance) for segment in reference.slices}
        self.rules = Rules(tolerance, settings.detection.critical, calm_samples=self.longest_window)
        self._tune(None)

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

    def apply(self, entry: Pane | Event) -> Outcome:
        """Decides one entry of the log, in sequence order."""
        self.sequence = entry.sequence
        return self._event(entry) if isinstance(entry, Event) else self._pane(entry)

    def inherit(self, checkpoint: bytes) -> None:
        """Takes over what outlives a reference: how much traffic there is, the last allocation, and what the budget has seen."""
        head = _parts(checkpoint)[0]
        self.exposures = head.exposures
        for kept in head.streams:
            if kept.segment in self.streams:
                self.streams[kept.segment].traffic = kept.traffic
        self._tune(head.allocation)

    def _stream(self, segment: str, tolerance: float) -> Stream:
        model, own = self.reference.model, self.reference.slices[segment]
        scan = StreamScan(model, run_length=self.tuning.run_length(segment), slice=own)
        return Stream(segment, scan, EDetector(model, own, tolerance=tolerance))

    def _tune(self, allocation: Allocation | None) -> None:
        """Gives every stream the run length and regime of an allocation; without one, of the monitor's own configuration."""
        self.tuning = Tuning(self.settings, self.reference, allocation)
        for segment, stream in self.streams.items():
            stream.regime = self.tuning.regime(segment)
            if stream.run_length != self.tuning.run_length(segment):
                stream.scan.retune(self.tuning.run_length(segment))
        model, whole = self.reference.model, self.streams[WHOLE].run_length
        self.delays = {share: model.expected_delay(share, whole) for share in _DRIFTS}

    # --- panes --------------------------------------------------------------------------------------------------------

    def _pane(self, pane: Pane) -> Outcome:
        if pane.key.reference_version != self.reference.version:
            self.other_versions += 1
            return Outcome()
        if pane.key.segment == WHOLE:
            self.samples += pane.summary.count
        stream = self.streams.get(pane.key.segment)
        if stream is None:
            return Outcome()
        self._expose(stream, pane)
        stream.take(pane.summary, self._span(pane))
        outcomes = [self._weigh(stream, family, evidence, pane) for family, evidence in stream.weighed()]
        opened = {alarm: stream for outcome in outcomes for alarm, stream in outcome.opened.items()}
        return Outcome(tuple(alarm for outcome in outcomes for alarm in outcome.alarms), opened)

    def _span(self, pane: Pane) -> tuple[float, float]:
        """Where the reference goes by the hour, only of a pane whose hour is known."""
        if self.reference.model.profile.clock.size == 1:
            return pane.first_time, pane.last_time
        return self.times.span(pane, full=pane.summary.count >= self.settings.detection.pane_samples)

    def _expose(self, stream: Stream, pane: Pane) -> None:
        """Counts what the pane could have cost."""
        count, whole = pane.summary.count, stream.segment == WHOLE
        gone = stream.traffic.add(count, pane.last_time)
        if stream.regime is Regime.SHADOW:
            return
        allowed = count / stream.run_length if stream.regime is Regime.ACTIVE else 0.0
        self.exposures.add(pane.last_time, seconds=gone if whole else 0.0, samples=count if whole else 0, allowed=allowed)

    def _weigh(self, stream: Stream, family: Family, evidence: Evidence, pane: Pane) -> Outcome:
        """What a pane's evidence in one family means for the family's episode."""
        episode = stream.episodes[family] = cross(stream.episodes[family], evidence)
        if episode.alarm:
            return self._follow(stream, family, evidence, pane)
        if should_open(episode, evidence, self.rules, pane.last_time):
            return self._open(stream, family, evidence, pane)
        stream.episodes[family] = withhold(episode, evidence, self.rules, pane.last_time)
        return Outcome()

    def _open(self, stream: Stream, family: Family, evidence: Evidence, pane: Pane) -> Outcome:
        alarm, episode = _alarm(self, stream, family, evidence, pane), stream.episodes[family]
        opened = episode.opened + 1
        stream.episodes[family] = replace(episode, alarm=alarm.id, crossed=False, calm_since=None, held_back=None, opened=opened)
        self.alarms[alarm.id] = alarm
        return Outcome((alarm,), {alarm.id: stream})

    def _follow(self, stream: Stream, family: Family, evidence: Evidence, pane: Pane) -> Outcome:
        """An open episode grows critical or, after long calm, resolves."""
        alarm = self.alarms[stream.episodes[family].alarm]
        upper = stream.calm_bound(family)
        stream.episodes[family], over = calm(stream.episodes[family], upper, samples=stream.samples, now=pane.last_time, rules=self.rules)
        if over:
            return self._close(stream, step(alarm, AlarmState.RESOLVED, Reason.CALM, time=pane.last_time))
        changed = (
            _spoken(alarm, pane, quiet=self.tuning.quiet(stream.segment))
            or _renamed(alarm, stream, pane)
            or _worse(alarm, evidence, self.rules, pane)
        )
        if changed is None:
            return Outcome()
        self.alarms[alarm.id] = changed
        return Outcome((changed,))

    def _close(self, stream: Stream, alarm: Alarm, held_back: HeldBack | None = None) -> Outcome:
        """Only a resolution, a verdict or a rebase makes a detector forget."""
        stream.forget()
        episode = stream.episodes[alarm.family]
        stream.episodes[alarm.family] = replace(episode, alarm="", calm_since=None, held_back=held_back)
        self.alarms.pop(alarm.id, None)
        return Outcome((alarm,))

    # --- events -------------------------------------------------------------------------------------------------------

    def _event(self, event: Event) -> Outcome:
        if event.kind == ALLOCATION:
            self._tune(Allocation.of(event))
            return Outcome()
        alarm = self.alarms.get(event.subject)
        if alarm is None:
            return Outcome()
        changed = apply_event(alarm, event)
        if changed.state is not AlarmState.RESOLVED:
            self.alarms[alarm.id] = changed
            return Outcome((changed,) if changed is not alarm else ())
        stream = self.streams[alarm.segment]
        held_back = HeldBack(HOLD_BACK_GROWTH * alarm.effect.estimate, self.traffic.last + HOLD_BACK_SECONDS)
        return self._close(stream, changed, held_back if changed.verdict in {Verdict.FALSE, Verdict.SEASONAL} else None)

    # --- checkpoint ---------------------------------------------------------------------------------------------------

    def checkpoint(self) -> bytes:
        """Everything decided so far, as an .npz without pickle."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for number, stream in enumerate(self.streams.values()):
            arrays |= {f"{number}.{name}": value for name, value in stream.scan.state().items()}
            arrays |= {f"{number}.e.{name}": value for name, value in stream.detector.state().items()}
        head = _Head(
            format=_FORMAT,
            version=self.reference.version,
            sequence=self.sequence,
            samples=self.samples,
            other_versions=self.other_versions,
            streams=[_Kept(s.segment, s.episodes, s.traffic, s.samples) for s in self.streams.values()],
            alarms=list(self.alarms.values()),
            exposures=self.exposures,
            times=self.times,
            allocation=self.tuning.allocation,
        )
        arrays["head"] = np.frombuffer(msgspec.json.encode(head), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    def restore(self, checkpoint: bytes) -> bool:
        """Takes up a checkpoint of the same reference version; False (and nothing changed) for another's."""
        head, arrays = _parts(checkpoint)
        if head.version != self.reference.version or [kept.segment for kept in head.streams] != list(self.streams):
            return False
        streams = {segment: self._stream(segment, self.rules.tolerance) for segment in self.streams}
        try:
            for number, (stream, kept) in enumerate(zip(streams.values(), head.streams, strict=True)):
                stream.scan.restore(_below(f"{number}.", arrays))
                stream.detector.restore(_below(f"{number}.e.", arrays))
                stream.episodes, stream.traffic, stream.samples = kept.episodes, kept.traffic, kept.samples
        except (KeyError, ValueError) as error:
            raise ArtefactError(f"monitor {self.settings.name}: the checkpoint does not fit its reference ({error}); {_REMEDY}") from error
        self.streams, self.alarms = streams, {alarm.id: alarm for alarm in head.alarms}
        self.sequence, self.samples, self.other_versions = head.sequence, head.samples, head.other_versions
        self.exposures, self.times = head.exposures, head.times
        self._tune(head.allocation)
        return True


def _spoken(alarm: Alarm, pane: Pane, *, quiet: bool) -> Alarm | None:
    """An alarm that opened in silence, once its stream may be heard: nobody has been told of it yet."""
    if not alarm.quiet or quiet:
        return None
    return replace(step(alarm, alarm.state, Reason.TOLD, time=pane.last_time), quiet=False)


def _renamed(alarm: Alarm, stream: Stream, pane: Pane) -> Alarm | None:
    """Its kind by the window that has just doubled since it opened; what the feed explains stays the feed's."""
    since = stream.samples - alarm.at_sample
    if not since - pane.summary.count < alarm.window_samples <= since or alarm.kind.startswith(Kind.FEED):
        return None
    kind = name_kind(stream.scan.signs())
    if kind == alarm.kind:
        return None
    return replace(step(alarm, alarm.state, Reason.RENAMED, time=pane.last_time, note=f"was {alarm.kind}"), kind=kind)


def _worse(alarm: Alarm, evidence: Evidence, rules: Rules, pane: Pane) -> Alarm | None:
    """A warning whose effect has become critical."""
    if alarm.severity is not Severity.WARNING or severity(evidence.effect, rules) is not Severity.CRITICAL:
        return None
    return replace(step(alarm, alarm.state, Reason.WORSE, time=pane.last_time), severity=Severity.CRITICAL)


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


class _Format(msgspec.Struct):
    format: int = 0


class _Kept(msgspec.Struct):
    segment: str
    episodes: dict[Family, Episode]
    traffic: Traffic
    samples: int


class _Head(_Format, kw_only=True):
    version: int
    sequence: int
    samples: int
    other_versions: int
    streams: list[_Kept]
    alarms: list[Alarm]
    exposures: Exposures
    allocation: Allocation | None
    times: LogTimes


def _parts(checkpoint: bytes) -> tuple[_Head, dict[str, NDArray[np.generic]]]:
    """What a checkpoint says of the monitor, and its detectors' arrays."""
    try:
        with np.load(io.BytesIO(checkpoint), allow_pickle=False) as file:
            arrays = dict(file)
        head = arrays.pop("head").tobytes()
        written = msgspec.json.decode(head, type=_Format).format
        if written == _FORMAT:
            return msgspec.json.decode(head, type=_Head), arrays
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise ArtefactError(f"a monitor's checkpoint in the store is damaged ({error}); {_REMEDY}") from error
    raise ArtefactError(f"a monitor's checkpoint in the store has format {written}, this driftgate reads {_FORMAT}; {_REMEDY}")


def _below(prefix: str, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Those whose name begins so, under the rest of it."""
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
