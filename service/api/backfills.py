"""History that was read beside the live log."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from service.api.context import Served
from service.api.paging import Paged
from service.api.schemas import PageView, Problem, Time, View
from service.records import Backfill, BackfillState, Stretch

router = APIRouter(tags=["monitors"])


class StretchView(View):
    """What is read of a partition."""

    partition: str
    first: int
    end: int = Field(description="The offset after the last one.")
    left_out: int


class BackfillView(View):
    """One backfill. Its alarms are its own: they notified nobody, and no verdict can be given on them."""

    id: str
    monitor: str
    source: str = Field(examples=["topic chat-messages"])
    since: Time | None = Field(description="Log time; null for files, which are read whole.")
    until: Time | None
    reference: int
    state: BackfillState
    created: Time
    updated: Time
    planned: int | None = Field(description="Records to read; null for files.")
    read: int
    lost: int = Field(description="Records that the topic let go of before they were read.")
    left_out: int = Field(description="Records in the span that the live state holds, or will.")
    samples: int
    dead_letters: dict[str, int] = Field(description="By reason.")
    raised: int = Field(description="Alarms, once it is done or interrupted.")
    alarms: tuple[dict[str, Any], ...] = Field(description="The first 1,000, as in the report of `driftgate replay`.")
    stretches: tuple[StretchView, ...]


class Backfills(PageView):
    """Newest first."""

    backfills: tuple[BackfillView, ...]


@router.get("/v1/monitors/{monitor}/backfills", responses={404: {"model": Problem}})
def list_backfills(monitor: str, service: Served, page: Paged) -> Backfills:
    """The monitor's backfills, newest first."""
    found = page.cut(service.backfills(service.known(monitor)), attrgetter("id"))
    return Backfills(backfills=tuple(map(view, found.rows)), next=found.next)


def view(backfill: Backfill) -> BackfillView:
    """How a backfill is shown."""
    names = ("id", "monitor", "source", "since", "until", "reference", "state", "created", "updated")
    figures = ("planned", "read", "lost", "left_out", "samples", "dead_letters", "raised", "alarms")
    shown = {name: getattr(backfill, name) for name in (*names, *figures)}
    return BackfillView.model_validate({**shown, "stretches": tuple(_stretch(stretch) for stretch in backfill.stretches)})


def _stretch(stretch: Stretch) -> StretchView:
    return StretchView(partition=str(stretch.partition), first=stretch.first, end=stretch.end, left_out=stretch.left_out)
