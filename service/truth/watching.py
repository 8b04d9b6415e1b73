"""Answers that became wrong while inputs stay alike: a sequential test of each stream's error rate, fed by the log's counts of labels.

Each stream's test has an episode like any other channel's. What it asks of the run length is told by `service.tuning`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from detectors import Evidence
from detectors.error_rate import ErrorRateTest
from service.alarms import (
    HOLD_BACK_GROWTH,
    HOLD_BACK_SECONDS,
    Episode,
    HeldBack,
    Reason,
    Rules,
    calm,
    cross,
    severity,
    should_open,
    step,
    withhold,
)
from service.maintenance import Pause
from service.records import WHOLE, Alarm, AlarmState, Event, Family, Measured, Regime, Severity, Step, Verdict, segment_of, stable_id
from service.reference import Reference
from service.settings import TruthSettings
from service.truth.telling import blocks

LEAST_REFERENCE = 100
"""Rows of the reference with label and answer, from which they say how often the model errs on a stream."""

_LEAST_CALM = 200
"""Labels over which the errors must have gone back before an alarm is over."""

ALIKE, MOVED = "answers changed", "answers changed, inputs moved too"
"""Kinds of its alarms."""


@dataclass(frozen=True, slots=True)
class Place:
    """The stream that a label's sample was part of, as an alarm there shows it."""

    samples: int
    labels_per_alarm: float
    """Run length of the test."""
    run_length: float
    """Of the stream as a whole, in samples."""
    regime: Regime
    quiet: bool
    novel_share: Measured
    moved: bool
    """An alarm says that its inputs moved."""
    pause: Pause = field(default_factory=Pause)
    """Of the monitor, for maintenance."""


@dataclass(slots=True, eq=False)
class ErrorWatch:
    """One stream: what is compared with what, and the episode. Until it is known what to compare with, labels are gathered."""

    labels: int = 0
    errors: int = 0
    test: ErrorRateTest | None = None
    episode: Episode = field(default_factory=Episode)
    opened_at: int = 0
    """Labels at which the last episode opened."""
    shown: tuple[object, Mapping[str, Any]] | None = field(default=None, repr=False)
    """Its figures, and what they are of: most streams have no label in most decisions."""


