"""Monitors as they stand, and those that are declared over HTTP."""

from __future__ import annotations

from operator import itemgetter
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Query, Response

from service.api.context import Served, Service
from service.api.paging import Paged
from service.api.schemas import DeclarationView, MonitorLine, Monitors, MonitorView, Problem, Somebody
from service.declarations import Declared
from service.errors import InputError

router = APIRouter(tags=["monitors"])

_REFUSED: dict[int | str, dict[str, Any]] = {status: {"model": Problem} for status in (400, 404, 409)}

IfMatch = Annotated[str | None, Header(description="The version that was read, as `ETag` gave it; or `version`.")]
Version = Annotated[int | None, Query(ge=0, description="The version that was read; 0 or nothing for a new monitor.")]


def _read(if_match: IfMatch = None, version: Version = None) -> int | None:
    """The version that a change was made for, however it was said."""
    if if_match is None:
        return version
    tag = if_match.strip().removeprefix("W/").strip('"')
    if not tag.isdecimal():
        raise InputError("version", f"If-Match: {if_match!r:.40} is no version; send the ETag of GET /v1/monitors/{{monitor}}/declaration")
    return int(tag)


Read = Annotated[int | None, Depends(_read)]
Actor = Annotated[str, Query(min_length=1, max_length=100, description="Who does it; kept in the history."), Somebody]


@router.get("/v1/monitors")
def list_monitors(service: Served, page: Paged) -> Monitors:
    """Monitors with their states, in the order in which they were declared."""
    found = page.cut(list(service.declaring.declared.items()), itemgetter(0))
    return Monitors(monitors=tuple(_line(service, name, known) for name, known in found.rows), next=found.next)


@router.get("/v1/monitors/{monitor}", responses={404: {"model": Problem}})
def get_monitor(monitor: str, service: Served) -> MonitorView:
    """One monitor: its state, what it still waits for, its evidence and its expected delay in time."""
    return MonitorView.model_validate(service.standing.document(service.known(monitor)))


@router.get("/v1/monitors/{monitor}/declaration", responses={404: {"model": Problem}})
def get_declaration(monitor: str, service: Served, response: Response) -> DeclarationView:
    """How the monitor is declared: what `PUT /v1/monitors/{monitor}` changes."""
    return _view(service.declaring.declared[service.known(monitor)], response)


@router.put("/v1/monitors/{monitor}", responses=_REFUSED)
def put_monitor(
    monitor: str,
    settings: Annotated[dict[str, Any], Body(description="As an entry of `monitors` in the configuration file; `name` may be left out.")],
    service: Served,
    response: Response,
    read: Read,
    actor: Actor = "api",
) -> DeclarationView:
    """Declares a monitor, or changes one that was declared here: every process takes it up within seconds, without a restart. 409 where
    it is declared in a configuration file, or was changed since it was read."""
    declared = service.declaring.put(service.accept(monitor, settings), version=read, actor=actor, given=settings)
    service.follow()
    return _view(declared, response)


@router.delete("/v1/monitors/{monitor}", status_code=204, responses=_REFUSED)
def delete_monitor(monitor: str, service: Served, read: Read, actor: Actor = "api") -> Response:
    """Ends a monitor that was declared here. Its alarms, samples and references stay; what still comes for it becomes a dead letter."""
    service.declaring.withdraw(service.known(monitor), version=read or 0, actor=actor)
    service.follow()
    return Response(status_code=204)


def _line(service: Service, name: str, known: Declared) -> MonitorLine:
    state, samples = service.standing.state(name), service.store.samples_taken(name)
    return MonitorLine(monitor=name, state=state, samples=samples, origin=known.origin, version=known.version)


def _view(known: Declared, response: Response) -> DeclarationView:
    response.headers["ETag"] = f'"{known.version}"'
    return DeclarationView(
        monitor=known.settings.name,
        origin=known.origin,
        version=known.version,
        reference=known.reference,
        settings=known.settings.model_dump(mode="json"),
    )
