"""How a monitor's refresh stands, as JSON."""

from __future__ import annotations

from pydantic import Field

from service.api.schemas import Time, View
from service.records import BatchState, CycleState, Trigger


class OpenCycle(View):
    """The cycle that is under way."""

    cycle: str
    state: CycleState
    trigger: Trigger | None = Field(description="What opened it.")
    created: Time
    batch: str
    waits_for: str
    said: str = Field(description="The same with how far that is.")
    since: Time
    limit: Time = Field(description="Until when it may wait before it counts as stuck.")
    stuck: bool
    todo: str = Field(description="What a person can do about it.")


class EndedCycle(View):
    """The cycle that ended last."""

    cycle: str
    state: CycleState
    since: Time


class DueView(View):
    """What opens a cycle by the clock."""

    trigger: Trigger
    since: Time
    why: str


class BudgetView(View):
    """What may still be asked for; in labels, or in money."""

    name: str
    setting: str
    limit: float
    spent: float
    labels_left: int


class GoldenRows(View):
    """Rows drawn for the golden set that are being labelled."""

    batch: str
    state: BatchState
    asked: int
    answered: int


class FreshnessView(View):
    """Share of the traffic that the test set covers, with its interval."""

    share: float
    low: float
    high: float


class RefreshStatus(View):
    """Where a monitor's refresh stands."""

    monitor: str
    open: OpenCycle | None
    last: EndedCycle | None
    rests_until: Time | None = Field(description="Until when only a person opens a cycle.")
    alarms: tuple[str, ...] = Field(description="Alarms that wait for it.")
    due: tuple[DueView, ...]
    freshness: FreshnessView | None = Field(description="Of the test set; measured on request by `driftgate refresh status` alone.")
    budgets: tuple[BudgetView, ...]
    golden_rows: GoldenRows | None
