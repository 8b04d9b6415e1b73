"""Monitors beside the installation's policy, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from service.records.policies import Compliance, Finding
from service.screens.drawing import NONE, columns, excerpt

_STYLES = {Finding.MET: "green", Finding.UNMET: "bold red", Finding.EXEMPT: "yellow"}


def compliance_screen(found: Sequence[Compliance]) -> RenderableType:
    """A line per check that is not met, those with most to do first, and how many are all right."""
    worst = sorted(found, key=lambda each: (-len(each.unmet), each.monitor))
    open_ones = [each for each in worst if any(checked.finding is not Finding.MET for checked in each.checks)]
    table = columns("monitor", "team", "check", "", "found", "wanted", "to do")
    for each in open_ones:
        for checked in (checked for checked in each.checks if checked.finding is not Finding.MET):
            finding = Text(checked.finding.value, _STYLES[checked.finding])
            names = excerpt(each.monitor), excerpt(each.team or NONE)
            table.add_row(*names, checked.name, finding, excerpt(checked.found), checked.wanted, excerpt(checked.remedy, 120))
    parts: list[RenderableType] = [table] if open_ones else []
    return Group(*parts, Text(_summary(found)))


def _summary(found: Sequence[Compliance]) -> str:
    if not any(each.checks for each in found):
        return "the policy asks for nothing: see `policy.require` in docs/configuration.md"
    passed = sum(not each.unmet for each in found)
    return f"{passed} of {len(found)} monitors pass every check of the policy"
