"""Candidates: what waits for a person's word, why each was chosen and how risky it is, and what would be asked next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup

from service.annotation import labels_asked, price_of
from service.annotation.consensus import Agreement
from service.annotation.life import DRAWN
from service.annotation.standing import BatchStanding, standing
from service.api.console.frame import NOTICES, ROWS, After, Filled, actor, back, page, pages, path
from service.api.console.showing import Card, Shown, cards, effective, shown
from service.api.context import Served, Service
from service.errors import InputError
from service.records import AnnotationBatch, BatchState, Candidate, Payload, Purpose
from service.report.rendering import html_page
from service.selecting.asking import batches_of
from service.selecting.sheet import PURPOSES, sections
from service.selecting.spending import Purse, candidates_purse, purses
from service.settings import AnnotationSettings, MonitorSettings

router = pages()
NOTICES.update(
    batch_approved="It is on its way to the annotators.",
    batch_closed="It is closed: the cycle goes on with the labels that have come.",
    batch_cancelled="It is cancelled; labels that still come are kept.",
    candidates_dropped="Taken out: they are not asked about, and not proposed again.",
    candidates_restored="Put back.",
)

Asked = Annotated[str, Query(max_length=200)]
WHY: Mapping[Purpose, str] = MappingProxyType(
    {
        **PURPOSES,
        Purpose.GOLD: "known answer, to check the annotators",
        Purpose.TOP_UP: "at random, for the golden set",
        Purpose.REVIEW: "its label is in doubt",
    }
)
_NEIGHBOURS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate as a page shows it."""

    item: Candidate
    shown: Shown
    nearest: tuple[tuple[str, Card | None], ...]
    agreement: Agreement | None
    drawn: bool
    """By chance: it can't be taken out, and nothing is shown that could colour an answer."""


@router.get("/batches")
def batch_list(request: Request, service: Served, monitor: Asked = "", state: Asked = "proposed", after: After = None) -> HTMLResponse:
    """Batches, those that wait for a person's word unless others are asked for."""
    if monitor:
        service.known(monitor)
    states = [BatchState(state)] if state in tuple(BatchState) else []
    found = service.store.find(AnnotationBatch, monitor=monitor or None, states=states, after=after, limit=ROWS + 1)
    counts = dict.fromkeys(BatchState, 0)
    for (name, counted), number in service.store.tally(AnnotationBatch).items():
        if not monitor or name == monitor:
            counts[BatchState(counted)] += number
    return page(
        request,
        "batches.html",
        asked={"monitor": monitor, "state": state},
        batches=[(batch, _price(service, batch), _purposes(batch)) for batch in found[:ROWS]],
        next=found[ROWS - 1].id if len(found) > ROWS else None,
        states=tuple(BatchState),
        counts=counts,
        now=service.clock(),
    )


@router.get("/batches/{id}")
def show_batch(id: str, request: Request, service: Served, after: After = None, taken_out: bool = False) -> HTMLResponse:
    """One batch: what it asks and why, what it costs, and what came back."""
    batch = service.store.get(AnnotationBatch, id)
    settings = _settings(service, batch.monitor)
    found = standing(service.store, batch, settings.annotation if settings else AnnotationSettings())
    listed = batch.dropped if taken_out else sorted(batch.items, key=lambda item: (-item.priority, -item.value))
    start = int(after) if after and after.isdecimal() else 0
    items = listed[start : start + ROWS]
    return page(
        request,
        "batch.html",
        monitor=batch.monitor if settings else "",
        batch=batch,
        found=found,
        rows=_rows(service, batch, items, found) if settings else [],
        count=len(listed),
        taken_out=taken_out,
        next=str(start + ROWS) if start + ROWS < len(listed) else None,
        why=WHY,
        expected=sum(item.risk for item in batch.items) / max(len(batch.items), 1),
        purses=_purses(service, settings, batch) if settings else (),
        now=service.clock(),
    )


