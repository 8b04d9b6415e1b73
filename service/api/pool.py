"""What is kept of a monitor's stream."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from pydantic import Field

from service.api.context import Served
from service.api.schemas import Problem, Time, View
from service.pools import PoolFigures, pool_figures

router = APIRouter(tags=["monitors"])


class PoolPart(View):
    """A part of the reserve; a row may be in several."""

    part: str = Field(examples=["uniform", "drift", "failure", "segment:locale=de"])
    rows: int
    room: int | None = Field(description="Most rows; null for a segment: all of them share one room.")
    samples: int = Field(description="Near-duplicates that the rows stand for, themselves included.")
    labelled: int
    oldest: Time
    newest: Time
    novelty: float = Field(description="Median percentile among the reference's own rows, 0 to 1.")


class PoolView(View):
    """The recent samples, and the reserve of those that stay longer."""

    monitor: str
    recent_room: int = Field(description="Most recent samples that are kept (`pool.rows`).")
    recent_begins: Time | None = Field(description="From then on every sample is kept; null where none has gone yet.")
    reserve_room: int = Field(description="Most rows of the reserve (`pool.reserve_rows`).")
    half_life_days: float
    rows: int
    samples: int
    parts: tuple[PoolPart, ...]
    versions: Mapping[int, int] = Field(description="Reference version → rows that were taken under it.")


@router.get("/v1/monitors/{monitor}/pool", responses={404: {"model": Problem}})
def show_pool(monitor: str, service: Served) -> PoolView:
    """How full the monitor's pool is, how old, and how much of the traffic it stands for."""
    return view(pool_figures(service.store, service.known(monitor), service.declaring.declared[monitor].settings.pool))


def view(figures: PoolFigures) -> PoolView:
    """As it is shown."""
    names = ("monitor", "recent_room", "reserve_room", "half_life_days", "rows", "samples", "versions")
    shown = {name: getattr(figures, name) for name in names}
    parts = tuple(PoolPart.model_validate(part) for part in figures.parts)
    return PoolView.model_validate({**shown, "parts": parts, "recent_begins": figures.recent_begins or None})
