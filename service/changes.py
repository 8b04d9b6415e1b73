"""What a decision changes before it is written: each alarm as one change, and what is told of it on the way."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from service.alarms import Reason
from service.records import Alarm, AlarmState, OutboxItem, stable_id

_OPENED = (Reason.DRIFT, Reason.BLIND, Reason.SILENT, Reason.TOLD)
_TOLD = {**{reason.value: "alarm.opened" for reason in _OPENED}, Reason.WORSE.value: "alarm.worse"}


@dataclass(slots=True)
class Changes:
    """Several steps of an alarm that are written together are one change to the store; each is told as it was when it was taken."""

    alarms: dict[str, Alarm] = field(default_factory=dict)
    news: list[tuple[str, Alarm]] = field(default_factory=list)

    def add(self, alarm: Alarm) -> Alarm:
        """An alarm one step on; returns it with the version that will be written."""
        if alarm.id in self.alarms:
            alarm = replace(alarm, version=self.alarms[alarm.id].version)
        self.alarms[alarm.id] = alarm
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

    def outbox(self, destinations: tuple[str, ...], *, now: float) -> tuple[OutboxItem, ...]:
        """An item for each destination when an alarm opens, becomes critical, and resolves; none of quiet ones."""
        return tuple(
            OutboxItem(stable_id(kind, alarm.id, to), kind, to, notification(alarm), created=now, due=now)
            for kind, alarm in self.news
            for to in destinations
        )


def _kind(alarm: Alarm) -> str | None:
    """Of the news that the alarm's last step is; None where it is none, as a verdict on an alarm that is over."""
    if alarm.state is AlarmState.RESOLVED:
        return "alarm.resolved" if [taken.state for taken in alarm.history].count(AlarmState.RESOLVED) == 1 else None
    return _TOLD.get(alarm.history[-1].reason)


def notification(alarm: Alarm) -> dict[str, Any]:
    """What a destination is told: facts and links' ids, thin enough for any webhook (no payload text beyond 3 cut exemplars)."""
    return {
        "alarm": alarm.id,
        "monitor": alarm.monitor,
        "segment": alarm.segment,
        "family": alarm.family.value,
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
