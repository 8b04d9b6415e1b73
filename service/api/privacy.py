"""Samples that are to be forgotten, and what may be sent to those who help."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from service.api.context import Served
from service.api.paging import Paged
from service.api.schemas import Problem, Somebody, Time, View
from service.privacy.forgetting import OUTSIDE
from service.records.erasure import Forgotten
from service.settings import Section

router = APIRouter(prefix="/v1", tags=["privacy"], responses={404: {"model": Problem}})


class ForgetRequest(Section):
    """Which sample is to go."""

    sample: Annotated[str, Field(min_length=1, max_length=256, examples=["order-4711"])]
    monitor: Annotated[str | None, Field(None, description="Of which monitor; without one, of all.", examples=["support-chat"])]
    actor: Annotated[str, Field("", max_length=200, description="Who asks.", examples=["anna"]), Somebody]


class ErasureView(View):
    """Where a sample was, and whom it took to delete it."""

    monitor: str
    erased: dict[str, int] = Field(description="Where it was, and how often.", examples=[{"pool": 1, "reserve": 1, "documents": 2}])
    asked: tuple[str, ...] = Field(description="Destinations that are asked to delete it: their deliveries stand in the outbox.")


class ForgottenView(View):
    """What was done, and what lies outside."""

    erasures: tuple[ErasureView, ...]
    outside: tuple[str, ...] = Field(description="What driftgate can't reach.")


class RecordView(View):
    """A sample that is not taken again, known by a hash of its id."""

    id: str
    monitor: str
    state: str
    created: Time
    erased: dict[str, int]


class RecordsView(View):
    """Those that were forgotten, newest first."""

    forgotten: tuple[RecordView, ...]
    next: str | None = Field(description="`cursor` of the page after this one; null on the last.", examples=[None])


@router.post("/forget")
def forget_sample(service: Served, request: ForgetRequest) -> ForgottenView:
    """Takes a sample out of everything that driftgate keeps, asks annotators to delete it, and never takes it again. May be repeated."""
    everywhere = service.forgetting.all_of(service.declaring.declared)
    named = request.monitor and (request.monitor if request.monitor in everywhere else service.known(request.monitor))
    monitors = [named] if named else everywhere
    done = service.forgetting.forget(request.sample, monitors, actor=request.actor, now=service.clock())
    views = (ErasureView(monitor=each.monitor, erased=dict(each.erased), asked=each.asked) for each in done)
    return ForgottenView(erasures=tuple(views), outside=OUTSIDE)


@router.get("/forgotten")
def list_forgotten(service: Served, page: Paged, monitor: str | None = None) -> RecordsView:
    """What was forgotten, and what still waits to be."""
    found = page.read(partial(service.store.find, Forgotten, monitor=monitor and service.known(monitor)))
    return RecordsView(forgotten=tuple(map(_view, found.rows)), next=found.next)


def _view(found: Forgotten) -> RecordView:
    return RecordView(id=found.id, monitor=found.monitor, state=found.state, created=found.created, erased=dict(found.erased))
