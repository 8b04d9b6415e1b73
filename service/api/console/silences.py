"""Silences: which news is held back, by whom, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from service.api.console.frame import NOTICES, ROWS, After, Filled, actor, back, page, pages, path
from service.api.context import Served
from service.api.silences import within
from service.notifying import silences
from service.records import Severity, Silence, SilenceState

router = pages()
NOTICES.update(added="The silence holds from now on.", ended="The silence has ended: its alarms are told again.")
_MOST_HOURS = 366 * 24.0


@router.get("/silences")
def silence_list(request: Request, service: Served, state: Annotated[str, Query(max_length=20)] = "", after: After = None) -> HTMLResponse:
    """Newest first, with a form for another."""
    states = (SilenceState(state),) if state in tuple(SilenceState) else ()
    found, now = service.store.find(Silence, states=states, after=after, limit=ROWS + 1), service.clock()
    return page(
        request,
        "silences.html",
        silences=found[:ROWS],
        next=found[ROWS - 1].id if len(found) > ROWS else None,
        holds={each.id for each in found if silences.is_active(each, now)},
        state=state,
        states=tuple(SilenceState),
        severities=tuple(Severity),
        teams=sorted({known.settings.team for known in service.declaring.declared.values() if known.settings.team}),
        now=now,
    )


@router.post("/silences")
def add(request: Request, form: Filled, service: Served) -> RedirectResponse:
    """Of whatever matches."""
    matchers: Mapping[str, str] = {name: value for name in silences.MATCHED if (value := form.text(name, most=300))}
    now = service.clock()
    ends, note = now + 3_600.0 * form.number("hours", least=0.1, most=_MOST_HOURS), form.text("note", most=1_000, needed=True)
    within(service, matchers)
    service.actions.silence(matchers, ends=ends, actor=actor(request), note=note, now=now)
    return back(path("silences"), "added")


@router.post("/silences/{id}/end")
def end(id: str, request: Request, form: Filled, service: Served) -> RedirectResponse:  # noqa: ARG001 - read for its token alone
    """Before its time."""
    service.actions.end_silence(id, actor=actor(request), now=service.clock())
    return back(path("silences"), "ended")
