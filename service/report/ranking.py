"""Monitors side by side: whose blind spots need somebody first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.report.parts import Report, Section, Standing

PAGES = "monitors"
"""Folder beside the table of all monitors, where each has its page."""

WORST_FIRST = (Standing.ACT, Standing.WATCH, Standing.UNKNOWN, Standing.FINE)


@dataclass(frozen=True, slots=True)
class Line:
    """One monitor in the table of all."""

    monitor: str
    made: float
    urgency: float
    standing: Standing
    """Of the most urgent section."""
    section: str
    """Its title."""
    todo: str
    """What it asks to be done first; what it says where nothing has to be done."""


def line_of(report: Report) -> Line:
    """By what needs doing first; '' where there is no section at all."""
    if not report.sections:
        return Line(report.monitor, report.made, 0.0, Standing.UNKNOWN, "", "")
    first = urgent(report.sections)[0]
    return Line(report.monitor, report.made, float(report.urgency), first.standing, first.title, first.todo or first.says)


def urgent(sections: Iterable[Section]) -> Sequence[Section]:
    """Most urgent first; of equally urgent ones the worse, then in the order of the report."""
    return sorted(sections, key=lambda section: (-section.urgency, WORST_FIRST.index(section.standing)))


def ranked(lines: Iterable[Line]) -> Sequence[Line]:
    """Most urgent first."""
    return sorted(lines, key=lambda line: (-line.urgency, WORST_FIRST.index(line.standing), line.monitor))
