"""Silences, maintenance pauses and tests of alerts on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import Group, RenderableType
from rich.text import Text

from service.records import Silence
from service.screens.drawing import columns, count, excerpt, moment, span, word


class Outcome(Protocol):
    """What came of a test."""

    @property
    def destination(self) -> str: ...

    @property
    def of(self) -> Sequence[str]: ...

    @property
    def state(self) -> str: ...

    @property
    def says(self) -> str: ...


def silence_list(silences: Sequence[Silence], *, now: float) -> RenderableType:
    """Newest first, each with what it matches and how long it still holds."""
    table = columns("silence", "matches", "until", "by", "state")
    for each in silences:
        matches = ", ".join(f"{name} {excerpt(value)}" for name, value in each.matchers.items())
        note = f"\n  {excerpt(each.note, 200)}" if each.note else ""
        left = f" ({span(each.ends - now)} left)" if each.state == "active" and each.starts <= now < each.ends else ""
        table.add_row(each.id, f"{matches}{note}", f"{moment(each.ends)}{left}", excerpt(each.actor), word(each.state))
    return table if silences else Text("no silence holds")


def pause_list(pauses: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Monitors, and until when no alarm of theirs opens."""
    table = columns("monitor", "maintenance", "by", "alarms withheld", right=("alarms withheld",))
    for each in pauses:
        until = each.get("until")
        note = f"\n  {excerpt(each['note'], 200)}" if each.get("note") else ""
        recorded = "over" if "since" in each else "from its first reference on"
        says = f"until {moment(until)}{note}" if until else recorded
        table.add_row(each["monitor"], says, excerpt(each.get("actor", "")), count(each.get("withheld", 0)))
    return table if pauses else Text("no monitor is in a maintenance pause")


def outcome_list(outcomes: Sequence[Outcome], not_covered: Sequence[str]) -> RenderableType:
    """Destination by destination, and what a test can't show."""
    table = columns("destination", "hears of", "test")
    for each in outcomes:
        says = Text.assemble(word(each.state), f"\n  {excerpt(each.says, 300)}" if each.says else "")
        table.add_row(each.destination, ", ".join(each.of) or "nobody yet", says)
    return Group(table, *(Text(f"not covered: {each}", "dim") for each in not_covered))
