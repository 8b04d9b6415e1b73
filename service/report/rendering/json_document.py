"""A report as JSON: the shape that docs/report.md and the OpenAPI document describe. Times are RFC 3339, what is not known is null."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias, cast

import msgspec
import numpy as np

from service.moments import written
from service.records import Measured
from service.report.parts import Bars, Cell, Figure, Lines, Matrix, Picture, Plot, Report, Section, Table, Unit
from service.report.ranking import Line

FORMAT = 1
"""Of the document: raised when a field goes or changes its meaning, not when one is added."""

Document: TypeAlias = Mapping[str, Any]


def report_text(report: Report) -> str:
    """One monitor's."""
    return _text(document(report))


def ranking_text(lines: Sequence[Line], now: float) -> str:
    """All monitors, the most urgent first."""
    return _text({"format": FORMAT, "made": _moment(now), "monitors": [line_document(line) for line in lines]})


def document(report: Report) -> Document:
    """As `GET /v1/monitors/{monitor}/report` gives it."""
    return {
        "format": FORMAT,
        "monitor": report.monitor,
        "made": _moment(report.made),
        "reference_version": report.reference_version,
        "urgency": report.urgency,
        "versions": dict(report.versions),
        "sections": [_section(section) for section in report.sections],
    }


def line_document(line: Line) -> Document:
    """One monitor among all."""
    return {**asdict(line), "made": _moment(line.made)}


def _text(content: Document) -> str:
    return msgspec.json.format(msgspec.json.encode(content, enc_hook=_own_number), indent=2).decode() + "\n"


def _own_number(value: object) -> int | float:
    """numpy's numbers are as good as Python's to whoever made a section."""
    if isinstance(value, np.generic):
        return cast("int | float", value.item())
    raise TypeError(f"{type(value).__name__} in a report")


def _section(section: Section) -> Document:
    told = {name: getattr(section, name) for name in ("name", "title", "standing", "says", "todo", "urgency")}
    return {
        **told,
        "figures": [_figure(figure) for figure in section.figures],
        "tables": [_table(table) for table in section.tables],
        "plots": [_plot(plot) for plot in section.plots],
        "missing": [asdict(missing) for missing in section.missing],
    }


def _figure(figure: Figure) -> Document:
    return {"name": figure.name, "unit": figure.unit, "value": _cell(figure.value, figure.unit)}


def _table(table: Table) -> Document:
    rows = [[_cell(cell, column.unit) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows]
    return {"title": table.title, "columns": [asdict(column) for column in table.columns], "rows": rows, "left_out": table.left_out}


def _plot(plot: Plot) -> Document:
    match plot:
        case Bars():
            values = [{"name": name, "value": _cell(value, plot.unit)} for name, value in plot.values.items()]
            return {"kind": "bars", "title": plot.title, "unit": plot.unit, "values": values}
        case Lines():
            series = [{"name": name, "points": [list(map(_number, at)) for at in points]} for name, points in plot.series.items()]
            axes = {"across": plot.across, "up": plot.up, "diagonal": plot.diagonal}
            return {"kind": "lines", "title": plot.title, **axes, "series": series}
        case Matrix():
            return {"kind": "matrix", **asdict(plot)}


def _cell(cell: Cell, unit: Unit) -> Any:
    if isinstance(cell, Measured):
        return {name: _cell(value, unit) for name, value in asdict(cell).items()}
    if isinstance(cell, Picture):
        return cell.name
    if cell is None or isinstance(cell, str):
        return cell
    return _moment(cell) if unit is Unit.TIME else _number(cell)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _moment(seconds: float) -> str | None:
    if not math.isfinite(seconds):
        return None
    return written(seconds, "seconds")
