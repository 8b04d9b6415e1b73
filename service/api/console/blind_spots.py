"""Blind spots: the newest report of each monitor in the console's frame, and the failures behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup

from service.api.console.frame import NOTICES, ROWS, After, Filled, actor, back, page, pages, path
from service.api.console.showing import Card, card_of, effective
from service.api.context import Served, Service
from service.errors import NotFoundError
from service.failures.causes import Evidence, likely
from service.failures.known import Failure
from service.failures.listing import Told
from service.failures.marks import Word
from service.report.rendering import html_page

router = pages()
NOTICES.update(
    report_begun="A report is being made; it stands here when it is done.",
    failure_marked="Marked: it is among the model's known failures.",
    failure_unmarked="The mark is taken back; what labels say of the sample stays.",
)

TITLES: Mapping[str, str] = MappingProxyType({"annotation_errors": "Annotation errors", "data_quality": "Data quality"})
_GALLERY = 8
"""Samples of a cluster beside its figures."""
_CLUSTERS = 10

Short = Annotated[str, Query(max_length=1_000)]


@dataclass(frozen=True, slots=True)
class Kind:
    """A failure cluster as a page shows it."""

    told: Told
    cause: Evidence | None
    gallery: tuple[tuple[Failure, Card, tuple[str, ...]], ...]


@router.get("/blind-spots")
def ranking(request: Request, service: Served, after: After = None) -> HTMLResponse:
    """All monitors, those first that need somebody first; then those without a report."""
    names, under_way = tuple(service.declaring.declared), service.reporting.under_way
    lines = service.reporting.kept.ranking(names)
    told = {line.monitor for line in lines}
    rows: list[Any] = [*lines, *(name for name in names if name not in told)]
    start = _offset(after)
    return page(
        request,
        "blind_spots.html",
        rows=rows[start : start + ROWS],
        without=len(names) - len(lines),
        next=str(start + ROWS) if start + ROWS < len(rows) else None,
        under_way=under_way if under_way is not None and under_way.monitor in names else None,
        now=service.clock(),
    )


@router.get("/monitors/{monitor}/blind-spots")
def show_report(monitor: str, request: Request, service: Served, section: Short = "") -> HTMLResponse:
    """The newest report: what to do first, and one of its sections."""
    service.known(monitor)
    under_way, sections = service.reporting.under_way, _sections(service, monitor)
    return page(
        request,
        "report.html",
        monitor=monitor,
        first=sections.pop("first", ""),
        names=[(name, TITLES.get(name, name.replace("_", " "))) for name in sections],
        chosen=section if section in sections else "",
        section=sections.get(section, ""),
        line=service.reporting.kept.line(monitor),
        under_way=under_way if under_way is not None and under_way.monitor == monitor else None,
        busy=under_way is not None,
        failure=service.reporting.failures.get(monitor, ""),
        now=service.clock(),
    )


@router.post("/monitors/{monitor}/blind-spots")
def make_report(monitor: str, service: Served) -> RedirectResponse:
    """Begins a new one."""
    service.reporting.begin(service.known(monitor), now=service.clock())
    return back(path("monitors", monitor, "blind-spots"), "report_begun")


@router.get("/monitors/{monitor}/failures")
def list_failures(monitor: str, request: Request, service: Served, cluster: Short = "", after: After = None) -> HTMLResponse:
    """The failure clusters, or one of them with all of its samples."""
    settings = effective(service, service.known(monitor))
    with service.alone():
        listing = service.failures.listing(monitor)
    chosen = [told for told in listing.clusters if told.cluster.id == cluster] if cluster else listing.clusters
    if cluster and not chosen:
        raise NotFoundError(f"monitor {monitor}: no failure cluster {cluster!r:.80} by now")
    start = _offset(after)
    step = ROWS if cluster else _CLUSTERS
    shown = chosen if cluster else chosen[start : start + step]
    total = len(chosen[0].cluster.failures) if cluster else len(chosen)

    def kind(told: Told) -> Kind:
        at = slice(start, start + step) if cluster else slice(0, _GALLERY)
        failures, suspects = told.cluster.failures[at], told.suspects[at]
        cards = [card_of(each.row, settings, truth=each.label) for each in failures]
        return Kind(told, likely(told.evidence), tuple(zip(failures, cards, suspects, strict=True)))

    return page(
        request,
        "failures.html",
        monitor=monitor,
        listing=listing,
        kinds=[kind(told) for told in shown],
        one=bool(cluster),
        labels=settings.labels,
        next=str(start + step) if start + step < total else None,
    )


@router.post("/monitors/{monitor}/failures")
def mark(monitor: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """A person's word that the model is wrong about a sample, or that it is not."""
    word = Word(actor(request), form.text("note"), service.clock())
    sample, known = form.text("sample", most=1_000, needed=True), service.known(monitor)
    if form.text("act") == "unmark":
        service.failures.unmark(known, sample, word)
        return back(path("monitors", monitor, "failures"), "failure_unmarked")
    service.failures.mark(known, sample, form.text("label", most=200) or None, word)
    return back(path("monitors", monitor, "failures"), "failure_marked")


def _sections(service: Service, monitor: str) -> dict[str, Markup]:
    """Of the newest report, as it was written; none before there is one. What leads to a section leads to its page."""
    try:
        text = service.reporting.kept.newest(monitor, "html")
    except NotFoundError:
        return {}
    found = html_page.sections_of(text)
    return {name: Markup(part.replace('href="#', 'href="?section=')) for name, part in found.items()}  # noqa: S704 - escaped when written


def _offset(after: str | None) -> int:
    return int(after) if after and after.isdecimal() and len(after) < 9 else 0
