"""The ledger of alarms over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from service import ledger
from service.api.context import Served
from service.api.schemas import MeasuredView, Problem, Time, View
from service.budget import MOST_WEEKS

router = APIRouter(prefix="/v1/ledger", tags=["alarms"], responses={404: {"model": Problem}})

Weeks = Annotated[int, Query(ge=1, le=MOST_WEEKS, description="So many weeks of log time (Monday to Sunday, UTC), up to the last.")]


class EntryView(View):
    """One line of the ledger."""

    time: Time
    monitor: str
    what: str = Field(examples=["alarm", "verdict", "resolved", "held back", "allocated"])
    says: str
    segment: str
    alarm: str


class TallyView(View):
    """Alarms of active streams by verdict, beside the false alarms that were allowed for."""

    start: Time
    seconds: float = Field(description="Log time watched.")
    samples: int
    allowed: float = Field(description="False alarms to expect when nothing changes: samples over run length, summed over the streams.")
    true: int
    false: int
    seasonal: int
    unjudged: int
    outside: int = Field(description="Alarms of advisory and shadow streams: no part of the budget.")
    alarms: int
    precision: float | None = Field(description="Share of true ones among those called true or false.")


class FalseAlarmsView(View):
    """False alarms per `days` days of log time, measured and allowed for."""

    days: float
    covered_days: float
    judged_false: int
    unjudged: int
    measured: MeasuredView | None = Field(description="With its exact 95 % Poisson interval.")
    at_most: float | None = Field(description="Upper bound if every alarm without a verdict turns out false.")
    allowed: float | None
    verdict: str


class ProposalView(View):
    """A reference that knows a season, proposed by the verdict `seasonal`."""

    alarm: str
    monitor: str
    days: tuple[str, ...]
    hours: tuple[int, ...] = Field(description="Of the day, UTC.")
    since: Time
    until: Time
    command: str


class LedgerView(View):
    """Weeks and entries oldest first."""

    weeks: tuple[TallyView, ...]
    total: TallyView
    false_alarms: FalseAlarmsView
    entries: tuple[EntryView, ...]
    proposals: tuple[ProposalView, ...]


@router.get("")
def get_ledger(service: Served, monitor: str | None = None, weeks: Weeks = 12) -> LedgerView:
    """Every alarm with its verdict, what the budget allowed for, and the rate of false alarms that was measured."""
    monitors = service.ingest.monitors if monitor is None else [service.known(monitor)]
    return LedgerView.model_validate(ledger.keep(service.store, monitors, service.budget, weeks=weeks))