class Concept:
    """Decides on a monitor's answers under one reference."""

    def __init__(self, monitor: str, settings: TruthSettings, reference: Reference) -> None:
        self.settings = settings
        self.watches: dict[str, ErrorWatch] = {}
        """By stream, from the first label on."""
        self.delay: Sequence[float] = ()
        """Median and 90 % quantile of the latest labels' delay in seconds."""
        self._monitor = monitor
        self._reference = reference
        self._errors: Mapping[str, tuple[int, int]] | None = None
        """(errors, labels) of the reference's rows, by stream; counted when they are first asked for."""

    @property
    def begun(self) -> bool:
        """Whether labels have come: from then on a part of the false alarms is theirs."""
        return bool(self.watches)

    def labels_since(self, alarm: Alarm) -> int:
        """Labels of its stream since it opened."""
        watch = self.watches[alarm.segment]
        return watch.labels - watch.opened_at

    def usual(self, segment: str) -> Iterator[tuple[str, str]]:
        """(label, answer) that a stream's are compared with besides those of its own before: the reference's, where they count."""
        return reference_pairs(self._reference, segment) if self.settings.against == "reference" else iter(())

    def begin(self, event: Event) -> bool:
        """Whether the event brings the first labels of answers that this reference's model gave."""
        if self.begun or str(self._reference.version) not in event.body["versions"]:
            return False
        self.watches = {segment: ErrorWatch() for segment in self._reference.slices}
        return True

    def take(self, event: Event, place: Callable[[str], Place], standing: Mapping[str, Alarm]) -> Iterator[Alarm]:
        """Decides what an event tells, stream by stream; other versions' answers are no concern of this reference."""
        told = event.body["versions"].get(str(self._reference.version))
        if told is None:
            return
        self.delay = told["delay"]
        for segment in [segment for segment in self.watches if segment in told["streams"]]:
            watch, where = self.watches[segment], place(segment)
            alarm = standing.get(watch.episode.alarm)
            for number, (labels, errors) in enumerate(blocks(told["streams"][segment])):
                evidence = self._weigh(segment, watch, (labels, errors), where, event.time)
                if evidence is None:
                    continue
                changed = self._decide(watch, evidence, alarm, event) or self._open(segment, watch, evidence, where, event, number)
                if changed is not None:
                    alarm = None if changed.state is AlarmState.RESOLVED else changed
                    yield changed

    def retune(self, labels_per_alarm: Callable[[str], float]) -> None:
        """Other run lengths, from here on."""
        for segment, watch in self.watches.items():
            asked = labels_per_alarm(segment)
            if watch.test is not None and watch.test.run_length != asked:
                watch.test.retune(asked)

    def close(self, alarm: Alarm, *, now: float) -> None:
        """A person's word: the test starts anew; what was a false alarm is what answers are like, and its like is held back."""
        watch = self.watches[alarm.segment]
        wrong = alarm.verdict in {Verdict.FALSE, Verdict.SEASONAL}
        held = HeldBack(HOLD_BACK_GROWTH * alarm.effect.estimate, now + HOLD_BACK_SECONDS) if wrong else None
        _restart(watch, held, accept=alarm.verdict is Verdict.FALSE)

    def _weigh(self, segment: str, watch: ErrorWatch, block: tuple[int, int], where: Place, now: float) -> Evidence | None:
        """The evidence with a block more; None while it is not known what to compare with."""
        if watch.test is None:
            errors, labels = self._before(segment, watch)
            if labels:
                watch.test = ErrorRateTest(errors, labels, run_length=where.labels_per_alarm)
        watch.labels, watch.errors = watch.labels + block[0], watch.errors + block[1]
        return None if watch.test is None else watch.test.update(*block, time=now)

    def _before(self, segment: str, watch: ErrorWatch) -> tuple[int, int]:
        """(errors, labels) that production's are compared with: the reference's, or the first; (0, 0) while there are too few."""
        if self.settings.against == "reference":
            if self._errors is None:
                self._errors = _reference_errors(self._reference)
            errors, labels = self._errors.get(segment, (0, 0))
            if labels >= LEAST_REFERENCE:
                return errors, labels
        return (watch.errors, watch.labels) if watch.labels >= self.settings.first_labels else (0, 0)

    def _decide(self, watch: ErrorWatch, evidence: Evidence, alarm: Alarm | None, event: Event) -> Alarm | None:
        """What a block makes of the alarm that stands: critical, or over."""
        watch.episode = cross(watch.episode, evidence)
        if alarm is None or watch.test is None:
            return None
        rules = self._rules(alarm)
        upper = np.inf if evidence.above else watch.test.resolved_effect()
        watch.episode, over = calm(watch.episode, upper, samples=watch.labels, now=event.time, rules=rules)
        if over:
            _restart(watch)
            return step(alarm, AlarmState.RESOLVED, Reason.CALM, time=event.time)
        if alarm.severity is Severity.WARNING and severity(evidence.effect, rules) is Severity.CRITICAL:
            return replace(step(alarm, alarm.state, Reason.WORSE, time=event.time), severity=Severity.CRITICAL)
        return None

    def _open(self, segment: str, watch: ErrorWatch, evidence: Evidence, where: Place, event: Event, number: int) -> Alarm | None:
        """The alarm of a new episode, if one begins with a block."""
        rules = self._rules(None)
        if not should_open(watch.episode, evidence, rules, event.time):
            watch.episode = withhold(watch.episode, evidence, rules, event.time)
            return None
        if where.pause.keeps(segment, Family.CONCEPT, event.time):
            return None
        alarm = self._alarm(segment, watch, evidence, where, event, number)
        watch.opened_at, opened = watch.labels, watch.episode.opened + 1
        watch.episode = replace(watch.episode, alarm=alarm.id, crossed=False, calm_since=None, held_back=None, opened=opened)
        return alarm

    def _rules(self, alarm: Alarm | None) -> Rules:
        """A standing alarm is over once half of its increase is surely gone: less could not be told from none for years."""
        half, labels = (alarm.effect.estimate / 2, alarm.window_samples) if alarm else (0.0, 0)
        return Rules(max(self.settings.tolerance, half), self.settings.critical, calm_samples=max(labels, _LEAST_CALM))

    def _alarm(self, segment: str, watch: ErrorWatch, evidence: Evidence, where: Place, event: Event, number: int) -> Alarm:
        window, effect = None if watch.test is None else watch.test.window, evidence.effect
        return Alarm(
            id=stable_id(self._monitor, segment, Family.CONCEPT, self._reference.version, event.id, number),
            monitor=self._monitor,
            segment=segment,
            family=Family.CONCEPT,
            reference_version=self._reference.version,
            kind=MOVED if where.moved else ALIKE,
            severity=severity(effect, self._rules(None)),
            state=AlarmState.OPEN,
            at_sample=where.samples,
            at_sequence=event.sequence,
            opened=event.time,
            window_samples=evidence.scale,
            window_start=window.start if window and window.start else event.time,
            effect=Measured(effect.estimate, effect.low, effect.high),
            novel_share=where.novel_share,
            channel=evidence.channel,
            effect_channel=evidence.channel,
            run_length=where.run_length,
            regime=where.regime,
            quiet=where.quiet,
            history=(Step(AlarmState.OPEN.value, Reason.DRIFT.value, event.time),),
            version=1,
        )


def reference_pairs(reference: Reference, segment: str) -> Iterator[tuple[str, str]]:
    """(label, answer) of a stream's reference rows that have both."""
    rows, tag = reference.rows, segment.partition("=")[0]
    values = reference.segment_values.get(tag, ())
    for answer, label, tags in zip(rows.predicted, rows.labels, rows.segments, strict=False):
        if answer and label is not None and (segment == WHOLE or segment_of(tags, tag, values) == segment):
            yield label, answer


def _reference_errors(reference: Reference) -> Mapping[str, tuple[int, int]]:
    """(errors, labels) of each stream that has any."""
    rows, tags = reference.rows, reference.segment_values.items()
    labels, errors = Counter[str](), Counter[str]()
    for answer, label, segments in zip(rows.predicted, rows.labels, rows.segments, strict=False):
        if answer and label is not None:
            streams = [WHOLE, *(segment_of(segments, tag, values) for tag, values in tags)]
            labels.update(streams)
            errors.update(streams if label != answer else ())
    return {stream: (errors[stream], count) for stream, count in labels.items()}


def _restart(watch: ErrorWatch, held_back: HeldBack | None = None, *, accept: bool = False) -> None:
    if watch.test is not None:
        watch.test.reset(accept=accept)
    watch.episode = replace(watch.episode, alarm="", crossed=False, latched=False, calm_since=None, held_back=held_back)
