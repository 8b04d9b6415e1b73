"""How far partitions are read, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from service.screens.drawing import NONE, columns, count, excerpt, moment, word

Figures = Mapping[str, Any]


def offset_screen(places: Sequence[Figures]) -> RenderableType:
    """A table for each topic, under its name; of two topics of one name each under its id. `places` as `offsets show --json` gives them."""
    if not places:
        return Text("no partition was read yet")
    topics = [list(found) for _, found in groupby(places, lambda place: (place["topic"], place["topic_id"]))]
    names = [found[0]["topic"] for found in topics]
    return Group(*(part for found in topics for part in _topic(found, named=names.count(found[0]["topic"]) > 1)))


def trouble(place: Figures) -> Iterator[str]:
    """What a partition has lost, and why it stands still."""
    where = f"{place['topic']}/{place['partition']}"
    if place["lost"]:
        yield f"{where}: {count(place['lost'])} records left the topic before they were read"
    if place["stopped"] and not place["retired"]:
        yield f"{where} stands still: {excerpt(place['stopped'], 400)}"


def _topic(places: Sequence[Figures], *, named: bool) -> Iterator[RenderableType]:
    first = places[0]
    yield Text.assemble((first["topic"], "bold"), f", topic id {first['topic_id']}" if named else "", overflow="fold")
    figures = ("offset", "end", "lag", "lost")
    table = columns("partition", *figures, "log time", "state", right=("partition", *figures, "state"))
    for place in places:
        time = NONE if place["time"] is None else moment(place["time"])
        table.add_row(str(place["partition"]), *(count(place[name]) for name in figures), time, word(_state(place)))
    yield table
    for place in places:
        yield from (Text(line, "red") for line in trouble(place))
    yield Text()


def _state(place: Figures) -> str:
    """One word; the reason of one that stands still is told below."""
    if place["retired"]:
        return "retired"
    return place["absent"] or ("stopped" if place["stopped"] else "read")
