"""Where refresh cycles stand, on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from service.records import Measured
from service.screens.drawing import columns, count, excerpt, interval, level_bar, moment, span, word


def refresh_screen(monitors: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Every monitor: what its cycle waits for and since when, what to do next, what is spent and left.

    Each mapping is as `GET /v1/monitors/{monitor}/refresh` gives it, with times in seconds.
    """
    if not monitors:
        return Text("no monitors are declared")
    return Group(*(_monitor(each) for each in monitors))


def _monitor(found: Mapping[str, Any]) -> RenderableType:
    title = Padding(Rule(Text(found["monitor"], "bold"), align="left", characters="─"), (1, 0, 0, 0))
    standing = _open(found["open"], found["now"]) if found["open"] else Text("no cycle is open")
    return Group(title, standing, *(Text(line) for line in _lines(found)), _budgets(found["budgets"]))


def _open(standing: Mapping[str, Any], now: float) -> Text:
    by = f", opened by {standing['trigger']}" if standing["trigger"] else ""
    text = Text.assemble(f"refresh {standing['cycle']}: ", word(standing["state"]), f"{by} {_ago(standing['created'], now)}\n")
    text.append(f"waits for {excerpt(standing['said'], 300)}, since {_ago(standing['since'], now)}\n")
    if standing["stuck"]:
        text.append(f"STUCK: it should have moved on {_ago(standing['limit'], now)}\n", "bold red")
    else:
        text.append(f"counts as stuck in {span(standing['limit'] - now)}\n", "dim")
    return text.append("next: ").append(standing["todo"], "bold")


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    last, golden = found["last"], found["golden_rows"]
    if last:
        yield f"last: refresh {last['cycle']} {last['state']} {_ago(last['since'], found['now'])}"
    if found["rests_until"]:
        start = f"`driftgate refresh start --monitor {found['monitor']}`"
        yield f"cool-down until {moment(found['rests_until'])}: alarms wait, {start} does not"
    if found["alarms"]:
        yield f"alarms that wait: {', '.join(found['alarms'])}"
    if fresh := found["freshness"]:
        yield f"the test set covers {interval(Measured(fresh['share'], fresh['low'], fresh['high']))} of the traffic"
    for due in found["due"]:
        yield f"due: {excerpt(due['why'], 200)}"
    if golden:
        yield f"golden rows: batch {golden['batch']} is {golden['state']}, {golden['answered']} of {golden['asked']} answered"


def _budgets(budgets: Sequence[Mapping[str, Any]]) -> Table:
    figures = ("spent", "limit", "labels left")
    table = columns("budget", *figures, "", right=figures)
    for each in budgets:
        bar = level_bar(each["spent"], each["limit"], 12)
        table.add_row(each["name"], f"{each['spent']:,g}", f"{each['limit']:,g}", count(each["labels_left"]), bar)
    return table


def _ago(then: float, now: float) -> str:
    return f"{span(max(now - then, 0.0))} ago"
