"""How two versions of a reference differ, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from service.screens.drawing import columns, count, cut, excerpt, percent, points

_LISTED = 12


def difference_screen(found: Mapping[str, Any]) -> RenderableType:
    """As `Difference.document` gives it."""
    before, after = found["before"], found["after"]
    rows = f"{count(found['rows'][0])} rows before, {count(found['rows'][1])} after, {count(found['shared'])} in both"
    parts: list[RenderableType] = [Text(f"reference {before} → {after}: {rows}", "bold")]
    facts = columns("", str(before), str(after))
    for name, (was, now) in found["facts"].items():
        facts.add_row(name.replace("_", " "), _told(was), _told(now))
    for length, (was, now) in found["thresholds"].items():
        facts.add_row(f"threshold for {count(int(length))} samples", f"{was:.2f}", f"{now:.2f}")
    parts += [facts] if facts.row_count else [Text("embedder and thresholds are the same")]
    parts += _shares("segment", found["segments"], before, after)
    if found["clusters"]:
        parts += _shares(f"cluster of {before}", found["clusters"], before, after)
    else:
        parts.append(Text("clusters: another embedder made the later version, so they can't be held against each other", "dim"))
    return Group(*parts)


def _shares(name: str, found: Sequence[Mapping[str, Any]], before: int, after: int) -> list[RenderableType]:
    if not found:
        return []
    table = columns(name, f"in {before}", f"in {after}", "move", right=(f"in {before}", f"in {after}", "move"))
    for each in found[:_LISTED]:
        share = (percent(each["before"]), percent(each["after"]), points(each["after"] - each["before"]))
        table.add_row(Text(excerpt(each["name"], 60)), *share)
    return [cut(table, _LISTED, len(found))]


def _told(value: object) -> Text:
    told = ", ".join(map(str, value)) if isinstance(value, list | tuple) else f"{value:.4g}" if isinstance(value, float) else str(value)
    return Text(excerpt(told, 60) or "–")
