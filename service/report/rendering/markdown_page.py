"""A report as Markdown: for terminals, tickets and pull requests. Plots become tables, other people's text stays text: no markup, no link,
nobody notified."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from service.report.parts import Bars, Cell, Lines, Matrix, Missing, Plot, Report, Section, Table, Unit
from service.report.ranking import PAGES, Line, urgent
from service.report.rendering.prose import left_out, nothing_asked, origin, pieces
from service.report.rendering.written import estimate, is_number, written
from service.screens.drawing import level_bar

_MARKUP = re.compile(r"([\\`*_\[\]<>|~&]|^[#+=-])")
"""What means something anywhere, or where a line begins."""

_LIVE = re.compile(r"[@#!](?=\w)|:(?=//)|\bwww(?=\.)|\bgh(?=-\d)", re.IGNORECASE)
"""What trackers turn into a mention, a reference or a link: where it can be broken."""
_JOINER = "\u2060"
"""Shows nothing and breaks no line."""
_NO_CODE = re.compile(r"[`|\\]")
"""What a code span in a table can't hold everywhere."""

_BAR, _POINTS = 20, 40


def report_page(report: Report) -> str:
    """One monitor's."""
    return _joined(_report(report))


def ranking_page(lines: Sequence[Line], now: float) -> str:
    """All monitors, the most urgent first."""
    heads = ("", "monitor", "urgency", "standing", "section", "do first")
    rows = [(str(at), f"[{plain(line.monitor)}]({PAGES}/{quote(line.monitor)}.md)", *_ranked(line)) for at, line in enumerate(lines, 1)]
    made = f"Made {written(now, Unit.TIME)}. Urgency is about the share of the traffic, or of the labels, that goes wrong unseen."
    return _joined(["# Blind spots of all monitors", made, _grid(heads, rows)])


def sheet_page(eyebrow: str, title: str, made: str, sections: Sequence[Section]) -> str:
    """Sections under a title, for what is no report."""
    blocks = [block for section in sections for block in _section(section, standing=False)]
    return _joined([f"# {plain(eyebrow)}: {plain(title)}", _prose(made), *blocks])


def plain(text: str) -> str:
    """A name, a title, a cell: nothing in it is markup any more."""
    return _cell(text, Unit.PLAIN)


def _unmarked(text: str) -> str:
    return _MARKUP.sub(r"\\\1", _LIVE.sub(rf"\g<0>{_JOINER}", text))


def _ranked(line: Line) -> tuple[str, ...]:
    return written(line.urgency, Unit.SHARE), line.standing, plain(line.section), _in_cell(line.todo)


def _joined(blocks: Iterable[str]) -> str:
    return "\n\n".join(block for block in blocks if block) + "\n"


def _prose(text: str) -> str:
    return "".join(f"`{piece}`" if code else _unmarked(piece) for piece, code in pieces(text))


def _report(report: Report) -> Iterator[str]:
    yield f"# Blind spots of {plain(report.monitor)}"
    yield _prose(origin(report))
    asked = [section for section in urgent(report.sections) if section.todo]
    yield "## What to do first"
    acts = "\n".join(f"{at}. **{plain(s.title)}** ({s.standing}): {_prose(s.todo)}" for at, s in enumerate(asked, 1))
    yield acts or _prose(nothing_asked(report))
    yield _grid(("section", "standing", "found"), [(plain(s.title), s.standing, _in_cell(s.says)) for s in report.sections])
    for section in report.sections:
        yield from _section(section)


def _in_cell(text: str) -> str:
    return _unmarked("".join(piece for piece, _ in pieces(text)))


def _section(section: Section, *, standing: bool = True) -> Iterator[str]:
    yield f"## {plain(section.title)}" + (f": {section.standing}" if standing else "")
    yield _prose(section.says)
    if section.todo:
        yield f"**Do first:** {_prose(section.todo)}"
    if section.figures:
        yield _grid(("figure", "value"), [(plain(f.name), _cell(f.value, f.unit)) for f in section.figures])
    for plot in section.plots:
        yield from _plot(plot)
    for table in section.tables:
        yield from _table(table)
    if section.missing:
        yield "**Not known:**"
        yield "\n".join(map(_missing, section.missing))


def _missing(missing: Missing) -> str:
    return f"- {_prose(missing.what)}: {_prose(missing.why)}. Remedy: {_prose(missing.remedy)}"


def _table(table: Table) -> Iterator[str]:
    yield f"**{plain(table.title)}**"
    rows = [[_cell(cell, column.unit) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows]
    yield _grid([plain(column.name) for column in table.columns], rows, right=_right(table))
    yield left_out(table.left_out)


def _right(table: Table) -> Sequence[int]:
    """Columns of numbers alone."""
    return [at for at in range(len(table.columns)) if table.rows and all(is_number(row[at]) for row in table.rows)]


def _cell(cell: Cell, unit: Unit) -> str:
    """What would come alive stands in a code span where it can: an id that is copied from there is whole."""
    text = written(cell, unit)
    return f"`{text}`" if _LIVE.search(text) and not _NO_CODE.search(text) else _unmarked(text)


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    rules = ["---:" if at in right else "---" for at in range(len(heads))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, rules, *rows))


# --- plots -----------------------------------------------------------------------------------------------------------


def _plot(plot: Plot) -> Iterator[str]:
    yield f"**{plain(plot.title)}**"
    match plot:
        case Bars():
            yield _bars(plot)
        case Lines():
            yield _lines(plot)
        case Matrix():
            yield _matrix(plot)


def _bars(plot: Bars) -> str:
    top = max([1.0] if plot.unit is Unit.SHARE else [abs(estimate(value)) for value in plot.values.values()], default=1.0)
    rows = [
        (plain(name), _cell(value, plot.unit), f"`{level_bar(abs(estimate(value)), top, _BAR)}`") for name, value in plot.values.items()
    ]
    return _grid(("", "value", ""), rows, right=(1,))


def _lines(plot: Lines) -> str:
    rows = [[plain(name), *(_cell(value, Unit.PLAIN) for value in at)] for name, points in plot.series.items() for at in points]
    shown = _grid(("", plain(plot.across), plain(plot.up)), rows[:_POINTS], right=(1, 2))
    return "\n\n".join(filter(None, (shown, left_out(max(len(rows) - _POINTS, 0)))))


def _matrix(plot: Matrix) -> str:
    heads = [f"{plain(plot.down)} ↓ {plain(plot.across)} →", *(plain(name) for name in plot.columns)]
    rows = [[plain(name), *(_cell(count, Unit.COUNT) for count in counts)] for name, counts in zip(plot.rows, plot.counts, strict=True)]
    return _grid(heads, rows, right=range(1, len(heads)))
