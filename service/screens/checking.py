"""What `driftgate dataset check` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from service.screens.drawing import NONE, columns, count, excerpt, percent

_STYLES = {"fail": "bold red", "warn": "yellow", "pass": "green", "not checked": "dim"}


def check_table(document: Mapping[str, Any]) -> RenderableType:
    """`outcome`, `sets` {role: rows} and `checks` [{`title`, `about`, `outcome`, `value`, `warn`, `fail`, `unit`, `says`, `examples`,
    `todo`}]: a line for each that did not pass, below it what to do; those that did are counted."""
    checks: Sequence[Mapping[str, Any]] = document["checks"]
    table = columns("", "set", "check", "figure", "limit", "found", right=("figure", "limit"))
    for found in checks:
        if found["outcome"] != "pass":
            said = Text(excerpt(found["says"], 200))
            table.add_row(_word(found["outcome"]), found["about"], found["title"], _figure(found, "value"), _limit(found), said)
    return Group(*([table] if table.row_count else []), *_to_do(checks), _verdict(document))


def _word(outcome: str) -> Text:
    return Text(outcome, _STYLES[outcome])


def _figure(found: Mapping[str, Any], name: str) -> str:
    value = found[name]
    if value is None:
        return NONE
    return count(value) if found["unit"] == "count" else percent(value)


def _limit(found: Mapping[str, Any]) -> str:
    """The one that the figure is measured by: of a warning, until there is a failure."""
    return _figure(found, "fail" if found["outcome"] == "fail" else "warn")


def _to_do(checks: Sequence[Mapping[str, Any]]) -> list[Text]:
    lines = []
    for found in checks:
        if found["todo"]:
            shown = "; ".join(excerpt(example, 80) for example in found["examples"])
            lines.append(Text(f"\n{found['about']}, {found['title']}: {found['todo']}"))
            lines += [Text(f"    {shown}", "dim")] if shown else []
    return lines


def _verdict(document: Mapping[str, Any]) -> Text:
    outcomes = [found["outcome"] for found in document["checks"]]
    counts = ", ".join(f"{outcomes.count(name)} {name}" for name in ("fail", "warn", "pass", "not checked") if name in outcomes)
    sets = ", ".join(f"{name} {rows:,}" for name, rows in document["sets"].items())
    return Text(f"\n{document['outcome']}: {counts} ({sets} rows)", _STYLES[document["outcome"]])
