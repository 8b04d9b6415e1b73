"""A report as text: Markdown and HTML for people, JSON for programs, each from the same plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from service.report.parts import Report
from service.report.ranking import Line
from service.report.rendering import html_page, json_document, markdown_page

Format: TypeAlias = Literal["markdown", "html", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)

SUFFIXES: Mapping[Format, str] = MappingProxyType({"markdown": ".md", "html": ".html", "json": ".json"})

_REPORT: Mapping[Format, Callable[[Report], str]] = MappingProxyType(
    {"markdown": markdown_page.report_page, "html": html_page.report_page, "json": json_document.report_text}
)
_RANKING: Mapping[Format, Callable[[Sequence[Line], float], str]] = MappingProxyType(
    {"markdown": markdown_page.ranking_page, "html": html_page.ranking_page, "json": json_document.ranking_text}
)


def render(report: Report, form: Format) -> str:
    """One monitor's."""
    return _REPORT[form](report)


def render_ranking(lines: Sequence[Line], form: Format, *, now: float) -> str:
    """All monitors, what needs doing first on top; names link to the pages beside it."""
    return _RANKING[form](lines, now)
