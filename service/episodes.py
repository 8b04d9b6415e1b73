"""One stream as the controller watches it: its detector, its traffic, and an episode for each family of channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from detectors import Effect, Evidence, Summary
from detectors.accuracy import Estimated
from detectors.fleet import EDetector
from detectors.kinds import OUTPUTS, is_quality
from detectors.stream import StreamScan
from service.alarms import Episode
from service.budget import DAY, WEEK
from service.records import Accuracy, Family, Measured, Regime

_SILENCE = 3_600.0
"""Seconds without a pane that are a pause."""

_SLOWER = "e."
"""Before the names of the second detector's arrays."""


def family_of(channel: str) -> Family:
    """Which family a channel belongs to, by its name."""
    if channel in OUTPUTS:
        return Family.OUTPUT
    return Family.QUALITY if is_quality(channel) else Family.INPUT


def measured(found: Effect | Estimated) -> Measured:
    """As an alarm and the status keep what the detector tells."""
    return Measured(found.estimate, found.low, found.high)


@dataclass(slots=True)
class Traffic:
    """Samples per second of log time, over the recent past: exponentially weighted, so that it follows a changed rate.

    A pause is no traffic to learn from: silence counts for an hour, or for as long as the last silence, so that a stream that comes by
    the night or by the batch is measured over its whole days. While log time stands still the rate can at most double: after a leap
    into the future it would else grow until time has caught up.
    """

    samples: float = 0.0
    seconds: float = 0.0
    last: float = 0.0
    silence: float = _SILENCE
    """Seconds that the last pause took, a week at most."""
    usual: float | None = None
    """Rate around the last time that log time moved on."""
    memory: float = DAY

    def add(self, samples: int, time: float) -> float:
        """A pane's samples, ending at a log time; returns how much log time was watched since the last."""
        gap = max(time - self.last, 0.0) if self.last else 0.0
        watched = min(gap, self.silence)
        if gap > _SILENCE:
            self.silence = min(gap, WEEK)
        before, keep = self.rate, float(np.exp(-watched / self.memory))
        self.samples, self.seconds = self.samples * keep + samples, self.seconds * keep + watched
        self.last = max(time, self.last)
        if gap:
            self.usual = max(before or 0.0, self.rate or 0.0) or None
        elif self.usual:
            self.samples = min(self.samples, 2 * self.usual * self.seconds)
        return watched

    @property
    def rate(self) -> float | None:
        """Samples per second, None before there is a span to measure over."""
        return self.samples / self.seconds if self.seconds > 0 else None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a stream's most surprising window shows: figures that take longer than to weigh a pane."""

    effect: Measured
    novel_share: Measured
    accuracy: Accuracy | None


@dataclass(slots=True, eq=False)
class Stream:
    """One monitor × segment."""

    segment: str
    scan: StreamScan
    detector: EDetector
    """Slower than the scan; its evidence may be compared over streams."""
    regime: Regime = Regime.ACTIVE
    traffic: Traffic = field(default_factory=Traffic)
    answers_share: float = 0.0
    """Of its false alarms those that the test of its answers may raise."""
    samples: int = 0
    """Taken since the reference came into force, however often the detector has started anew."""
    episodes: dict[Family, Episode] = field(default_factory=dict)
    _shown: tuple[NDArray[np.float64], Shown] | None = field(default=None, init=False, repr=False)
    """Of which surprises, and what."""
    _channels: Mapping[Family, NDArray[np.bool_]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        families = [family_of(channel) for channel in self.scan.model.channels]
        self._channels = {family: np.array([own is family for own in families]) for family in dict.fromkeys(families)}
        self.episodes = {family: Episode() for family in self._channels}

    @property
    def evidence(self) -> Evidence:
        """Of the last decided pane, in whichever channel surprises most."""
        return self.scan.evidence

    @property
    def family(self) -> Family:
        """Of the channel that surprises most."""
        return family_of(self.evidence.channel)

    @property
    def run_length(self) -> float:
        """Samples until a false alarm of any of its tests."""
        return self.scan.run_length * (1 - self.answers_share)

    def take(self, summary: Summary, span: tuple[float, float]) -> None:
        """A pane's samples, from the first time to the last."""
        self.samples += summary.count
        self.detector.update(self.scan, summary, span=span)
        self.scan.update(summary, span=span)

    def weighed(self) -> Iterator[tuple[Family, Evidence]]:
        """Each family that this pane can say anything about, with its own evidence: where no channel is above its threshold, only
        those with an open episode."""
        for family, episode in list(self.episodes.items()):
            if self.evidence.above or episode.alarm:
                yield family, self.evidence_of(family)

    def evidence_of(self, family: Family) -> Evidence:
        """Of the channels of one family alone."""
        return self.scan.among(self._channels[family])

    def shown(self) -> Shown:
        """Measured once for as long as no window moves: most streams have no pane in most decisions."""
        if self._shown is None or self._shown[0] is not self.scan.surprises:
            shown = Shown(measured(self.evidence.effect), measured(self.scan.novel_share()), self.accuracy())
            self._shown = self.scan.surprises, shown
        return self._shown[1]

    def accuracy(self) -> Accuracy | None:
        """Of the model over the most surprising window; None where the reference could not calibrate its confidence."""
        found, calibration = self.scan.accuracy(), self.scan.model.summarizer.accuracy
        if found is None or calibration is None:
            return None
        return Accuracy(*map(measured, (found, calibration.reference, *calibration.reliability)))

    def calm_bound(self, family: Family) -> float:
        """Upper bound of the family's present effect: of the whole mean for inputs, else of its own strongest channel."""
        if family is Family.INPUT:
            return self.scan.resolved_effect()
        evidence = self.evidence_of(family)
        return np.inf if evidence.above or not evidence.scale else evidence.effect.high

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Both detectors', as arrays."""
        return {**self.scan.state(), **{_SLOWER + name: value for name, value in self.detector.state().items()}}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes up where `state` was taken."""
        self.scan.restore(state)
        self.detector.restore({name.removeprefix(_SLOWER): value for name, value in state.items() if name.startswith(_SLOWER)})

    def forget(self) -> None:
        """The detector starts anew, for all families: they share its windows."""
        self.scan.reset()
        self.detector.reset()
        self.episodes = {family: replace(episode, crossed=False, latched=False) for family, episode in self.episodes.items()}
