"""Refresh cycles."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Depends, Response

from service.api.conditional import tagged, unchanged
from service.api.context import Served
from service.api.cycle_views import RefreshStatus
from service.api.paging import Paged
from service.api.schemas import Act, Cycles, CycleView, Problem
from service.cycles.summary import summary
from service.records import CycleState, RefreshCycle

router = APIRouter(tags=["refresh"], responses={404: {"model": Problem}})
_READ = [Depends(unchanged(RefreshCycle))]


@router.get("/v1/refresh")
def list_refreshes(service: Served, page: Paged, monitor: str | None = None, state: CycleState | None = None) -> Cycles:
    """Refresh cycles, newest first."""
    if monitor is not None:
        service.known(monitor)
    found = page.read(partial(service.store.find, RefreshCycle, monitor=monitor, states=[state] if state else []))
    return Cycles.model_validate({"cycles": found.rows, "next": found.next}, from_attributes=True)


@router.get("/v1/refresh/{id}")
def get_refresh(id: str, service: Served, response: Response) -> CycleView:
    """One cycle with its verification and history."""
    return CycleView.model_validate(tagged(response, service.store.get(RefreshCycle, id)))


@router.get("/v1/monitors/{monitor}/refresh")
def get_refresh_status(monitor: str, service: Served) -> RefreshStatus:
    """Where the monitor's cycle is, what it waits for and since when, what may still be spent."""
    settings = service.declaring.declared[service.known(monitor)].settings
    return RefreshStatus.model_validate(summary(service.store, settings, now=service.clock()).figures)


@router.post("/v1/monitors/{monitor}/refresh", status_code=201, responses={status: {"model": Problem} for status in (409, 429)})
def open_refresh(monitor: str, act: Act, service: Served, response: Response) -> CycleView:
    """Opens a cycle without waiting for an alarm."""
    known = service.known(monitor)
    with service.alone():
        cycle = service.actions.open_refresh(known, actor=act.actor, note=act.note, now=service.clock())
    return CycleView.model_validate(tagged(response, cycle))


@router.post("/v1/refresh/{id}/cancel", responses={409: {"model": Problem}}, dependencies=_READ)
def cancel_refresh(id: str, act: Act, service: Served, response: Response) -> CycleView:
    """Ends a cycle, and its batch where that is still running."""
    return CycleView.model_validate(
        tagged(response, service.actions.cancel_refresh(id, actor=act.actor, note=act.note, now=service.clock()))
    )


@router.post("/v1/refresh/{id}/finish", responses={409: {"model": Problem}}, dependencies=_READ)
def finish_refresh(id: str, act: Act, service: Served, response: Response) -> CycleView:
    """Ends a cycle's rounds: the new model learns from what is labelled so far."""
    return CycleView.model_validate(
        tagged(response, service.actions.finish_refresh(id, actor=act.actor, note=act.note, now=service.clock()))
    )
