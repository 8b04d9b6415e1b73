"""What was done with a sample that is to be forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def forgotten_screen(document: Mapping[str, Any]) -> RenderableType:
    """Per monitor where it was; then what can't be reached from here."""
    table = Table("monitor", "was in", "asked to delete it", box=None, header_style="bold", pad_edge=False)
    for each in document["erasures"]:
        places = ", ".join(f"{where} ({count})" for where, count in each["erased"].items())
        table.add_row(Text(each["monitor"]), Text(places or "nothing that is kept"), Text(", ".join(each["asked"]) or "nobody"))
    outside = [Text(f"  {each}", style="dim") for each in document["outside"]]
    return Group(table, Text("\nIt is not taken again. Outside of driftgate's reach:"), *outside)