@router.post("/batches/{id}/approve")
def approve(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Sends it to the annotators."""
    service.actions.approve_batch(id, actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("batches", id), "batch_approved")


@router.post("/batches/{id}/close")
def close(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Goes on with what has come back."""
    service.actions.close_batch(id, actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("batches", id), "batch_closed")


@router.post("/batches/{id}/cancel")
def cancel(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Expects no more of it."""
    service.actions.cancel_batch(id, actor=actor(request), note=form.text("note"), now=service.clock())
    return back(path("batches", id), "batch_cancelled")


@router.post("/batches/{id}/choose")
def choose(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Takes the ticked candidates out, or all others, or puts the ticked ones back."""
    act, picked, now = form.text("act", needed=True), set(form.all("pick")), service.clock()
    if not picked:
        raise InputError("invalid", "no candidate is ticked; tick some, and send the form again")
    if act == "restore":
        service.actions.restore_candidates(id, picked, actor=actor(request), note=form.text("note"), now=now)
        return back(f"{path('batches', id)}?taken_out=true", "candidates_restored")
    ids = picked if act == "drop" else _others(service, id, picked)
    service.actions.drop_candidates(id, ids, actor=actor(request), note=form.text("note"), now=now)
    return back(path("batches", id), "candidates_dropped")


@router.get("/monitors/{monitor}/candidates")
def candidates(monitor: str, request: Request, service: Served, alarm: Asked = "", look: bool = False) -> HTMLResponse:
    """A monitor's batches, what may still be spent and, where that is asked for, what would be asked next."""
    settings, now = effective(service, service.known(monitor)), service.clock()
    batches = batches_of(service.store, monitor)
    return page(
        request,
        "candidates.html",
        monitor=monitor,
        alarm=alarm,
        look=look,
        proposal=_proposal(service, monitor, alarm, now) if look else None,
        batches=[(batch, _price(service, batch), _purposes(batch)) for batch in reversed(batches[-ROWS:])],
        more=len(batches) > ROWS,
        purses=(candidates_purse(settings, batches, ""), *purses(settings, batches, "", now=now)),
        settings=settings,
        now=now,
    )


def _proposal(service: Service, monitor: str, alarm: str, now: float) -> Mapping[str, Any]:
    with service.alone():
        found = service.actions.propose(monitor, alarm=alarm, now=now)
    told = "".join(html_page.section(each, chip=False) for each in sections(found, most=ROWS))
    return {"sections": Markup(told), "count": len(found.candidates), "about": found.about}  # noqa: S704 - escaped where it was made


def _others(service: Service, id: str, kept: set[str]) -> set[str]:
    """All candidates but these and those that chance chose."""
    batch = service.store.get(AnnotationBatch, id)
    return {item.id for item in batch.items if item.id not in kept and item.purpose not in DRAWN}


def _settings(service: Service, monitor: str) -> MonitorSettings | None:
    return effective(service, monitor) if monitor in service.declaring.declared else None


def _price(service: Service, batch: AnnotationBatch) -> tuple[int, float | None]:
    known = service.declaring.declared.get(batch.monitor)
    return labels_asked(batch), price_of(batch, known.settings.annotation.price if known else None)


def _purposes(batch: AnnotationBatch) -> Sequence[tuple[str, int]]:
    counts: dict[Purpose, int] = {}
    for item in batch.items:
        counts[item.purpose] = counts.get(item.purpose, 0) + 1
    return [(str(purpose), number) for purpose, number in counts.items()]


def _purses(service: Service, settings: MonitorSettings, batch: AnnotationBatch) -> Sequence[Purse]:
    batches = batches_of(service.store, batch.monitor)
    return (candidates_purse(settings, batches, batch.cycle), *purses(settings, batches, batch.cycle, now=service.clock()))


def _rows(service: Service, batch: AnnotationBatch, items: Sequence[Candidate], found: BatchStanding) -> list[Row]:
    """What the candidates are and who their neighbours are: of a page alone."""
    named = {name for item in items for name in item.nearest[:_NEIGHBOURS]}
    near = cards(service, batch.monitor, named, version=_kept_version(service, batch))
    payloads = _payloads(service, batch, items)
    return [
        Row(
            item,
            shown(item.text or payloads.get(item.id), item.id),
            tuple((name, near.get(name)) for name in item.nearest[:_NEIGHBOURS]),
            found.agreements.get(item.id),
            item.purpose in DRAWN,
        )
        for item in items
    ]


def _payloads(service: Service, batch: AnnotationBatch, items: Sequence[Candidate]) -> Mapping[str, Payload]:
    """Of those whose batch keeps no text: images, as the batch's pool set has them."""
    bare = {item.id for item in items if not item.text}
    return {name: sample.payload for name, sample in service.exhibits.kept(batch.monitor, bare).items()} if bare else {}


def _kept_version(service: Service, batch: AnnotationBatch) -> int | None:
    """The reference that the neighbours are rows of, where it is still there."""
    there = {int(made["version"]) for made in service.references.versions(batch.monitor)}
    return batch.reference_version if batch.reference_version in there else None
