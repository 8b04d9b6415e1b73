"""Maintenance pauses: a monitor, or all of a team's, count on and open no alarms for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from service.api.context import Served, Service
from service.api.paging import Paged
from service.api.schemas import Act, PageView, Problem, TimeOrNever, View
from service.errors import ConflictError, NotFoundError

router = APIRouter(prefix="/v1", tags=["notifications"], responses={404: {"model": Problem}})
_OVER: dict[int | str, dict[str, Any]] = {409: {"model": Problem, "description": "There is no such pause."}}


class PauseAct(Act):
    """Maintenance of a monitor."""

    until: AwareDatetime = Field(description="By the log's time; within 30 days.", examples=["2026-03-01T18:00:00Z"])


class PauseView(View):
    """How a monitor is paused."""

    monitor: str
    until: TimeOrNever = Field(description="Null: it is not, or no more.")
    actor: str = ""
    note: str = ""
    withheld: int = Field(0, description="Alarms that would have opened meanwhile; what still stands at the end opens then.")


class PausesView(View):
    """Of several monitors."""

    monitors: tuple[PauseView, ...]


class Pauses(PageView):
    """Those that hold."""

    monitors: tuple[PauseView, ...]


@router.get("/maintenance")
def list_maintenance(service: Served, page: Paged) -> Pauses:
    """The monitors that are paused now, by name."""
    shown = [paused(service, monitor) for monitor in sorted(service.declaring.declared)]
    found = page.cut([each for each in shown if each.until is not None], lambda each: each.monitor)
    return Pauses(monitors=tuple(found.rows), next=found.next)


@router.post("/monitors/{monitor}/maintenance")
def begin_maintenance(monitor: str, act: PauseAct, service: Served) -> PauseView:
    """The monitor counts on and opens no alarms until then; what still stands then opens. A second one sets another end."""
    service.known(monitor)
    service.actions.pause(monitor, until=act.until.timestamp(), actor=act.actor, note=act.note, now=service.clock())
    return paused(service, monitor)


@router.post("/monitors/{monitor}/maintenance/end", responses=_OVER)
def end_maintenance(monitor: str, act: Act, service: Served) -> PauseView:
    """Alarms open again from here on."""
    service.known(monitor)
    service.actions.unpause(monitor, actor=act.actor, note=act.note, now=service.clock())
    return paused(service, monitor)


@router.post("/teams/{team}/maintenance")
def begin_team_maintenance(team: str, act: PauseAct, service: Served) -> PausesView:
    """The same of every monitor that the team owns now; those that it gets later are not paused."""
    monitors = owned(service, team)
    for monitor in monitors:
        service.actions.pause(monitor, until=act.until.timestamp(), actor=act.actor, note=act.note, now=service.clock())
    return PausesView(monitors=tuple(paused(service, monitor) for monitor in monitors))


@router.post("/teams/{team}/maintenance/end", responses=_OVER)
def end_team_maintenance(team: str, act: Act, service: Served) -> PausesView:
    """Ends the pauses of all monitors that the team owns."""
    monitors = [monitor for monitor in owned(service, team) if paused(service, monitor).until is not None]
    if not monitors:
        raise ConflictError(f"no monitor of team {team:.80} is in a maintenance pause")
    for monitor in monitors:
        service.actions.unpause(monitor, actor=act.actor, note=act.note, now=service.clock())
    return PausesView(monitors=tuple(paused(service, monitor) for monitor in monitors))


def paused(service: Service, monitor: str) -> PauseView:
    """As the last decision left it."""
    return PauseView.model_validate({"until": None, **(service.store.status(monitor).get("maintenance") or {}), "monitor": monitor})


def owned(service: Service, team: str) -> Sequence[str]:
    """The team's monitors, of those that the caller knows; NotFoundError where there are none."""
    found = [name for name, known in service.declaring.declared.items() if known.settings.team == team]
    if not found:
        raise NotFoundError(f"team {team!r:.80} owns no monitor")
    return found
