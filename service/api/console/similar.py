"""The kept samples most like one, a failure cluster or a data set; and sending them to annotators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from service.api.console.frame import NOTICES, Filled, Form, actor, back, page, pages, path
from service.api.console.showing import card_of, effective
from service.api.context import Served
from service.errors import InputError
from service.similar.mining import Asked, Matches
from service.similar.pool import Narrowing

router = pages()
NOTICES.update(similar_sent="A refresh cycle asks about them, as the monitor approves.")

_MOST = 100
Word = Annotated[str, Query(max_length=1_000)]


@dataclass(frozen=True, slots=True)
class Sought:
    """Near to what, and which of the kept samples."""

    sample: Word = ""
    failure: Word = ""
    set: Word = ""
    segment: Word = ""
    label: Word = ""
    predicted: Word = ""
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 20

    def asked(self) -> Asked:
        """InputError unless exactly one thing is named."""
        narrowing = Narrowing(self.segment or None, None, None, self.label or None, self.predicted or None)
        return Asked(self.sample or None, None, self.failure or None, self.set or None, narrowing, self.limit)

    @property
    def named(self) -> bool:
        """Whether anything is."""
        return bool(self.sample or self.failure or self.set)


@router.get("/monitors/{monitor}/similar")
def show_similar(monitor: str, request: Request, service: Served, sought: Annotated[Sought, Depends()]) -> HTMLResponse:
    """The nearest first, near-duplicates told once."""
    settings, now = effective(service, service.known(monitor)), service.clock()
    found: Matches | None = None
    if sought.named:
        with service.alone():
            found = service.similar.find(monitor, sought.asked(), now=now)
    return page(
        request,
        "similar.html",
        monitor=monitor,
        sought=sought,
        found=found,
        matches=[(each, card_of(each.row, settings, side=each.place, truth=each.label)) for each in (found.matches if found else ())],
        most=_MOST,
    )


@router.post("/monitors/{monitor}/similar")
def send_similar(monitor: str, request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Opens a refresh cycle that asks annotators about those found."""
    known, now = service.known(monitor), service.clock()
    with service.alone():
        found = service.similar.find(known, _sought(form).asked(), now=now)
        cycle = service.similar.send(found, actor=actor(request), now=now)
    return back(path("cycles", cycle.id), "similar_sent")


def _sought(form: Form) -> Sought:
    words = {name: form.text(name, most=1_000) for name in ("sample", "failure", "set", "segment", "label", "predicted")}
    limit = form.number("limit", least=1, most=_MOST)
    if limit != int(limit):
        raise InputError("invalid", f"limit: a whole number, found {limit:g}")
    return Sought(**words, limit=int(limit))
