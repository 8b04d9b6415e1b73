"""What keeps news of alarms back at a moment: silences, and maintenance pauses."""

from __future__ import annotations

from functools import cached_property

from service.notifying import silences
from service.notifying.rules import Quiet, Why
from service.ports import Store
from service.records import Alarm, Silence
from service.settings import Settings


class Hush:
    """One look at the store, for as many alarms as need be."""

    def __init__(self, store: Store, settings: Settings, *, now: float) -> None:
        self._store = store
        self._teams = {monitor.name: monitor.team or "" for monitor in settings.monitors}
        self._now = now
        self._paused: dict[str, Quiet | None] = {}

    def over(self, alarm: Alarm) -> Quiet | None:
        """What keeps an alarm's news back: of several, what lasts longest."""
        found = [Quiet(Why.SILENCED, each.ends, each.actor) for each in self._silences if silences.matches(each, alarm, self.team(alarm))]
        pause = self._pause(alarm.monitor)
        return max([*found, *([pause] if pause else [])], key=lambda quiet: quiet.until, default=None)

    def team(self, alarm: Alarm) -> str:
        """Whose the alarm's monitor is; '' where it is nobody's."""
        return self._teams.get(alarm.monitor, "")

    @cached_property
    def _silences(self) -> list[Silence]:
        return silences.active(self._store, now=self._now)

    def _pause(self, monitor: str) -> Quiet | None:
        """By our clock: a log that stands still would never end it."""
        if monitor not in self._paused:
            pause = self._store.status(monitor).get("maintenance") or {}
            until = pause.get("until") or 0.0
            self._paused[monitor] = Quiet(Why.PAUSED, until, str(pause["actor"])) if until > self._now else None
        return self._paused[monitor]
