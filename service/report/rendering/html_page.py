"""A report as one HTML file that opens from disk: no network, no script, nobody else's markup."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TypeGuard
from urllib.parse import quote

from service.records import Measured
from service.report.parts import Cell, Figure, Missing, Picture, Plot, Report, Section, Standing, Table, Unit
from service.report.ranking import PAGES, Line, urgent
from service.report.rendering import svg
from service.report.rendering.prose import left_out, nothing_asked, origin, pieces
from service.report.rendering.written import interval, is_number, written
from service.screens.drawing import SCALES

_STYLE = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; base-uri 'none'; form-action 'none'"
"""What a page may load and run: nothing but its own style and pictures."""

_SIGNS: Mapping[Standing, tuple[str, str]] = MappingProxyType(
    {
        Standing.FINE: ("fine", "✓"),
        Standing.UNKNOWN: ("unknown", "?"),
        Standing.WATCH: ("watch", "◐"),
        Standing.ACT: ("act", "!"),
    }
)
_SECTION = re.compile(r'<section id="(?P<name>[a-z_]+)">.*?</section>', re.DOTALL)
_EYEBROW = '<p class="eyebrow">driftgate: blind-spot report</p>'
_URGENCY = "Urgency is about the share of the traffic, or of the labels, that goes wrong unseen."


def report_page(report: Report) -> str:
    """One monitor's."""
    links = "".join(f'<li><a href="#{s.name}">{_mark(s.standing)}{_safe(s.title)}</a></li>' for s in report.sections)
    contents = f'<nav aria-label="Sections"><ol><li><a href="#first">What to do first</a></li>{links}</ol></nav>'
    body = "".join([_header(report), _first(report), *map(section, report.sections), _footer()])
    return _page(f"Blind spots of {report.monitor}", f'<div class="page">{contents}<main>{body}</main></div>')


def ranking_page(lines: Sequence[Line], now: float) -> str:
    """All monitors, the most urgent first."""
    heads = (("", True), ("monitor", False), ("urgency", True), ("standing", False), ("section", False), ("do first", False))
    rows = "".join(_ranked(at, line) for at, line in enumerate(lines, 1))
    table = _scroll("All monitors", f"<table>{_heads(heads)}<tbody>{rows}</tbody></table>")
    title = f"{_EYEBROW}<h1>All monitors, what needs doing first on top</h1>"
    body = f'<header>{title}<p class="made">Made {written(now, Unit.TIME)}. {_URGENCY}</p></header>{table}'
    return _page("Blind spots of all monitors", f'<div class="page single"><main>{body}{_footer()}</main></div>')


def sheet_page(eyebrow: str, title: str, made: str, sections: Sequence[Section]) -> str:
    """Sections under a title, for what is no report."""
    head = f'<header><p class="eyebrow">driftgate: {_safe(eyebrow)}</p><h1>{_safe(title)}</h1><p class="made">{prose(made)}</p></header>'
    body = "".join(section(each, chip=False) for each in sections)
    return _page(f"{eyebrow}: {title}", f'<div class="page single"><main>{head}{body}</main></div>')


def _mark(standing: Standing) -> str:
    """In the contents: a sign before a title, its word for those who don't see it."""
    name, sign = _SIGNS[standing]
    return f'<span class="mark {name}" aria-label="{standing}" role="img">{sign}</span> '


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{_safe(title)}</title><style>{_STYLE}</style></head>\n<body>{body}</body></html>\n"
    )


def _safe(text: str) -> str:
    """A name, a title, a cell."""
    return escape(written(text, Unit.PLAIN))


def prose(text: str) -> str:
    """A sentence whose code, between backticks, is shown as code."""
    return "".join(f"<code>{escape(piece)}</code>" if code else escape(piece) for piece, code in pieces(text))


def _chip(standing: Standing) -> str:
    kind, sign = _SIGNS[standing]
    return f'<span class="chip {kind}"><span aria-hidden="true">{sign}</span> {standing}</span>'


# --- the top ---------------------------------------------------------------------------------------------------------


def _header(report: Report) -> str:
    return f'<header>{_EYEBROW}<h1>{_safe(report.monitor)}</h1><p class="made">{prose(origin(report))}</p></header>'


def _first(report: Report) -> str:
    """What to do, and all sections at a glance."""
    asked = [section for section in urgent(report.sections) if section.todo]
    acts = "".join(f'<li><a href="#{s.name}">{_safe(s.title)}</a> {_chip(s.standing)}<br>{prose(s.todo)}</li>' for s in asked)
    todo = f'<ol class="first">{acts}</ol>' if acts else f'<p class="says">{prose(nothing_asked(report))}</p>'
    rows = "".join(
        f'<tr><th scope="row"><a href="#{s.name}">{_safe(s.title)}</a></th><td>{_chip(s.standing)}</td><td>{prose(s.says)}</td></tr>'
        for s in report.sections
    )
    heads = _heads((name, False) for name in ("section", "standing", "found"))
    glance = f"<table><caption>All sections</caption>{heads}<tbody>{rows}</tbody></table>"
    return f'<section id="first"><h2>What to do first</h2>{todo}{_scroll("All sections", glance)}</section>'


