"""What the routes are given: everything they may reach, and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry
from starlette.concurrency import run_in_threadpool

from service.access import Access, Principal
from service.access.lookups import Lookups
from service.access.quotas import Meter
from service.actions import Actions
from service.declarations import Declared
from service.embedding_map import Maps
from service.errors import BacklogFullError, NotFoundError
from service.exhibits import Exhibits
from service.explaining.samples import Samples
from service.failures.listing import Failures
from service.health import Condition, Heartbeats
from service.inbox import Inbox
from service.ingest import Ingest
from service.openings import Openings
from service.overview import Overview
from service.policies import Policies
from service.ports import Hook, Store
from service.privacy.forgetting import Forgetting
from service.promotion import Promotion
from service.promotion.galleries import Galleries
from service.records import Backfill, Role
from service.reference import References
from service.report.reporting import Reporting
from service.settings import BudgetSettings, MonitorSettings, Settings
from service.similar.mining import Mining
from service.standing import Standing
from service.truth.deliveries import Labels

_AGAIN_SECONDS = 5.0


class Declaring(Protocol):
    """Monitors that are declared by API, and how each was declared."""

    @property
    def declared(self) -> Mapping[str, Declared]: ...

    def put(self, settings: MonitorSettings, *, version: int | None, actor: str, given: Mapping[str, Any] | None = None) -> Declared:
        """Declares a monitor, or changes the one whose version was read."""

    def withdraw(self, monitor: str, *, version: int, actor: str) -> None:
        """Ends it."""


class OneAtATime:
    """For what reads everything that is kept: a few of these at once would multiply the memory that one takes."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """BacklogFullError while somebody else is inside."""
        if not self._turn.acquire(blocking=False):
            raise BacklogFullError(
                "another request that reads everything kept is being answered; ask again in a few seconds", retry_after=_AGAIN_SECONDS
            )
        try:
            yield
        finally:
            self._turn.release()


def _none() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Probes:
    """What every role shows of itself, all safe to ask from several threads."""

    access: Access
    heartbeats: Heartbeats
    registry: CollectorRegistry | None
    """None where metrics have a port of their own."""
    seen: Callable[[str, int, float], object] = lambda *_: None
    """Told of each request that was answered: its route, the status, and how many seconds it took."""
    serves: Callable[[Iterable[str]], object] = lambda _: None
    """Told of the routes that there are."""
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    """What must hold before the role can work, by name: `store`, `monitors`, `partitions`."""
    notes: Callable[[], Mapping[str, str]] = _none
    """What is wrong or remarkable, by name, and keeps nobody from working."""
    monitors: Callable[[], Sequence[str]] = tuple
    """Those that are declared, as far as the process knows."""
    without_reference: Callable[[], Sequence[str]] = tuple
    """Monitors without a reference in force: they take samples all the same, to build one from."""
    lookups: Lookups | None = None
    """Tokens of the store, where the process has one."""
    max_body_bytes: int = 16_000_000
    max_model_bytes: int = 2_000_000_000
    version: str = ""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Service(Probes):
    """The parts behind the API, all safe to call from several threads."""

    ingest: Ingest
    store: Store
    standing: Standing
    actions: Actions
    declaring: Declaring
    reporting: Reporting
    samples: Samples
    failures: Failures
    similar: Mining
    labels: Labels
    promotion: Promotion
    openings: Openings
    forgetting: Forgetting
    overview: Overview
    policies: Policies
    references: References
    maps: Maps
    exhibits: Exhibits
    galleries: Galleries
    inbox: Inbox
    settings: Callable[[], Settings]
    """The configuration as it is in force."""
    hook: Callable[[str], Hook]
    """A destination's, by name; NotFoundError where it has none."""
    accept: Callable[[str, Mapping[str, Any]], MonitorSettings]
    """A monitor's settings from a document that came by API; ConfigurationError names what is wrong with it."""
    backfills: Callable[[str], Sequence[Backfill]] = lambda _: ()
    """A monitor's, newest first."""
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    meter: Meter = field(default_factory=lambda: Meter(Settings))
    """Of samples over HTTP."""
    clock: Callable[[], float] = time.time
    alone: OneAtATime = field(default_factory=OneAtATime)
    whole: Service | None = None
    """Of one that knows some monitors alone: the one that knows all."""

    def known(self, monitor: str) -> str:
        """The monitor's name; NotFoundError tells those there are."""
        declared = self.declaring.declared
        if monitor not in declared:
            raise NotFoundError(f"no monitor {monitor!r:.80}; there are: {', '.join(declared) or 'none'}")
        return monitor

    def follow(self) -> None:
        """Goes by what has just been declared here; other processes follow within a second or two."""
        service = self.whole or self
        service.ingest.declare([known.settings for known in service.declaring.declared.values()])


async def _service(request: Request) -> Service:
    """The whole one; for a caller with a role over some monitors one that knows no others, and for readers one that shows them no
    undecodable payloads."""
    service, caller = cast("Service", request.app.state.service), request.state.principal
    if caller is None or (caller.over_all(request.state.need) and caller.over_all(Role.INGEST)):
        return service
    return cast("Service", await run_in_threadpool(request.app.state.narrow, service, caller, request.state.need, request))


async def _caller(request: Request) -> Principal:
    """Routes that are open have none."""
    return cast("Principal", request.state.principal)


async def _probes(request: Request) -> Probes:
    return cast("Probes", request.app.state.service)


async def _body(request: Request) -> bytes:
    """The whole body; the limit is enforced below, while it streams in."""
    return await request.body()


Served = Annotated[Service, Depends(_service)]
Caller = Annotated[Principal, Depends(_caller)]
"""Who asks."""
Probed = Annotated[Probes, Depends(_probes)]
Body = Annotated[bytes, Depends(_body)]
