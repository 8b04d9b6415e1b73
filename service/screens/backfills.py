"""Backfills on a terminal: how far they are, and what they found beside what was found live."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from service.records import Alarm, Backfill
from service.screens import alarm_list
from service.screens.drawing import NONE, columns, count, excerpt, moment, percent, word


def backfill_list(backfills: Sequence[Backfill]) -> RenderableType:
    """One row each, in the order given."""
    if not backfills:
        return Text("no backfills; `driftgate backfill run` makes one")
    table = columns("backfill", "of", "state", "samples", "alarms", right=("samples", "alarms"))
    for backfill in backfills:
        of = Text(f"{backfill.monitor}, {excerpt(backfill.source, 60)}\n{_span(backfill)}")
        state = Text.assemble(word(backfill.state), "\n", _share(backfill))
        table.add_row(backfill.id, of, state, count(backfill.samples), count(backfill.raised))
    return table


def backfill_screen(backfill: Backfill, alarms: Sequence[Alarm], live: Sequence[Alarm], *, now: float) -> RenderableType:
    """One in full; `live` are the monitor's own alarms."""
    return Group(
        _rule(f"backfill {backfill.id}"),
        Text(f"{backfill.monitor}, {excerpt(backfill.source)}, {_span(backfill)}; reference {backfill.reference}"),
        Text.assemble(word(backfill.state), f": {_taken(backfill)}"),
        *([Text(_left_out(backfill), "yellow")] if backfill.left_out else []),
        *([Text(f"{count(backfill.lost)} records had left the topic before they were read", "yellow")] if backfill.lost else []),
        _rule("what it found"),
        alarm_list(alarms, now=now) if backfill.planned != 0 else Text("nothing was read, so nothing could be found" + _instead(backfill)),
        _rule("found live"),
        alarm_list(live, now=now),
    )


def _rule(title: str) -> Rule:
    return Rule(Text(title, "bold"), align="left", style="dim")


def _taken(backfill: Backfill) -> str:
    letters = ", ".join(f"{reason} {number:,}" for reason, number in backfill.dead_letters.items()) or "none"
    planned = f" of {count(backfill.planned)}" if backfill.planned is not None else ""
    return f"{count(backfill.read)}{planned} records read, {count(backfill.samples)} samples taken; dead letters: {letters}"


def _left_out(backfill: Backfill) -> str:
    return f"{count(backfill.left_out)} records of the span were left out: the live state holds them, or will"


def _instead(backfill: Backfill) -> str:
    return (
        "; what the live state holds of the span was looked for as it came: see below" if backfill.left_out else ": the span has no records"
    )


def _span(backfill: Backfill) -> str:
    if backfill.since is None or backfill.until is None:
        return "the whole of it"
    return f"{moment(backfill.since)} to {moment(backfill.until)}"


def _share(backfill: Backfill) -> str:
    return percent(backfill.read / backfill.planned) if backfill.planned else NONE
