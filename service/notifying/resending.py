"""What is told because time passes: reminders, what stands for those who let it expire, and the end of silences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Protocol, runtime_checkable

import structlog

from service.errors import ConflictError, DeliveryError, NotFoundError
from service.notifying import rules, silences
from service.notifying.facts import facts
from service.notifying.hushing import Hush
from service.notifying.pipeline import composed, notice_id
from service.notifying.routing import about, destinations
from service.ports import Destination, Store
from service.records import Alarm, AlarmState, Notice, NoticeState, OutboxItem, Severity, Silence, SilenceState, stable_id
from service.settings import PagerDutyDestination, Settings

_LOOK, _REMIND, _TIDY = 15.0, 60.0, 3_600.0
"""Seconds between two looks at silences that are over, at who is to be reminded, and at what may go."""
_UNDUE = 3_600.0
"""Seconds for which an alarm that nobody is to be reminded of is not asked for again: warnings and what was taken may stand for weeks."""
_KEPT = 30 * 86_400.0
"""Seconds for which ended silences, and what was told of resolved alarms, are kept."""
_RESOLVED = 300.0
"""Seconds for which a resolution is sent again."""
_MOST, _RECENT = 10_000, 1_000
_STANDS = (NoticeState.FIRING, NoticeState.ACKNOWLEDGED)

log = structlog.get_logger()


@runtime_checkable
class Standing(Protocol):
    """A destination that forgets what it is not told again."""

    resend_seconds: float

    def resend(self, items: Sequence[OutboxItem], *, now: float) -> None:
        """All that stands, and what was resolved a moment ago."""


class Resending:
    """Everything that is due follows from what is stored and from the clock, so that whoever leads next goes on."""

    def __init__(self, store: Store, settings: Callable[[], Settings], destinations: Mapping[str, Destination]) -> None:
        self._store = store
        self._settings = settings
        self._destinations = destinations
        self._looked, self._reminded, self._tidied = -math.inf, -math.inf, -math.inf
        self._sent: dict[str, float] = {}
        """When what stands was sent last, by destination."""
        self._noted: dict[str, frozenset[str]] = {}
        """Ids of notices that are known of what stands, by destination."""
        self._undue: dict[tuple[str, int], float] = {}
        """When an alarm was found to ask for no reminder, by the notice's id and version."""

    def step(self, now: float) -> int:
        """Returns how much was due."""
        done = self._stand(now)
        if now - self._looked < _LOOK:
            return done
        self._looked = now
        done += self._end_silences(now)
        if now - self._reminded >= _REMIND:
            self._reminded = now
            done += self._remind(now)
        if now - self._tidied >= _TIDY:
            self._tidied = now
            self._let_go(now)
        return done

    # --- reminders ------------------------------------------------------------------------------------------------------

    def _remind(self, now: float) -> int:
        """Its id follows from what was told, so that a reminder is one, whoever writes it. Some destinations remind by themselves."""
        settings = self._settings()
        if settings.notifications.repeat_hours is None:
            return 0
        after, hush = settings.notifications.repeat_hours * 3_600.0, Hush(self._store, settings, now=now)
        themselves = {each.name for each in settings.destinations if isinstance(each, PagerDutyDestination)} | self._standing_ones.keys()
        told = self._store.find(Notice, states=[NoticeState.FIRING], limit=_MOST)
        stale = {(each.id, each.version): each for each in told if now - each.at >= after and each.destination not in themselves}
        self._undue = {key: at for key, at in self._undue.items() if key in stale and now - at < _UNDUE}
        asked = [each for key, each in stale.items() if key not in self._undue]
        found = [item for each in asked for item in self._reminder(each, hush, after=after, now=now)]
        if found:
            self._store.save(outbox=found)
        return len(found)

    def _reminder(self, notice: Notice, hush: Hush, *, after: float, now: float) -> Iterator[OutboxItem]:
        alarm = self._alarm(notice)
        if alarm is None or not rules.due_again(notice, alarm, after=after, now=now):
            self._undue[notice.id, notice.version] = now
        elif hush.over(alarm) is None:
            known_by = stable_id(rules.REMINDER, notice.id, notice.told, notice.at)
            payload = facts(rules.REMINDER, alarm, team=hush.team(alarm))
            yield OutboxItem(known_by, rules.REMINDER, notice.destination, payload, created=now, due=now)

    # --- what stands ----------------------------------------------------------------------------------------------------

    @property
    def _standing_ones(self) -> Mapping[str, Standing]:
        return {name: each for name, each in self._destinations.items() if isinstance(each, Standing)}

    def _stand(self, now: float) -> int:
        """Sent whether or not it was taken before: a receiver that was down has all of it again once it is back."""
        due = {name: each for name, each in self._standing_ones.items() if now - self._sent.get(name, -math.inf) >= each.resend_seconds}
        standing = list(self._standing(now)) if due else []
        for name, destination in due.items():
            self._sent[name] = now
            firing = [item for shown, to in standing if name in to and (item := shown(name)) is not None]
            items = [*firing, *self._resolved(name, now)]
            try:
                if items:
                    destination.resend(items, now=now)
            except DeliveryError as error:
                log.warning("what stands was not sent", destination=name, alarms=len(items), reason=str(error))
            else:
                self._note(name, firing, now)
        return len(due)

    def _standing(self, now: float) -> Iterator[tuple[Callable[[str], OutboxItem | None], Sequence[str]]]:
        """Every open alarm as it stands at a destination, and where to."""
        settings = self._settings()
        monitors, hush = {monitor.name: monitor for monitor in settings.monitors}, Hush(self._store, settings, now=now)
        for alarm in self._store.find(Alarm, states=[AlarmState.OPEN, AlarmState.ACKNOWLEDGED], limit=_MOST):
            monitor = monitors.get(alarm.monitor)
            if monitor is not None and not alarm.quiet:
                shown = partial(self._shown, alarm, hushed=hush.over(alarm) is not None, now=now)
                yield shown, destinations(settings, monitor, about(alarm), alarm.severity)

    def _shown(self, alarm: Alarm, destination: str, *, hushed: bool, now: float) -> OutboxItem | None:
        """A silence hides news and never the alarm: what was told before stands on, as it was told, or it would be taken to be over."""
        if hushed:
            try:
                told = self._store.get(Notice, notice_id(alarm.id, destination))
            except NotFoundError:
                return None
            if told.state not in _STANDS:
                return None
            alarm = replace(alarm, severity=Severity(told.severity))
        return _item(alarm, rules.OPENED, self._settings(), now)

    def _resolved(self, name: str, now: float) -> Iterator[OutboxItem]:
        """Of those that it was told of."""
        for notice in self._store.find(Notice, states=[NoticeState.RESOLVED], limit=_RECENT):
            if notice.destination == name and now - notice.at < _RESOLVED and notice.reason == rules.Why.OVER:
                alarm = self._alarm(notice)
                if alarm is not None:
                    yield _item(alarm, rules.RESOLVED, self._settings(), now)

    def _note(self, destination: str, firing: Sequence[OutboxItem], now: float) -> None:
        """What arrived in this way has been told: the item that is still tried has nothing to add, and the end is not the first word."""
        standing = {notice_id(item.id, destination): item for item in firing}
        for known_by in standing.keys() - self._noted.get(destination, frozenset()):
            self._first(known_by, standing[known_by], destination, now)
        self._noted[destination] = frozenset(standing)

    def _first(self, known_by: str, item: OutboxItem, destination: str, now: float) -> None:
        try:
            self._store.get(Notice, known_by)
        except NotFoundError:
            why, state, alarm = rules.Why.FIRST.value, NoticeState.FIRING, item.payload
            notice = Notice(known_by, item.id, destination, alarm["monitor"], state, alarm["severity"], now, why, created=now)
            with suppress(ConflictError):  # what sends the news was faster, and noted it
                self._store.save(notice)

    def _alarm(self, notice: Notice) -> Alarm | None:
        try:
            return self._store.get(Alarm, notice.alarm)
        except NotFoundError:
            return None

    # --- what is over ---------------------------------------------------------------------------------------------------

    def _end_silences(self, now: float) -> int:
        over = [each for each in self._store.find(Silence, states=[SilenceState.ACTIVE], limit=_MOST) if now >= each.ends]
        for silence in over:
            try:
                self._store.save(silences.ended(silence, actor="driftgate", now=now))
            except ConflictError:  # a person was faster
                continue
        return len(over)

    def _let_go(self, now: float) -> None:
        ended = self._store.find(Silence, states=[SilenceState.ENDED], limit=_MOST)
        told = self._store.find(Notice, states=[NoticeState.RESOLVED, NoticeState.WITHHELD], limit=_MOST)
        self._store.drop(Silence, [each.id for each in ended if now - each.ends > _KEPT])
        self._store.drop(Notice, [each.id for each in told if now - each.at > _KEPT])


def _item(alarm: Alarm, kind: str, settings: Settings, now: float) -> OutboxItem:
    team = next((monitor.team or "" for monitor in settings.monitors if monitor.name == alarm.monitor), "")
    return composed(OutboxItem(alarm.id, kind, "", facts(kind, alarm, team=team), created=now), alarm, settings, why=None)
