"""How a monitor's streams went: evidence and effect over time, ever coarser with age."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from service.api.context import Served
from service.api.schemas import MeasuredView, Problem, Time, View
from service.errors import InputError
from service.records import LEVELS, WHOLE

router = APIRouter(tags=["monitors"])

_WIDTHS = tuple(seconds for seconds, _ in LEVELS)


class PassageView(View):
    """A stretch of log time, all of it at the moment when evidence was strongest, but for `samples`."""

    start: Time
    samples: int
    evidence: float
    threshold: float
    effect: MeasuredView
    reference_version: int


class TimelineView(View):
    """Of one stream, oldest first."""

    monitor: str
    segment: str
    seconds: float = Field(description="Length of each passage.", examples=[60.0])
    passages: tuple[PassageView, ...] = Field(description="Those with samples: where none came there is none.")


@router.get("/v1/monitors/{monitor}/timeline", responses={400: {"model": Problem}, 404: {"model": Problem}})
def get_timeline(
    monitor: str,
    service: Served,
    segment: Annotated[str, Query(max_length=300, description="As in the monitor's `streams`.", examples=["locale=de"])] = WHOLE,
    seconds: Annotated[
        float, Query(description="10 for the last minutes, 60 for hours, 600 for a day and a half, 7200 for a month.", examples=[60])
    ] = 60.0,
) -> TimelineView:
    """The stream's evidence beside its threshold, and its effect, as decisions wrote them."""
    if seconds not in _WIDTHS:
        raise InputError("seconds", f"seconds: must be one of {', '.join(f'{width:g}' for width in _WIDTHS)}, found {seconds:g}")
    passages = service.store.timeline(service.known(monitor), segment, seconds)
    views = tuple(PassageView.model_validate(passage) for passage in passages)
    return TimelineView(monitor=monitor, segment=segment, seconds=seconds, passages=views)
