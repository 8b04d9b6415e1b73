"""Who hears of what: a monitor's own `notify`, and the routes of its team."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias

from service.notifying.facts import budget_used, facts
from service.ports import Store
from service.records import Alarm, Family, OutboxItem, Severity, stable_id
from service.settings import MonitorSettings, RouteSettings, Settings

News: TypeAlias = Literal["alarms", "feed", "refresh"]


def destinations(settings: Settings, monitor: MonitorSettings, news: News, severity: str = Severity.CRITICAL) -> tuple[str, ...]:
    """In order, each once. `notify` hears of everything; what has no severity takes every route of its news."""
    team = settings.team_of(monitor)
    routes = [route for route in (team.routes if team else ()) if _takes(route, news, severity)]
    return tuple(dict.fromkeys([*monitor.notify, *(to for route in routes for to in route.to)]))


def about(alarm: Alarm) -> News:
    """Which news its steps are."""
    return "feed" if alarm.family is Family.FEED else "alarms"


def _takes(route: RouteSettings, news: News, severity: str) -> bool:
    return (not route.news or news in route.news) and (route.severity == "warning" or severity == Severity.CRITICAL)


class Refreshing(Protocol):
    """What opens refresh cycles for alarms."""

    def follow(self, alarm: Alarm, *, samples: int, now: float) -> None: ...


class Consequences:
    """What follows from a monitor's decisions: refresh cycles open, and people are told."""

    def __init__(self, store: Store, settings: Callable[[], Settings], refreshing: Refreshing | None = None) -> None:
        self._store = store
        self._settings = settings
        self._refreshing = refreshing

    def follow(self, alarm: Alarm, *, samples: int, now: float) -> None:
        """Opens a cycle where one is due."""
        if self._refreshing is not None:
            self._refreshing.follow(alarm, samples=samples, now=now)

    def told(self, news: Sequence[tuple[str, Alarm]], monitor: MonitorSettings, *, now: float) -> tuple[OutboxItem, ...]:
        """An item for each step and destination, by the routes as they are now."""
        if not news:
            return ()
        settings = self._settings()
        used = budget_used(self._store, settings.budget, (alarm for _, alarm in news), now=now)
        payloads = [(kind, alarm, facts(kind, alarm, team=monitor.team or "", budget=used)) for kind, alarm in news]
        return tuple(
            OutboxItem(stable_id(kind, alarm.id, to), kind, to, payload, created=now, due=now)
            for kind, alarm, payload in payloads
            for to in destinations(settings, monitor, about(alarm), alarm.severity)
        )
