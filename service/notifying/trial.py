"""A test of the ways that news take: a marked message through each, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from service.errors import ConfigurationError, NotFoundError
from service.notifying.rules import TEST
from service.ports import Store
from service.records import WHOLE, OutboxItem, Severity, stable_id
from service.settings import KubernetesJobDestination, LabelStudioDestination, Settings

PATIENCE = 30.0
"""Seconds until what has not arrived is reported as under way."""

NOT_COVERED = (
    "alerts by Prometheus rules: `promtool check rules` and Alertmanager's own test cover those",
    "destinations of annotation batches and refresh requests: a test would start work there",
)
_LOOK, _SELDOM = 0.1, 1.0
"""Seconds until the second look, and between later ones: each reads the newest page of the outbox, and further ones in a storm alone."""
_PAGE, _FAR = 100, 10_000
"""Items of a page, and how many newer ones a test is looked for behind."""


@dataclass(frozen=True, slots=True)
class Way:
    """A destination, and who is heard of there."""

    destination: str
    of: tuple[str, ...]
    """Monitors by `notify`, teams by their routes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a test."""

    destination: str
    of: tuple[str, ...]
    state: str
    """`delivered`, `failed`, or `waiting`."""
    says: str = ""


def ways(settings: Settings, *, monitor: str | None = None, team: str | None = None, destination: str | None = None) -> Sequence[Way]:
    """Those of a monitor, of a team's monitors, or to a destination; all of them where nothing is named."""
    if team is not None and team not in {each.name for each in settings.teams}:
        raise ConfigurationError(f"no team {team!r:.80}; declared: {', '.join(each.name for each in settings.teams) or 'none'}")
    if monitor is not None:
        settings.monitor(monitor)
    found: dict[str, list[str]] = {}
    for to, of in _leads(settings, monitor, team):
        found.setdefault(to, []).append(of)
    if destination is not None:
        declared = {each.name: each for each in settings.destinations}
        if destination not in declared:
            raise ConfigurationError(f"no destination {destination!r:.80}; declared: {', '.join(declared) or 'none'}")
        if isinstance(declared[destination], LabelStudioDestination | KubernetesJobDestination):
            raise ConfigurationError(f"destination {destination} takes no news: a test would start work there")
        found = {destination: found.get(destination, [])}
    return [Way(to, tuple(dict.fromkeys(of))) for to, of in found.items()]


def _leads(settings: Settings, monitor: str | None, team: str | None) -> Iterator[tuple[str, str]]:
    for each in settings.monitors:
        if monitor in {None, each.name} and team in {None, each.team}:
            yield from ((to, f"monitor {each.name}") for to in each.notify)
    owner = next((each.team for each in settings.monitors if each.name == monitor), None)
    for owning in settings.teams:
        if team in {None, owning.name} and (monitor is None or owning.name == owner):
            yield from ((to, f"team {owning.name}") for route in owning.routes for to in route.to)


def items(ways: Sequence[Way], *, actor: str, now: float) -> Sequence[OutboxItem]:
    """One for each, like nothing that was sent before."""
    return [
        OutboxItem(stable_id(TEST, way.destination, actor, now), TEST, way.destination, _payload(way, actor), created=now, due=now)
        for way in ways
    ]


def _payload(way: Way, actor: str) -> Mapping[str, Any]:
    leads = ", ".join(way.of) or "nobody yet"
    return {
        "test": True,
        "monitor": "driftgate",
        "segment": WHOLE,
        "severity": Severity.WARNING.value,
        "kind": f"a test that {actor} asked for",
        "text": f"This is a test that {actor} asked for: nothing has drifted. News of {leads} come here.",
        "by": actor,
    }


def awaited(store: Store, ways: Sequence[Way], items: Sequence[OutboxItem], *, seconds: float = PATIENCE) -> Sequence[Outcome]:
    """Returns once each was tried, or so many seconds later."""
    end, pause, states = time.monotonic() + seconds, _LOOK, {item.id: item for item in items}
    while True:
        states |= _stored(store, {item.id for item in states.values() if item.state == "pending"})
        if all(item.state != "pending" for item in states.values()) or time.monotonic() > end:
            return [_outcome(way, states[item.id]) for way, item in zip(ways, items, strict=True)]
        time.sleep(pause)
        pause = min(2 * pause, _SELDOM)


def _stored(store: Store, ids: set[str]) -> Mapping[str, OutboxItem]:
    """Items as the store has them now."""
    found: dict[str, OutboxItem] = {}
    after, left = None, _FAR
    with suppress(NotFoundError):  # where a page ends with an item that goes meanwhile, the next look finds the rest
        while ids - found.keys() and left > 0 and (page := store.outbox(after=after, limit=_PAGE)):
            found |= {item.id: item for item in page if item.id in ids}
            after, left = page[-1].id, left - len(page)
    return found


def _outcome(way: Way, item: OutboxItem) -> Outcome:
    if item.state == "delivered":
        return Outcome(way.destination, way.of, "delivered")
    if item.state == "pending":
        return Outcome(way.destination, way.of, "waiting", "not tried yet: is a controller running, and what does its log say?")
    return Outcome(way.destination, way.of, "failed", item.error)


def require(ways: Sequence[Way]) -> Sequence[Way]:
    """NotFoundError where there are none to try."""
    if not ways:
        raise NotFoundError("no news leads anywhere from there: set a monitor's `notify`, or a team's `routes`")
    return ways
