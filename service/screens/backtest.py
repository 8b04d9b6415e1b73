"""A backtest as people look at it: evidence over time with the alarms, then what each configuration is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from service.screens.drawing import NONE, columns, count, cut, excerpt, level_bar, moment, percent, span

Figures = Mapping[str, Any]

_BELOW, _BEYOND = 8, 3
"""Cells up to the threshold and beyond it."""

LETTERS = "AB"
"""Of the configurations."""

_COLOURS = {"true": "green", "false": "red", "seasonal": "yellow"}


def backtest_screen(found: Figures) -> RenderableType:
    """The document of `driftgate backtest --json`, drawn."""
    configurations = found["configurations"]
    parts: list[RenderableType] = [_heading(found)]
    if found["timeline"]["periods"]:
        parts += [timeline(found), _legend()]
    parts += [Text(), figure_table(configurations), Text(), alarm_table(configurations)]
    if any(configuration["episodes"] for configuration in configurations):
        parts += [Text(), episode_table(configurations)]
    return Group(*parts, *(Text(note, "yellow") for note in found["notes"]))


def _heading(found: Figures) -> Text:
    first = found["first"]
    what = f"{found['monitor']}: {count(found['samples'])} samples of {found['source']}"
    if first is None:
        return Text.assemble((what, "bold"), "\nno pane to replay")
    begins = f"\nreplayed from pane {count(first['sequence'])}, {moment(first['time'])}, on reference version {first['reference_version']}"
    return Text.assemble((what, "bold"), f", {moment(found['since'])} to {moment(found['until'])}", begins)


# --- evidence over time ---------------------------------------------------------------------------------------------


def timeline(found: Figures) -> Table:
    """A line per period: samples, each configuration's largest evidence on its way to the threshold, and alarms as they opened."""
    names = [configuration["name"] for configuration in found["configurations"]]
    bars = [f"evidence, {letter}" for letter, _ in zip(LETTERS, names, strict=False)]
    table = columns("from", "samples", *bars, "", "marked", right=("from", "samples", *bars))
    for period in found["timeline"]["periods"]:
        marked = Text(f"░ {excerpt(', '.join(period['episodes']), 12)}" if period["episodes"] else "", "magenta")
        drawn = [evidence_bar(period["evidence"][name]) if period["samples"] else Text(NONE, "dim") for name in names]
        start = _from(period["start"], found["timeline"]["seconds"])
        table.add_row(start, count(period["samples"]), *drawn, _opened(period["opened"]), marked)
    return table


def evidence_bar(closeness: float) -> Text:
    """Evidence ÷ threshold as a bar whose `│` is the threshold; beyond it each cell stands for a factor of ten."""
    beyond = min(math.ceil(math.log10(closeness)), _BEYOND) if closeness > 1 else 0
    figure = f"{closeness:.2f}" if closeness < 10 else f"{closeness:.0f}"
    return Text.assemble(level_bar(closeness, 1.0, _BELOW), "│", ("█" * beyond).ljust(_BEYOND), figure.rjust(5))


def _opened(opened: Figures) -> Text:
    """`○` for each recorded alarm, then each configuration's letter for each of its own."""
    marks = (letter * min(number, 9) for letter, number in zip(f"○{LETTERS}", opened.values(), strict=False))
    return Text(" ".join(mark for mark in marks if mark), "bold")


def _legend() -> Text:
    return Text("│ the threshold   ○ alarm that was raised   A, B alarms under each configuration   ░ known drift", "dim")


def _from(start: float, seconds: float) -> str:
    form = "%Y-%m-%d" if seconds % 86_400 == 0 else "%m-%d %H:%M"
    return datetime.fromtimestamp(start, UTC).strftime(form)


# --- figures --------------------------------------------------------------------------------------------------------


def figure_table(configurations: Sequence[Figures]) -> Table:
    """What each configuration is worth, side by side."""
    table = columns("", *(f"{letter}: {excerpt(c['name'], 30)}" for letter, c in zip(LETTERS, configurations, strict=False)))
    for name, draw in _ROWS:
        table.add_row(name, *(draw(configuration) for configuration in configurations))
    for number, delay in enumerate(configurations[0]["expected_delay"]):
        table.add_row(f"delay at {100 * delay['share']:g} % new", *(_expected(c, number) for c in configurations))
    return table


def _alarms(c: Figures) -> str:
    said = ", ".join(f"{number} {judgement}" for judgement, number in c["counts"].items() if number)
    return f"{len(c['alarms'])}" + (f" ({said})" if said else "")


def _budget(c: Figures) -> str:
    false = c["false_alarms"]
    if false["used"] is None:
        return NONE
    interval = f"{percent(false['used_low'])} to {percent(false['used_high'])}"
    return f"{false['count']} of {false['accepted']:.2f} accepted\n{percent(false['used'])} of it used\n({interval})"


def _delay(c: Figures) -> str:
    if not c["episodes"]:
        return NONE
    mean = f"{span(c['mean_delay_seconds'])}, {count(c['mean_delay_samples'])} samples"
    return f"{mean}; {c['missed']} of {len(c['episodes'])} missed"


def _expected(c: Figures, number: int) -> str:
    if len(c["expected_delay"]) <= number:
        return NONE
    delay = c["expected_delay"][number]
    return "never" if delay["samples"] is None else f"{span(delay['seconds'])}, {count(delay['samples'])} samples"


_ROWS = (
    ("run length", lambda c: count(c["run_length"])),
    ("tolerance", lambda c: percent(c["tolerance"])),
    ("alarms", _alarms),
    ("false alarms", _budget),
    ("mean delay", _delay),
)


def alarm_table(configurations: Sequence[Figures], *, limit: int = 20) -> RenderableType:
    """Every alarm of both, in order of time."""
    rows = [(alarm, letter) for letter, c in zip(LETTERS, configurations, strict=False) for alarm in c["alarms"]]
    if not rows:
        return Text("no alarms")
    table = columns("", "alarm", "stream", "opened", "effect", "", right=("effect",))
    for alarm, letter in sorted(rows, key=lambda row: (row[0]["opened"], row[1]))[:limit]:
        effect = percent(alarm["effect"]["estimate"])
        judged = Text(alarm["judged"], _COLOURS.get(alarm["judged"], ""))
        table.add_row(letter, alarm["id"], Text(excerpt(alarm["segment"], 40)), moment(alarm["opened"]), effect, judged)
    return cut(table, limit, len(rows))


def episode_table(configurations: Sequence[Figures], *, limit: int = 20) -> Table:
    """How soon each marked episode was seen."""
    table = columns("episode", "from", *(letter for letter, _ in zip(LETTERS, configurations, strict=False)))
    episodes = configurations[0]["episodes"]
    for number, episode in enumerate(episodes[:limit]):
        seen = (
            "missed" if e["alarm"] is None else f"{span(e['seconds'])}, {count(e['samples'])} samples" for e in _nth(configurations, number)
        )
        table.add_row(Text(excerpt(episode["name"], 40) or NONE), moment(episode["start"]), *seen)
    return cut(table, limit, len(episodes))


def _nth(configurations: Sequence[Figures], number: int) -> Sequence[Figures]:
    return [configuration["episodes"][number] for configuration in configurations]
