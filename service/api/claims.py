"""What a monitor claims by its settings: samples to read, and people to tell. Whoever has a role over some monitors alone claims nothing
that belongs to others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException

from service.settings import MonitorSettings, Settings


@dataclass(frozen=True, slots=True)
class Apart:
    """The monitors that are declared, as somebody sees them who has a role over some."""

    own: Sequence[MonitorSettings]
    others: Sequence[MonitorSettings]


def require_own(wanted: MonitorSettings, settings: Settings, monitors: Apart) -> None:
    """403 where a monitor would newly read what others' read, or tell whom only others tell."""
    before = next((each for each in monitors.own if each.name == wanted.name), None)
    claimed = [*_reads(wanted, before, monitors.others), *_tells(wanted, settings, monitors)]
    if claimed:
        raise HTTPException(403, f"{', '.join(claimed)}: others have this, and only an admin over all may share it")


def _reads(wanted: MonitorSettings, before: MonitorSettings | None, others: Sequence[MonitorSettings]) -> Iterator[str]:
    topic, route = _topic(wanted), _route(wanted)
    if topic and topic != _topic(before) and topic in map(_topic, others):
        yield f"topic {topic}"
    if route and route != _route(before) and any(_meet(route, _route(each)) for each in others):
        yield "kserve"


def _tells(wanted: MonitorSettings, settings: Settings, monitors: Apart) -> Iterator[str]:
    routes = [(team.name, frozenset(route.to)) for team in settings.teams for route in team.routes]
    own = [*map(_told, monitors.own), *(to for team, to in routes if team == wanted.team)]
    others = [*map(_told, monitors.others), *(to for team, to in routes if team != wanted.team)]
    claimed = (_told(wanted) & frozenset().union(*others)) - frozenset().union(*own)
    return (f"destination {name}" for name in sorted(claimed))


def _topic(monitor: MonitorSettings | None) -> str | None:
    return monitor.topic.name if monitor and monitor.topic else None


def _route(monitor: MonitorSettings | None) -> tuple[str | None, ...]:
    """By what logged inferences are its own; nothing where it takes none."""
    if monitor is None or monitor.kserve is None:
        return ()
    kserve = monitor.kserve
    return kserve.namespace, kserve.service, kserve.endpoint, kserve.source


def _meet(one: tuple[str | None, ...], other: tuple[str | None, ...]) -> bool:
    """Whether an inference may be both's: what is left open matches everything."""
    return bool(other) and all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _told(monitor: MonitorSettings) -> frozenset[str]:
    """The destinations that hear of it."""
    annotators = monitor.annotation.destination
    return frozenset((*monitor.notify, *monitor.refresh.destinations, *((annotators,) if annotators else ())))
