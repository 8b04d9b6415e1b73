"""Decisions as a pure function of a monitor's log of panes and events: one detector and one episode per stream."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import Evidence
from detectors.stream import StreamScan
from service.alarms import Episode, HeldBack, Reason, Rules, apply_event, calm, severity, should_open, step, withhold
from service.records import WHOLE, Alarm, AlarmState, Event, Family, Measured, Pane, Severity, Step, Verdict, stable_id
from service.reference import Reference, effective_tolerance
from service.settings import MonitorSettings

_DAY = 86_400.0


@dataclass(slots=True)
class Traffic:
    """Samples per second of log time, over the recent past: exponentially weighted, so that it follows a changed rate."""

    samples: float = 0.0
    seconds: float = 0.0
    last: float = 0.0
    memory: float = _DAY

    def add(self, samples: int, time: float) -> None:
        """A pane's samples, ending at a log time."""
        gone = max(time - self.last, 0.0) if self.last else 0.0
        keep = float(np.exp(-gone / self.memory))
        self.samples, self.seconds = self.samples * keep + samples, self.seconds * keep + gone
        self.last = max(time, self.last)

    @property
    def rate(self) -> float | None:
        """Samples per second, None before there is a span to measure over."""
        return self.samples / self.seconds if self.seconds > 0 else None


