"""What a monitor keeps of its stream, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from service.screens.drawing import columns, count, excerpt, moment, percent

_SHOWN = 10
"""Pool sets that are named, the newest."""


def pool_screen(figures: Mapping[str, Any]) -> RenderableType:
    """The recent samples in a line, the reserve as a table of its parts, the pool sets. figures : as those of a pool, by name."""
    return Group(_kept(figures), Text(_sets(figures["sets"])))


def _sets(sets: Sequence[Mapping[str, Any]]) -> str:
    told = (f"{each['version']} of {count(each['rows'])} rows" for each in sets[-_SHOWN:])
    more = f" and {count(len(sets) - _SHOWN)} older ones" if len(sets) > _SHOWN else ""
    return f"pool sets: {', '.join(told)}{more}" if sets else "pool sets: none; `driftgate pool import` adds files"


def _kept(figures: Mapping[str, Any]) -> RenderableType:
    since = f"every sample since {moment(figures['recent_begins'])}" if figures["recent_begins"] else "every sample so far"
    recent = Text(f"recent: {count(figures['recent'])} samples, {since}, {count(figures['recent_room'])} at most")
    if not figures["reserve_room"]:
        return Group(recent, Text("reserve: none is kept (pool.reserve_rows: 0)"))
    rows, samples, room = (count(figures[name]) for name in ("rows", "samples", "reserve_room"))
    title = Text(
        f"reserve: {rows} rows that stand for {samples} samples, {room} at most; "
        f"half as likely to stay every {figures['half_life_days']:g} days"
    )
    if not figures["parts"]:
        return Group(recent, title, Text("it fills from the stream once there is a reference, and from labels that contradict the model"))
    numbers = ("rows", "room", "samples", "labelled", "novelty")
    table = columns("part", *numbers, "oldest", "newest", right=numbers)
    for part in figures["parts"]:
        room = "shared" if part["room"] is None else count(part["room"])
        figured = (count(part["rows"]), room, count(part["samples"]), count(part["labelled"]), percent(part["novelty"]))
        table.add_row(excerpt(part["part"], 60), *figured, moment(part["oldest"]), moment(part["newest"]))
    versions = ", ".join(f"{count(rows)} under reference {version}" for version, rows in figures["versions"].items())
    return Group(recent, title, table, Text(versions))
