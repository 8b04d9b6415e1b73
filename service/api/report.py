"""Blind-spot reports: the newest of a monitor, all of them ranked, and one made now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field

from service.api.context import Served
from service.api.schemas import MissingView, Problem, Time, View
from service.report.parts import Standing, Unit
from service.report.rendering import Format
from service.report.rendering.html_page import POLICY

router = APIRouter(tags=["reports"])

_MEDIA: Mapping[Format, str] = {"markdown": "text/markdown", "html": "text/html", "json": "application/json"}
_HEADERS = {"Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff"}


class _Strict(View):
    """Nothing beside these fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EstimateView(_Strict):
    """With its interval."""

    estimate: float | None
    low: float | None
    high: float | None


Value: TypeAlias = EstimateView | float | int | str | None


class FigureView(_Strict):
    """A number that the section stands for."""

    name: str
    unit: Unit
    value: Value


class ColumnView(_Strict):
    """Of a table."""

    name: str
    unit: Unit


class TableView(_Strict):
    """Rows worst (or first) first."""

    title: str
    columns: tuple[ColumnView, ...]
    rows: tuple[tuple[Value, ...], ...]
    left_out: int = Field(description="How many more rows there are.")


class BarView(_Strict):
    """One of a plot."""

    name: str
    value: Value


class BarsView(_Strict):
    """A bar per name."""

    kind: Literal["bars"]
    title: str
    unit: Unit
    values: tuple[BarView, ...]


class SeriesView(_Strict):
    """Points (across, up), joined in order."""

    name: str
    points: tuple[tuple[float | None, float | None], ...]


class LinesView(_Strict):
    """Lines over two axes."""

    kind: Literal["lines"]
    title: str
    across: str
    up: str
    diagonal: bool = Field(description="Whether it is read against the line where both are equal.")
    series: tuple[SeriesView, ...]


class MatrixView(_Strict):
    """Counts, rows by columns."""

    kind: Literal["matrix"]
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    down: str
    across: str


class SectionView(_Strict):
    """One blind spot."""

    name: str = Field(examples=["coverage"])
    title: str
    standing: Standing
    says: str
    todo: str = Field(description="What to do first; empty where nothing has to be done.")
    urgency: float = Field(ge=0, le=1, description="About the share of the traffic, or of the labels, that goes wrong unseen.")
    figures: tuple[FigureView, ...]
    tables: tuple[TableView, ...]
    plots: tuple[Annotated[BarsView | LinesView | MatrixView, Field(discriminator="kind")], ...]
    missing: tuple[MissingView, ...]


class ReportView(_Strict):
    """All sections of one monitor, the same for each."""

    format: int = Field(description="Raised when a field goes or changes its meaning.")
    monitor: str
    made: Time
    reference_version: int | None
    urgency: float = Field(ge=0, le=1, description="Of the most urgent section.")
    versions: Mapping[str, str] = Field(description="What it was made from.", examples=[{"train": "version 3, 100,000 rows"}])
    sections: tuple[SectionView, ...]


class LineView(_Strict):
    """One monitor among all."""

    monitor: str
    made: Time
    urgency: float
    standing: Standing
    section: str = Field(description="The most urgent one's title.")
    todo: str


class UnderWayView(_Strict):
    """The report that this process is making."""

    monitor: str
    since: Time
    step: str
    done: float = Field(description="Share of the step.")


class ReportsView(_Strict):
    """What needs doing first, over all monitors."""

    reports: tuple[LineView, ...] = Field(description="Most urgent first.")
    without: tuple[str, ...] = Field(description="Monitors of which no report has been made.")
    under_way: UnderWayView | None
    failures: Mapping[str, str] = Field(description="Why this process could not make a monitor's last one.")


_PAGES: dict[int | str, dict[str, Any]] = {
    200: {"model": ReportView, "content": {media: {} for media in _MEDIA.values() if media != "application/json"}},
    404: {"model": Problem},
}


@router.get("/v1/monitors/{monitor}/report", response_class=Response, responses=_PAGES)
def get_report(
    monitor: str,
    service: Served,
    form: Annotated[Format, Query(alias="format", description="As a page, as Markdown or as JSON.")] = "json",
) -> Response:
    """The newest report that was made of the monitor."""
    text = service.reporting.kept.newest(service.known(monitor), form)
    return Response(text, media_type=f"{_MEDIA[form]}; charset=utf-8" if form != "json" else _MEDIA[form], headers=_HEADERS)


@router.post("/v1/monitors/{monitor}/report", status_code=202, responses={status: {"model": Problem} for status in (404, 409)})
def make_report(monitor: str, service: Served) -> UnderWayView:
    """Begins a report, which takes from a second to minutes; `GET /v1/reports` tells how far it is. 409 while one is being made."""
    return UnderWayView.model_validate(service.reporting.begin(service.known(monitor), now=service.clock()))


@router.get("/v1/reports")
def list_reports(service: Served) -> ReportsView:
    """The newest report of every monitor, by what needs doing first."""
    names, reporting = tuple(service.declaring.declared), service.reporting
    lines = reporting.kept.ranking(names)
    found = {line.monitor for line in lines}
    without = tuple(name for name in names if name not in found)
    busy = reporting.under_way
    under_way = busy if busy is not None and busy.monitor in names else None
    told = {
        "reports": lines,
        "without": without,
        "under_way": under_way,
        "failures": {n: reporting.failures[n] for n in names if n in reporting.failures},
    }
    return ReportsView.model_validate(told, from_attributes=True)
