"""How state stands beside a program, and what an upgrade would do, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from service.screens.drawing import columns

Figures = Mapping[str, Any]


def survey_screen(survey: Figures) -> RenderableType:
    """`survey` as `migrate --check --json` gives it."""
    parts = columns("state", "level", "this program", "", right=("level", "this program"))
    for part in survey["parts"]:
        parts.add_row(part["part"], str(part["level"] or "none yet"), str(part["newest"]), _word(part))
    processes = columns("process", "role", "version", "level", right=("level",))
    for process in survey["processes"]:
        processes.add_row(process["name"], process["role"], process["version"], str(process["level"] or "not said"))
    says = Text(f"\n{survey['says']}")
    return Group(parts, Text(), processes, says) if survey["processes"] else Group(parts, says)


def _word(part: Figures) -> str:
    if part["pending"]:
        return "to be migrated"
    return "" if part["works"] or not part["level"] else "of another version"