@dataclass(slots=True, eq=False)
class Stream:
    """One monitor × segment."""

    segment: str
    scan: StreamScan
    run_length: float
    episode: Episode = field(default_factory=Episode)
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def evidence(self) -> Evidence:
        """Of the last decided pane."""
        return self.scan.evidence

    @property
    def family(self) -> Family:
        """Of the channel that the evidence comes from."""
        return Family.OUTPUT if self.evidence.channel == "confidence" else Family.INPUT


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What one entry of the log did: alarms as they stand after it, and whether it opened, changed or closed them."""

    alarms: tuple[Alarm, ...] = ()
    opened: tuple[Stream, ...] = ()


class MonitorStreams:
    """All streams of a monitor under one reference version."""

    def __init__(self, settings: MonitorSettings, reference: Reference) -> None:
        self.settings = settings
        self.reference = reference
        self.sequence = 0
        self.samples = 0
        self.other_versions = 0
        tolerance, longest = effective_tolerance(settings, reference.model), reference.model.pane * 2**12
        self.rules = Rules(tolerance, settings.detection.critical, calm_samples=longest)
        self.alarms: dict[str, Alarm] = {}
        self.streams = {segment: self._stream(segment) for segment in reference.slices}
        self.delays = {share: reference.model.expected_delay(share, self.run_length) for share in (0.05, 0.1, 0.2, 0.5)}

    @property
    def run_length(self) -> float:
        """Samples per false alarm over all streams: the one asked for, or what the reference supports."""
        return min(self.settings.detection.first_run_length, self.reference.model.calibration.supported)

    @property
    def traffic(self) -> Traffic:
        """Of the whole stream."""
        return self.streams[WHOLE].traffic

    def samples_since(self, alarm: Alarm) -> int:
        """Samples that an open alarm's stream has taken since it opened."""
        return self.streams[alarm.segment].evidence.samples - alarm.at_sample

    def apply(self, entry: Pane | Event) -> Outcome:
        """Decides one entry of the log, in sequence order."""
        self.sequence = entry.sequence
        return self._event(entry) if isinstance(entry, Event) else self._pane(entry)

    def _stream(self, segment: str) -> Stream:
        """The whole stream takes half of the false alarms, the segments share the other half equally."""
        segments = len(self.reference.slices) - 1
        if segment == WHOLE:
            length = self.run_length * (2.0 if segments else 1.0)
        else:
            length = self.run_length * 2.0 * segments * self.reference.segment_shares[segment]
        return Stream(segment, StreamScan(self.reference.model, run_length=length, slice=self.reference.slices[segment]), length)

    def _pane(self, pane: Pane) -> Outcome:
        if pane.key.reference_version != self.reference.version:
            self.other_versions += 1
            return Outcome()
        if pane.key.segment == WHOLE:
            self.samples += pane.summary.count
        stream = self.streams.get(pane.key.segment)
        if stream is None:
            return Outcome()
        stream.traffic.add(pane.summary.count, pane.last_time)
        evidence = stream.scan.update(pane.summary, span=(pane.first_time, pane.last_time))
        if evidence.alarm:
            stream.episode = replace(stream.episode, crossed=True, crossings=stream.episode.crossings + 1)
        if stream.episode.alarm:
            return self._follow(stream, pane)
        if should_open(stream.episode, evidence, self.rules, pane.last_time):
            return self._open(stream, pane)
        stream.episode = withhold(stream.episode, evidence, self.rules, pane.last_time)
        return Outcome()

    def _open(self, stream: Stream, pane: Pane) -> Outcome:
        alarm = self._alarm(stream, pane)
        stream.episode = replace(
            stream.episode, alarm=alarm.id, crossed=False, calm_since=None, held_back=None, opened=stream.episode.opened + 1
        )
        self.alarms[alarm.id] = alarm
        return Outcome((alarm,), (stream,))

    def _alarm(self, stream: Stream, pane: Pane) -> Alarm:
        evidence, window = stream.evidence, stream.scan.window()
        novel = stream.scan.novel_share()
        return Alarm(
            id=stable_id(
                self.settings.name, stream.segment, stream.family, self.reference.version, str(pane.key.partition), pane.key.first_offset
            ),
            monitor=self.settings.name,
            segment=stream.segment,
            family=stream.family,
            reference_version=self.reference.version,
            kind="new content" if 2 * novel.estimate > evidence.effect.estimate else "changed mix",
            severity=severity(evidence.effect, self.rules),
            state=AlarmState.OPEN,
            at_sample=evidence.samples,
            at_sequence=pane.sequence,
            opened=pane.last_time,
            window_samples=window.count,
            window_start=stream.scan.window_start,
            effect=Measured(evidence.effect.estimate, evidence.effect.low, evidence.effect.high),
            novel_share=Measured(novel.estimate, novel.low, novel.high),
            channel=evidence.channel,
            history=(Step(AlarmState.OPEN.value, Reason.DRIFT.value, pane.last_time),),
            version=1,
        )

    def _follow(self, stream: Stream, pane: Pane) -> Outcome:
        """An open episode grows critical or, after long calm, resolves."""
        alarm, evidence = self.alarms[stream.episode.alarm], stream.evidence
        upper = stream.scan.resolved_effect()
        stream.episode, over = calm(stream.episode, upper, samples=evidence.samples, now=pane.last_time, rules=self.rules)
        if over:
            return self._close(stream, step(alarm, AlarmState.RESOLVED, Reason.CALM, time=pane.last_time))
        if alarm.severity is Severity.WARNING and severity(evidence.effect, self.rules) is Severity.CRITICAL:
            worse = replace(step(alarm, alarm.state, Reason.WORSE, time=pane.last_time), severity=Severity.CRITICAL)
            self.alarms[alarm.id] = worse
            return Outcome((worse,))
        return Outcome()

    def _close(self, stream: Stream, alarm: Alarm, held_back: HeldBack | None = None) -> Outcome:
        """Only a resolution, a verdict or a rebase makes a detector forget."""
        stream.scan.reset()
        stream.episode = replace(stream.episode, alarm="", crossed=False, calm_since=None, held_back=held_back)
        self.alarms.pop(alarm.id, None)
        return Outcome((alarm,))

    def _event(self, event: Event) -> Outcome:
        alarm = self.alarms.get(event.subject)
        if alarm is None:
            return Outcome()
        changed = apply_event(alarm, event)
        if changed.state is not AlarmState.RESOLVED:
            self.alarms[alarm.id] = changed
            return Outcome((changed,) if changed is not alarm else ())
        stream = self.streams[alarm.segment]
        held_back = HeldBack(1.5 * alarm.effect.estimate, self.traffic.last + 7 * _DAY)
        return self._close(stream, changed, held_back if changed.verdict in {Verdict.FALSE, Verdict.SEASONAL} else None)

    # --- checkpoint ---------------------------------------------------------------------------------------------------

    def checkpoint(self) -> bytes:
        """Everything decided so far, as an .npz without pickle."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for number, stream in enumerate(self.streams.values()):
            arrays |= {f"{number}.{name}": value for name, value in stream.scan.state().items()}
        head = {
            "version": self.reference.version,
            "sequence": self.sequence,
            "samples": self.samples,
            "other_versions": self.other_versions,
            "segments": list(self.streams),
            "episodes": [stream.episode for stream in self.streams.values()],
            "traffic": [stream.traffic for stream in self.streams.values()],
            "alarms": list(self.alarms.values()),
        }
        arrays["head"] = np.frombuffer(msgspec.json.encode(head), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    def restore(self, checkpoint: bytes) -> bool:
        """Takes up a checkpoint of the same reference version; False (and nothing changed) for another's."""
        with np.load(io.BytesIO(checkpoint), allow_pickle=False) as file:
            arrays = dict(file)
        head = msgspec.json.decode(arrays.pop("head").tobytes(), type=_Head)
        if head.version != self.reference.version or head.segments != list(self.streams):
            return False
        self.sequence, self.samples, self.other_versions = head.sequence, head.samples, head.other_versions
        self.alarms = {alarm.id: alarm for alarm in head.alarms}
        for number, (stream, episode, traffic) in enumerate(zip(self.streams.values(), head.episodes, head.traffic, strict=True)):
            prefix = f"{number}."
            stream.scan.restore({name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)})
            stream.episode, stream.traffic = episode, traffic
        return True