def _ranked(at: int, line: Line) -> str:
    link = f'<a href="{PAGES}/{quote(line.monitor)}.html">{_safe(line.monitor)}</a>'
    return (
        f'<tr><td class="number">{at}</td><th scope="row">{link}</th><td class="number">{written(line.urgency, Unit.SHARE)}</td>'
        f"<td>{_chip(line.standing)}</td><td>{_safe(line.section)}</td><td>{prose(line.todo)}</td></tr>"
    )


def _footer() -> str:
    return f"<footer>{_URGENCY} Every report has the same sections; what can't be told is named in its place.</footer>"


# --- a section -------------------------------------------------------------------------------------------------------


def section(told: Section, *, chip: bool = True) -> str:
    """What stands in a page of any frame."""
    parts = [
        f"<h2>{_safe(told.title)} {_chip(told.standing) if chip else ''}</h2>",
        f'<p class="says">{prose(told.says)}</p>',
        f'<p class="todo"><strong>Do first:</strong> {prose(told.todo)}</p>' if told.todo else "",
        _figures(told.figures),
        *map(_plot, told.plots),
        *map(_table, told.tables),
        _missing(told.missing),
    ]
    return f'<section id="{told.name}">{"".join(parts)}</section>'


def sections_of(page: str) -> Mapping[str, str]:
    """The sections of a page that was written here, by name: foreign text in it has no markup, so none of it can look like one."""
    return {found["name"]: found[0] for found in _SECTION.finditer(page)}


def _figures(figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    return f'<dl class="figures">{"".join(map(_figure, figures))}</dl>'


def _figure(figure: Figure) -> str:
    value, beside = figure.value, ""
    if isinstance(value, Measured):
        shown = interval(value, figure.unit).strip(" ()")
        beside = (f"<small>{escape(shown)}</small>" if shown else "") + (svg.track(value) if figure.unit is Unit.SHARE else "")
        value = value.estimate
    return f"<div><dt>{_safe(figure.name)}</dt><dd>{escape(written(value, figure.unit))}{beside}</dd></div>"


def _plot(drawn: Plot) -> str:
    title = _safe(drawn.title)
    return f"<figure><figcaption>{title}</figcaption>{_scroll(title, svg.plot(drawn))}</figure>"


def _table(table: Table) -> str:
    title = _safe(table.title)
    right = [bool(table.rows) and all(is_number(row[at]) for row in table.rows) for at in range(len(table.columns))]
    heads = _heads(zip((column.name for column in table.columns), right, strict=True))
    top = _top(table)
    rows = "".join(f"<tr>{''.join(_cells(row, table, right, top))}</tr>" for row in table.rows)
    more = f'<p class="more">{left_out(table.left_out)}</p>' if table.left_out else ""
    return _scroll(title, f"<table><caption>{title}</caption>{heads}<tbody>{rows}</tbody></table>") + more


def _heads(names: Iterable[tuple[str, bool]]) -> str:
    """(name, whether its column is of numbers)."""
    cells = "".join(f'<th scope="col"{_number(right)}>{_safe(name)}</th>' for name, right in names)
    return f"<thead><tr>{cells}</tr></thead>"


def _top(table: Table) -> float:
    """The scale of a table's shares, one for all of its columns."""
    units = [column.unit for column in table.columns]
    highs = [cell.high for row in table.rows for cell, unit in zip(row, units, strict=True) if _has_track(cell, unit)]
    return next((scale for scale in SCALES if max(highs, default=1.0) <= scale), 1.0)


def _cells(row: Sequence[Cell], table: Table, right: Sequence[bool], top: float) -> Iterator[str]:
    for cell, column, number in zip(row, table.columns, right, strict=True):
        yield f"<td{_number(number)}>{_cell(cell, column.unit, top)}</td>"


def _number(right: bool) -> str:
    return ' class="number"' if right else ""


def _has_track(cell: Cell, unit: Unit) -> TypeGuard[Measured]:
    return isinstance(cell, Measured) and unit is Unit.SHARE


def _cell(cell: Cell, unit: Unit, top: float) -> str:
    if isinstance(cell, Picture):
        png = base64.b64encode(cell.png).decode()
        return f'<img class="sample" alt="{_safe(cell.name)}" src="data:image/png;base64,{png}">'
    if not isinstance(cell, Measured):
        return escape(written(cell, unit))
    drawn = svg.track(cell, top) if _has_track(cell, unit) else ""
    number = escape(written(cell.estimate, unit)).replace(" ", "&nbsp;")
    return f'{number} <span class="interval">{escape(interval(cell, unit).strip())}</span>{drawn}'


def _missing(missing: Sequence[Missing]) -> str:
    if not missing:
        return ""
    lines = "".join(f"<li><strong>{prose(m.what)}</strong>: {prose(m.why)}. {prose(m.remedy)}</li>" for m in missing)
    return f'<aside class="missing"><h3>Not known</h3><ul>{lines}</ul></aside>'


def _scroll(name: str, content: str) -> str:
    """Wide content scrolls by itself, by keyboard too."""
    return f'<div class="scroll" role="region" aria-label="{name}" tabindex="0">{content}</div>'
