"""What the routes are given: everything they may reach, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Query, Request
from prometheus_client import CollectorRegistry

from service.access import Access
from service.actions import Actions
from service.errors import NotFoundError
from service.health import Heartbeats
from service.ingest import Ingest
from service.ports import Store
from service.settings import BudgetSettings
from service.standing import Standing


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """The parts behind the API, all safe to call from several threads."""

    ingest: Ingest
    store: Store
    standing: Standing
    actions: Actions
    access: Access
    heartbeats: Heartbeats
    registry: CollectorRegistry
    conditions: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    """What must hold before samples are taken, by name: `store`, `embedders`."""
    references: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    """Whether a monitor has a reference in force, by its name: without one it takes samples all the same, to build one from."""
    max_body_bytes: int = 16_000_000
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    version: str = ""
    clock: Callable[[], float] = time.time

    def known(self, monitor: str) -> str:
        """The monitor's name; NotFoundError tells those there are."""
        if monitor not in self.ingest.monitors:
            raise NotFoundError(f"no monitor {monitor!r:.80}; there are: {', '.join(self.ingest.monitors) or 'none'}")
        return monitor


async def _service(request: Request) -> Service:
    return cast("Service", request.app.state.service)


async def _body(request: Request) -> bytes:
    """The whole body; the limit is enforced below, while it streams in."""
    return await request.body()


Served = Annotated[Service, Depends(_service)]
Body = Annotated[bytes, Depends(_body)]
Limit = Annotated[int, Query(ge=1, le=1_000, description="At most so many, newest first.")]