class _Head(msgspec.Struct):
    version: int
    sequence: int
    samples: int
    other_versions: int
    segments: list[str]
    episodes: list[Episode]
    traffic: list[Traffic]
    alarms: list[Alarm]


def describe_status(streams: MonitorStreams) -> Mapping[str, Any]:
    """The monitor's figures as `driftgate status` and the API show them."""
    rate, model = streams.traffic.rate, streams.reference.model
    return {
        "state": _state(streams),
        "reference_version": streams.reference.version,
        "run_length": streams.run_length,
        "tolerance": streams.rules.tolerance,
        "samples": streams.samples,
        "missing_samples": max(model.pane - streams.samples, 0),
        "sequence": streams.sequence,
        "traffic_per_second": rate,
        "last_time": streams.traffic.last,
        "expected_delay": [_delay(share, samples, rate) for share, samples in streams.delays.items()],
        "streams": [_stream_status(stream) for stream in streams.streams.values()],
        "other_versions": streams.other_versions,
    }


def _state(streams: MonitorStreams) -> str:
    if streams.alarms:
        return "drifting"
    return "watching" if streams.samples >= streams.reference.model.pane else "warming up"


def _delay(share: float, samples: float, rate: float | None) -> Mapping[str, float | None]:
    finite = np.isfinite(samples)
    return {"share": share, "samples": samples if finite else None, "seconds": samples / rate if finite and rate else None}


def _stream_status(stream: Stream) -> Mapping[str, Any]:
    evidence, episode = stream.evidence, stream.episode
    novel = stream.scan.novel_share()
    return {
        "segment": stream.segment,
        "samples": evidence.samples,
        "run_length": stream.run_length,
        "evidence": evidence.surprise,
        "threshold": evidence.threshold,
        "channel": evidence.channel,
        "window_samples": evidence.scale,
        "effect": {"estimate": evidence.effect.estimate, "low": evidence.effect.low, "high": evidence.effect.high},
        "novel_share": {"estimate": novel.estimate, "low": novel.low, "high": novel.high},
        "alarm": episode.alarm or None,
        "crossings": episode.crossings,
        "opened": episode.opened,
        "withheld": episode.withheld,
    }
