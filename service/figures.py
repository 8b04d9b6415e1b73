"""A monitor's figures, as `driftgate status` and the API show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from service.budget import DAY, WEEK
from service.episodes import Stream
from service.losses import Loss
from service.silence import silence_after
from service.streams import MonitorStreams
from service.truth.figures import describe_answers
from service.tuning import Tuning


def describe_status(streams: MonitorStreams) -> Mapping[str, Any]:
    """The monitor's figures as `driftgate status` and the API show them."""
    rate, model, allocation = streams.traffic.rate, streams.reference.model, streams.tuning.allocation
    return {
        "state": _state(streams),
        "mode": streams.settings.detection.mode,
        "reference_version": streams.reference.version,
        "run_length": streams.run_length,
        "inflation": model.dependence.inflation,
        "supported_run_length": streams.tuning.supported,
        "tolerance": streams.rules.tolerance,
        "samples": streams.samples,
        "missing_samples": max(model.pane - streams.samples, 0),
        "sequence": streams.sequence,
        "traffic_per_second": rate,
        "traffic_seconds": streams.traffic.seconds,
        "last_time": streams.traffic.last,
        "expected_delay": [_delay(share, samples, rate) for share, samples in streams.delays.items()],
        "longest_window": _longest(streams.longest_window, model.pane, rate),
        "streams": [_stream_status(stream, streams.tuning) for stream in streams.streams.values()],
        "allocation": None if allocation is None else {"time": allocation.time, **allocation.body()},
        "exposures": [{"week": week, **asdict(spent)} for week, spent in streams.exposures.weeks.items()],
        "other_versions": streams.other_versions,
        "untimed": streams.times.untimed,
        "untimed_share": streams.times.recent,
        "maintenance": streams.pause.shown(streams.traffic.last),
        "feed": _feed(streams),
        "truth": describe_answers(streams.concept),
    }


def _feed(streams: MonitorStreams) -> Mapping[str, Any]:
    """What the input has lost, and how long it may be silent."""
    sight, latest = streams.feed.sight, streams.feed.latest
    return {
        "blind": sight.blind,
        "silent": bool(sight.silent),
        "alarms": [alarm for alarm in (sight.alarm, sight.silent) if alarm],
        "lost_share": latest.share,
        "unanswered_share": latest.unanswered / max(latest.taken, 1),
        "unmatched_share": latest.unmatched,
        "window": _lost(latest),
        "day": _lost(sight.losses.over(sight.losses.now - DAY)),
        "total": sight.losses.total,
        "silence_after": silence_after(streams.settings.detection.silence_seconds, streams.traffic, sight.rhythm),
    }


def _lost(loss: Loss) -> Mapping[str, Any]:
    return {"samples": loss.taken, "lost": loss.lost, "reasons": loss.reasons}


def _state(streams: MonitorStreams) -> str:
    if streams.feed.sight.blind:
        return "blind"
    if streams.feed.sight.silent:
        return "silent"
    if streams.alarms:
        return "drifting"
    if streams.times.blind:
        return "untimed"
    return "watching" if streams.samples >= streams.reference.model.pane else "warming up"


def _delay(share: float, samples: float, rate: float | None) -> Mapping[str, float | None]:
    finite = np.isfinite(samples)
    return {"share": share, "samples": samples if finite else None, "seconds": samples / rate if finite and rate else None}


def _longest(samples: int, pane: int, rate: float | None) -> Mapping[str, float | None]:
    """How far back the longest window reaches, and the `pane_samples` at which it reaches a week; null where it does."""
    needed = int(np.ceil(WEEK * rate * pane / samples)) if rate else 0
    short = rate is not None and samples / rate < WEEK
    return {"samples": samples, "seconds": samples / rate if rate else None, "pane_samples": needed if short else None}


def _stream_status(stream: Stream, tuning: Tuning) -> Mapping[str, Any]:
    evidence, episodes, shown = stream.evidence, stream.episodes.values(), stream.shown()
    return {
        "segment": stream.segment,
        "family": stream.family,
        "samples": evidence.samples,
        "regime": stream.regime,
        "run_length": stream.run_length,
        "asked_run_length": tuning.asked(stream.segment),
        "traffic_per_second": stream.traffic.rate,
        "evidence": evidence.surprise,
        "threshold": evidence.threshold,
        "e_log10": stream.detector.log10 if evidence.samples else None,
        "channel": evidence.channel,
        "window_samples": evidence.scale,
        "effect": asdict(shown.effect),
        "effect_channel": evidence.effect_channel,
        "novel_share": asdict(shown.novel_share),
        "accuracy": None if shown.accuracy is None else asdict(shown.accuracy),
        "alarm": next((episode.alarm for episode in episodes if episode.alarm), None),
        "crossings": sum(episode.crossings for episode in episodes),
        "opened": sum(episode.opened for episode in episodes),
        "withheld": sum(episode.withheld for episode in episodes),
    }
