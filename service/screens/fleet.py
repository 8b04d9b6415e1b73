"""All streams on a terminal, those with most evidence first."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from service.records.fleet import Fleet, FleetStream
from service.screens.drawing import NONE, columns, count, cut, excerpt, percent

_STREAMS = 40
_DEPENDENT = "*"


def fleet_screen(fleet: Fleet) -> RenderableType:
    """What stands together and what that means; streams outside the budget apart."""
    if not fleet.streams and not fleet.outside:
        return Text("no stream has decided anything yet")
    parts: list[RenderableType] = [_table(fleet.streams), Text(_meaning(fleet))] if fleet.streams else []
    if fleet.outside:
        title = Text("outside the budget: advisory and shadow streams, compared with none", "bold")
        parts += [Rule(title, align="left", style="dim"), _table(fleet.outside)]
    if any(stream.dependent for stream in (*fleet.streams, *fleet.outside)):
        parts.append(Text(f"{_DEPENDENT} neighbours depend on each other there: evidence comes by blocks, and holds about, not exactly"))
    return Group(*parts)


def _meaning(fleet: Fleet) -> str:
    """The promise in words."""
    standing, days = sum(stream.stands for stream in fleet.streams), f"{fleet.patience_days:g} days"
    return (
        f"{standing} of {len(fleet.streams):,} streams stand together. However they depend on each other and whenever you look, the share "
        f"of those that lie within their tolerance is expected to be at most {percent(fleet.error)} for each {days} watched (error over "
        f"patience). Evidence is the log10 of an e-value per {days} of the stream's traffic; below 0 there is none."
    )


def _table(streams: Sequence[FleetStream]) -> RenderableType:
    table = columns("stream", "evidence", "stands", "effect", "samples", "alarm", right=("evidence", "effect", "samples"))
    for stream in streams[:_STREAMS]:
        name = Text(f"{excerpt(stream.monitor)}\n{excerpt(stream.segment, 40)}")
        known = NONE if stream.log10_e is None else f"{stream.log10_e:.1f}{_DEPENDENT if stream.dependent else ''}"
        stands = Text("together", "bold red") if stream.stands else Text(NONE)
        table.add_row(name, known, stands, percent(stream.effect.estimate), count(stream.samples), stream.alarm or NONE)
    return cut(table, _STREAMS, len(streams))
