"""What a decision changes before it is written: each alarm as one change, and what is told of it on the way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from service.alarms import Reason
from service.notifying.rules import ACKNOWLEDGED, OPENED, RESOLVED, WORSE
from service.records import Alarm, AlarmState

_OPENED = (Reason.DRIFT, Reason.BLIND, Reason.SILENT, Reason.TOLD)
_TOLD = {**{reason.value: OPENED for reason in _OPENED}, Reason.WORSE.value: WORSE}


@dataclass(slots=True)
class Changes:
    """Several steps of an alarm that are written together are one change to the store; each is told as it was when it was taken."""

    alarms: dict[str, Alarm] = field(default_factory=dict)
    news: list[tuple[str, Alarm]] = field(default_factory=list)
    steps: list[Alarm] = field(default_factory=list)
    """As each alarm was after each of its steps."""

    def add(self, alarm: Alarm) -> Alarm:
        """An alarm one step on; returns it with the version that will be written."""
        if alarm.id in self.alarms:
            alarm = replace(alarm, version=self.alarms[alarm.id].version)
        self.alarms[alarm.id] = alarm
        self.steps.append(alarm)
        kind = _kind(alarm)
        if kind and not alarm.quiet:
            self.news.append((kind, alarm))
        return alarm

    def revise(self, alarm: Alarm) -> Alarm:
        """An alarm that shows more than it did: no step of its life, and nobody is told."""
        version = self.alarms[alarm.id].version if alarm.id in self.alarms else alarm.version + 1
        self.alarms[alarm.id] = replace(alarm, version=version)
        return self.alarms[alarm.id]

    def number(self, alarm: str, version: int) -> Alarm:
        """Another version for one of the alarms: that of the store is not the one it was decided from."""
        self.alarms[alarm] = replace(self.alarms[alarm], version=version)
        return self.alarms[alarm]


def _kind(alarm: Alarm) -> str | None:
    """Of the news that the alarm's last step is; None where it is none, as a verdict on an alarm that is over."""
    states = [taken.state for taken in alarm.history]
    if alarm.state is AlarmState.RESOLVED:
        return RESOLVED if states.count(AlarmState.RESOLVED) == 1 else None
    if states[-2:] == [AlarmState.OPEN, AlarmState.ACKNOWLEDGED]:
        return ACKNOWLEDGED
    return _TOLD.get(alarm.history[-1].reason)
