"""All streams of the installation over HTTP."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from service import fleet
from service.api.context import Served
from service.api.schemas import MeasuredView, View

router = APIRouter(prefix="/v1/fleet", tags=["monitors"])


class FleetStreamView(View):
    """One monitor × segment."""

    monitor: str
    segment: str
    regime: str = Field(examples=["active", "advisory", "shadow"])
    samples: int
    log10_e: float | None = Field(description="Base-10 logarithm of the e-value per patience; null until the stream's traffic is known.")
    stands: bool
    effect: MeasuredView
    alarm: str | None
    dependent: bool = Field(description="Neighbours depend on each other in its reference: the evidence holds about, not exactly.")


class FleetView(View):
    """Streams by evidence, most first."""

    error: float = Field(description="Expected share of false ones among those that stand, at most, for each patience watched.")
    patience_days: float
    streams: tuple[FleetStreamView, ...]
    outside: tuple[FleetStreamView, ...] = Field(description="Advisory and shadow streams: compared with none.")


@router.get("")
def get_fleet(service: Served) -> FleetView:
    """Every stream with its evidence, and which of them stand together at the configured error over patience."""
    statuses = {monitor: service.store.status(monitor) for monitor in service.ingest.monitors}
    return FleetView.model_validate(fleet.compare(statuses, service.budget))
