"""Silences: whose news is kept back for a while."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AwareDatetime, Field, StringConstraints

from service.api.context import Served, Service
from service.api.paging import Paged
from service.api.schemas import Act, Form, PageView, Problem, Time, View
from service.errors import InputError
from service.records import Silence, SilenceState

router = APIRouter(prefix="/v1/silences", tags=["notifications"])
_CHANGES: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem},
    409: {"model": Problem, "description": "The silence has ended already."},
}
_Value = Annotated[str, StringConstraints(max_length=300)]


class Matchers(Form):
    """Of alarms; a value, or a pattern with `*` and `?`. All that are given must match."""

    monitor: _Value = Field("", examples=["support"])
    segment: _Value = Field("", examples=["locale=*"])
    family: _Value = Field("", examples=["input"])
    severity: _Value = Field("", examples=["warning"])
    team: _Value = Field("", examples=["payments"])


class SilenceAct(Act):
    """A new silence."""

    matchers: Matchers
    starts: AwareDatetime | None = Field(None, description="Null: now.")
    ends: AwareDatetime = Field(description="Within a year.", examples=["2026-03-01T18:00:00Z"])


class SilenceView(View):
    """Nobody is told of the alarms that it matches; they open, resolve and are shown as ever."""

    id: str
    matchers: Mapping[str, str] = Field(examples=[{"monitor": "support"}])
    starts: Time
    ends: Time
    actor: str
    note: str
    state: SilenceState
    created: Time
    ended_by: str = Field(description="Whoever ended it early.", examples=[""])


class Silences(PageView):
    """Newest first."""

    silences: tuple[SilenceView, ...]


@router.get("")
def list_silences(service: Served, page: Paged, state: SilenceState | None = None) -> Silences:
    """Silences, newest first; those that have ended go after a month."""
    found = page.read(partial(service.store.find, Silence, states=[state] if state else []))
    return Silences.model_validate({"silences": found.rows, "next": found.next}, from_attributes=True)


@router.post("", status_code=201, responses={422: {"model": Problem}})
def add_silence(act: SilenceAct, service: Served) -> SilenceView:
    """Keeps news back of the alarms that it matches. The end of what somebody was told of is told all the same."""
    matchers, now = act.matchers.model_dump(exclude_defaults=True), service.clock()
    within(service, matchers)
    starts = None if act.starts is None else act.starts.timestamp()
    made = service.actions.silence(matchers, starts=starts, ends=act.ends.timestamp(), actor=act.actor, note=act.note, now=now)
    return SilenceView.model_validate(made)


@router.post("/{id}/end", responses=_CHANGES)
def end_silence(id: str, act: Act, service: Served) -> SilenceView:
    """Ends it before its time: what it kept back and still stands is told within a minute."""
    within(service, service.store.get(Silence, id).matchers)
    return SilenceView.model_validate(service.actions.end_silence(id, actor=act.actor, now=service.clock()))


def is_limited(service: Service) -> bool:
    """Whether it knows some monitors alone, as its caller does."""
    return service.whole is not None and service.declaring is not service.whole.declaring


def within(service: Service, matchers: Mapping[str, str]) -> None:
    """InputError where somebody with a role over some monitors would silence others."""
    if is_limited(service) and matchers.get("monitor") not in service.declaring.declared:
        known = ", ".join(service.declaring.declared) or "none"
        raise InputError("silence", f"matchers: your role is over some monitors, so a silence names one of them: {known}")
