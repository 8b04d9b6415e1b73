"""The samples that are near to something, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from service.screens.drawing import NONE, columns, count, excerpt, level_bar, percent


def similar_screen(document: Mapping[str, Any]) -> RenderableType:
    """`document` as `POST /v1/monitors/{monitor}/similar` gives it."""
    searched, kept, what = count(document["searched"]), count(document["kept"]), excerpt(document["near_to"], 100)
    title = Text(f"near to {what}: {searched} of {kept} kept samples searched", "bold")
    if not document["kept"]:
        of = f"under reference version {document['reference_version']}"
        return Group(title, Text(f"nothing is kept {of} yet: samples come with `driftgate serve`, or with `driftgate pool import`"))
    if not document["matches"]:
        return Group(title, Text("none: widen --segment, --since, --label, --predicted or --confidence"))
    right = ("similarity", "far", "sure", "×")
    table = columns("sample", "similarity", "far", "×", "from", "label", "answered", "sure", "text", right=right)
    for each in document["matches"]:
        similarity = f"{level_bar(each['similarity'], 1.0, 6)} {each['similarity']:.2f}"
        figures = (similarity, percent(each["percentile"]), count(each["count"]))
        said = (Text(excerpt(each[name] or NONE, 30)) for name in ("label", "predicted"))
        asked = " [asked about]" if each["asked"] else ""
        text = Text(excerpt(each["text"], 60) + asked)
        table.add_row(Text(excerpt(each["id"], 60)), *figures, each["place"], *said, percent(each["confidence"]), text)
    return Group(title, table, Text("far: percentile of the distance to the reference; ×: near-duplicates, itself included", "dim"))
