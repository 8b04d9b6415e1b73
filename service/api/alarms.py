"""Alarms, and what people say about them."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Response

from service.api.alarm_views import Alarms, AlarmView
from service.api.conditional import tagged, unchanged
from service.api.context import Served
from service.api.paging import Paged
from service.api.schemas import Act, Problem, VerdictAct
from service.records import Alarm, AlarmState

router = APIRouter(prefix="/v1/alarms", tags=["alarms"], responses={404: {"model": Problem}})
_READ = [Depends(unchanged(Alarm))]
_CHANGES: dict[int | str, dict[str, Any]] = {409: {"model": Problem, "description": "The alarm changed meanwhile, or is past this step."}}


@router.get("")
def list_alarms(service: Served, page: Paged, monitor: str | None = None, state: AlarmState | None = None) -> Alarms:
    """Alarms, newest first."""
    if monitor is not None:
        service.known(monitor)
    found = page.read(partial(service.store.find, Alarm, monitor=monitor, states=[state] if state else []))
    return Alarms.model_validate({"alarms": found.rows, "next": found.next}, from_attributes=True)


@router.get("/{id}")
def get_alarm(id: str, service: Served, response: Response) -> AlarmView:
    """One alarm with its explanation and history."""
    return AlarmView.model_validate(tagged(response, service.store.get(Alarm, id)))


@router.post("/{id}/acknowledge", responses=_CHANGES, dependencies=_READ)
def acknowledge_alarm(id: str, act: Act, service: Served, response: Response) -> AlarmView:
    """Somebody has seen it and takes care."""
    return AlarmView.model_validate(tagged(response, service.actions.acknowledge(id, actor=act.actor, note=act.note, now=service.clock())))


@router.post("/{id}/resolve", responses=_CHANGES, dependencies=_READ)
def resolve_alarm(id: str, act: Act, service: Served, response: Response) -> AlarmView:
    """The episode is over; the detector starts anew."""
    return AlarmView.model_validate(tagged(response, service.actions.resolve(id, actor=act.actor, note=act.note, now=service.clock())))


@router.post("/{id}/verdict", responses=_CHANGES, dependencies=_READ)
def judge_alarm(id: str, act: VerdictAct, service: Served, response: Response) -> AlarmView:
    """What it turned out to be; also once it is resolved, and another verdict mends an earlier one."""
    return AlarmView.model_validate(
        tagged(response, service.actions.verdict(id, act.verdict, actor=act.actor, note=act.note, now=service.clock()))
    )
