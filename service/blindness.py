"""Whether a monitor sees its input: alarms of its feed, beside those of drift, decided from the same log.

A window that lost more than it may opens no alarm of drift: what is missing may be what moved, or what did not. One alarm says so
instead, and is over when the loss has stayed below for a window. A silence that the log tells of opens another, until the next pane.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from service.alarms import Reason, step
from service.feed import lost
from service.losses import Loss, Losses, is_input
from service.maintenance import Pause
from service.records import (
    WHOLE,
    Alarm,
    AlarmState,
    Event,
    Family,
    Measured,
    Pane,
    Regime,
    Severity,
    Step,
    stable_id,
)
from service.settings import MonitorSettings
from service.silence import Rhythm

_WINDOW_PANES = 10
"""Full panes that the window holds over which a loss is judged where no drift is at stake."""

_UNKNOWN = Measured(0.0, 0.0, 1.0)
"""The effect of what was not seen."""


@dataclass(slots=True)
class Sight:
    """What is remembered of a monitor's feed; losses and rhythm outlive the reference."""

    losses: Losses = field(default_factory=Losses)
    rhythm: Rhythm = field(default_factory=Rhythm)
    items: int = 0
    """Samples, taken or lost, since the monitor began."""
    blind: bool = False
    """From a window that lost too much until the loss has stayed below for one."""
    calm_since: tuple[int, float] | None = None
    """Items and log time from which on nothing was too much."""
    alarm: str = ""
    """Id of the open alarm that says so, '' once a person has closed it."""
    silent: str = ""
    """Id of the open alarm of a silence."""
    silent_from: float = 0.0
    """Log time at which the silence began."""


class Feed:
    """Decides on a monitor's feed."""

    def __init__(self, settings: MonitorSettings, reference_version: int) -> None:
        self.sight = Sight()
        self._monitor = settings.name
        self._version = reference_version
        self._quiet = settings.detection.mode == "shadow"
        self._allowed = settings.detection.blind_share
        self._items = _WINDOW_PANES * settings.detection.pane_samples
        self._seconds = settings.detection.pane_seconds
        self._required = settings.kserve is not None and settings.kserve.responses == "required"

    @property
    def latest(self) -> Loss:
        """Over the window that is judged, or over all that there was so far."""
        return self.sight.losses.latest(self._items, self._seconds) or self.sight.losses.over(float("-inf"))

    def take(self, pane: Pane) -> None:
        """The next pane of the whole stream."""
        self.sight.losses.add(pane)
        self.sight.rhythm.add(pane)
        self.sight.items += pane.summary.count + sum(count for reason, count in pane.losses.items() if is_input(reason))

    def hides(self, family: Family, loss: Loss) -> bool:
        """Whether a window that lost so much says nothing about drift of the family."""
        return (loss.blank if family is Family.OUTPUT else loss.share) > self._allowed

    def judge(self, pane: Pane, hidden: Loss | None, standing: Mapping[str, Alarm], pause: Pause, *, at_sample: int) -> Iterator[Alarm]:
        """What a pane makes of the feed's alarms; `hidden` is the loss that has just kept an alarm of drift from opening."""
        if pane.key.segment != WHOLE and hidden is None:
            return
        if self.sight.silent and pane.last_time > self.sight.silent_from:
            alarm, self.sight.silent = standing[self.sight.silent], ""
            yield step(alarm, AlarmState.RESOLVED, Reason.RESUMED, time=max(pane.last_time, alarm.opened))
        loss = hidden or self._blinding()
        if loss is not None:
            self.sight.calm_since = None
            if not self.sight.blind and not pause.keeps(WHOLE, Family.FEED, pane.last_time):
                self.sight.blind = True
                opened = self._blinded(pane, loss, at_sample=at_sample)
                self.sight.alarm = opened.id
                yield opened
        elif self.sight.blind and self._calm():
            self.sight.blind, self.sight.calm_since = False, None
            if self.sight.alarm:
                alarm, self.sight.alarm = standing[self.sight.alarm], ""
                yield step(alarm, AlarmState.RESOLVED, Reason.SEEING, time=pane.last_time)

    def silence(self, event: Event, pause: Pause, *, at_sample: int) -> Iterator[Alarm]:
        """The alarm of the silence that the event tells of; none while one stands."""
        if self.sight.silent or pause.keeps(WHOLE, Family.FEED, event.time):
            return
        log_time, seconds = float(event.body["log_time"]), float(event.body["seconds"])
        self.sight.silent_from = min(log_time, event.time)  # the log's clock may be ahead of ours
        first = Step(AlarmState.OPEN.value, Reason.SILENT.value, event.time)
        opened = self._alarm(first, event.id, at_sample=at_sample, at_sequence=event.sequence)
        alarm = replace(opened, kind=f"no traffic for {_span(seconds)}", window_start=event.time - seconds)
        self.sight.silent = alarm.id
        yield alarm

    def close(self, alarm: str) -> None:
        """A person has closed it: it opens anew once the loss has been below for a window, or at the next silence."""
        self.sight.alarm = "" if alarm == self.sight.alarm else self.sight.alarm
        self.sight.silent = "" if alarm == self.sight.silent else self.sight.silent

    def inherit(self, sight: Sight) -> None:
        """What another reference's decisions saw of the feed; their alarms are over."""
        self.sight = Sight(sight.losses, sight.rhythm, sight.items)

    def _blinding(self) -> Loss | None:
        """The latest window, if it lost too much."""
        loss = self.sight.losses.latest(self._items, self._seconds)
        found = loss is not None and (self.hides(Family.INPUT, loss) or (self._required and self.hides(Family.OUTPUT, loss)))
        return loss if found else None

    def _calm(self) -> bool:
        """Whether it has been calm for a window; notes since when."""
        sight, now = self.sight, self.sight.losses.now
        since = sight.calm_since = sight.calm_since or (sight.items, now)
        return sight.items - since[0] >= self._items and (now <= 0 or now - since[1] >= self._seconds)

    def _blinded(self, pane: Pane, loss: Loss, *, at_sample: int) -> Alarm:
        answers = not self.hides(Family.INPUT, loss)
        share, what = (loss.blank, "unanswered") if answers else (loss.share, "lost")
        first = Step(AlarmState.OPEN.value, Reason.BLIND.value, pane.last_time)
        origin = str(pane.key.partition), pane.key.segment, pane.key.first_offset
        return replace(
            self._alarm(first, *origin, at_sample=at_sample, at_sequence=pane.sequence),
            kind=f"blind: {100 * share:.0f} % {what} ({loss.worst(answers=answers)})",
            severity=Severity.CRITICAL,
            window_samples=loss.items,
            window_start=loss.start,
            findings=tuple(lost(loss)),
        )

    def _alarm(self, first: Step, *origin: object, at_sample: int, at_sequence: int) -> Alarm:
        return Alarm(
            id=stable_id(self._monitor, WHOLE, Family.FEED, self._version, *origin),
            monitor=self._monitor,
            segment=WHOLE,
            family=Family.FEED,
            reference_version=self._version,
            kind="",
            severity=Severity.WARNING,
            state=AlarmState.OPEN,
            at_sample=at_sample,
            at_sequence=at_sequence,
            opened=first.time,
            window_samples=0,
            window_start=first.time,
            effect=_UNKNOWN,
            novel_share=_UNKNOWN,
            channel="feed",
            regime=Regime.SHADOW if self._quiet else Regime.ACTIVE,
            quiet=self._quiet,
            history=(first,),
            version=1,
        )


def _span(seconds: float) -> str:
    """As one would say it."""
    for unit, name in ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
