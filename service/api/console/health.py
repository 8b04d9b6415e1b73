"""How the program does: loops, conditions, notes, what waits to leave, and what could not be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from service.api.console.frame import NOTICES, ROWS, After, actor, back, page, pages, path
from service.api.context import Caller, Served, Service
from service.decoding.legible import legible
from service.health import missing
from service.offsets import readers
from service.records import DeadLetter, Role

router = pages()
NOTICES.update(replayed="It is due again, and leaves within a second or two.")

Asked = Annotated[str, Query(max_length=200)]
STATES = ("pending", "dead", "delivered", "dropped")
_SHOWN = 500
_DEAD, _PARTITIONS = 200, 50


@router.get("/health")
def show_health(request: Request, service: Served, caller: Caller) -> HTMLResponse:
    """Of this process: others answer for themselves."""
    whole = caller.over_all(Role.READER)
    silent = set(service.heartbeats.silent())
    waiting = missing(service.conditions) if whole else {}
    notes = service.notes() if whole else {}
    dead = service.store.outbox(states=["dead"], limit=_DEAD)
    pending = service.store.outbox(states=["pending"], limit=_DEAD)
    return page(
        request,
        "health.html",
        whole=whole,
        loops=sorted((loop, age, loop in silent) for loop, age in service.heartbeats.ages().items()) if whole else (),
        conditions=[(name, waiting.get(name, "")) for name in service.conditions] if whole else (),
        notes=sorted(notes.items()),
        without=tuple(name for name in service.without_reference() if name in service.declaring.declared)[:ROWS],
        dead=len(dead),
        pending=len(pending),
        oldest=min((item.created for item in pending), default=None),
        most=_DEAD,
        letter=next((letter.time for letter in service.store.dead_letters(limit=1)), None),
        partitions=_partitions(service) if whole else (),
        now=service.clock(),
    )


@router.get("/outbox")
def show_outbox(request: Request, service: Served, state: Asked = "dead", after: After = None) -> HTMLResponse:
    """What must leave, without what it says."""
    states = [state] if state in STATES else []
    found = service.store.outbox(states=states, after=after, limit=ROWS + 1)
    return page(
        request,
        "outbox.html",
        items=found[:ROWS],
        state=state,
        states=STATES,
        next=found[ROWS - 1].id if len(found) > ROWS else None,
        now=service.clock(),
    )


@router.post("/outbox/{id}/replay")
def replay(id: str, request: Request, service: Served) -> RedirectResponse:
    """Makes a dead item due again."""
    service.actions.replay(id, actor=actor(request), now=service.clock())
    return back(f"{path('outbox')}?state=dead", "replayed")


@router.get("/dead-letters")
def show_letters(request: Request, service: Served, monitor: Asked = "", after: After = None) -> HTMLResponse:
    """What could not be used, newest first; who may see no originals sees none."""
    if monitor:
        service.known(monitor)
    found = service.store.dead_letters(monitor=monitor or None, after=after, limit=ROWS + 1)
    return page(
        request,
        "dead_letters.html",
        letters=[_letter(letter) for letter in found[:ROWS]],
        asked=monitor,
        next=found[ROWS - 1].id if len(found) > ROWS else None,
        now=service.clock(),
    )


def _letter(letter: DeadLetter) -> Mapping[str, Any]:
    rejected = letter.rejected
    return {
        "id": letter.id,
        "monitor": rejected.monitor,
        "reason": rejected.reason,
        "stage": rejected.stage,
        "message": rejected.message,
        "time": letter.time,
        "place": f"{letter.partition.topic}/{letter.partition.number} at {letter.offset}",
        "original": legible(rejected.original)[:_SHOWN],
    }


def _partitions(service: Service) -> list[tuple[Any, tuple[str, ...]]]:
    """How far each is read, and by whom."""
    settings = service.settings()
    read = readers([known.settings for known in service.declaring.declared.values()], settings.kafka)
    return [(each, tuple(read(each.partition.topic))[:3]) for each in service.store.positions()[:_PARTITIONS]]
