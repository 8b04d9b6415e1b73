"""The HTTP API put together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from types import ModuleType
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute

from service.access.gate import Gate
from service.access.lookups import Lookups
from service.access.rules import need
from service.api import (
    alarms,
    alerts,
    audit,
    backfills,
    batches,
    candidates,
    cloudevents,
    console,
    dead_letters,
    documentation,
    embedding_maps,
    explanations,
    failures,
    fleet,
    health,
    ledger,
    links,
    maintenance,
    models,
    monitors,
    openapi,
    outbox,
    policies,
    pool,
    privacy,
    refresh,
    report,
    samples,
    schemes,
    silences,
    similar,
    teams,
    timeline,
    tokens,
    truth,
)
from service.api import annotations as label_deliveries
from service.api.conditional import NotModified
from service.api.context import Probes, Service
from service.api.middleware import GuardAnswers, LimitBody, LimitLoad, LogRequests, RequireAccess
from service.api.once import AnswerOnce
from service.api.problems import problem, register
from service.api.schemas import Problem
from service.api.scope import Reach, narrowed

_MODEL = re.compile(models.PATH.replace("{id}", "[^/]+"))

_ROUTES = (
    samples,
    cloudevents,
    monitors,
    timeline,
    backfills,
    pool,
    alarms,
    explanations,
    ledger,
    fleet,
    policies,
    embedding_maps,
    candidates,
    batches,
    schemes,
    label_deliveries,
    links,
    truth,
    failures,
    similar,
    refresh,
    models,
    report,
    dead_letters,
    outbox,
    silences,
    maintenance,
    alerts,
    privacy,
    health,
    tokens,
    teams,
    audit,
    documentation,
    console,
)


def create_app(service: Service) -> FastAPI:
    """The API over the given parts. It starts and stops nothing: whoever made the parts does."""
    return _application(service, _ROUTES)


def create_probes(probes: Probes) -> FastAPI:
    """What a role shows that takes no requests: health and metrics."""
    return _application(probes, (health,))


def create_waiting(probes: Probes) -> FastAPI:
    """What a process shows that can't work yet: a sender is told to come back, not that there is no such route."""
    app = create_probes(probes)
    app.add_route("/{path:path}", _not_yet, methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    return app


async def _not_yet(_request: Request) -> Response:
    return problem(503, "waiting", "this process waits for its store; send it again later", {"Retry-After": "5"})


def document(version: str) -> dict[str, Any]:
    """The OpenAPI document of the whole API, without anything behind it."""
    return openapi.document(_routed(version, _ROUTES))


def _routed(version: str, routes: Iterable[ModuleType]) -> FastAPI:
    app = FastAPI(
        title="driftgate",
        version=version or "unknown",
        docs_url=None,  # Swagger UI loads scripts from a third party; `documentation` serves a page of our own
        redoc_url=None,
        responses={422: {"model": Problem}},
        generate_unique_id_function=_operation_id,
    )
    app.openapi = partial(openapi.document, app)  # type: ignore[method-assign]  # as FastAPI has it: the method is replaced
    for module in routes:
        app.include_router(module.router)
    return app


def _application(service: Probes, routes: Iterable[ModuleType]) -> FastAPI:
    app = _routed(service.version, routes)
    app.state.service = service
    app.state.narrow = partial(narrowed, Reach())
    app.state.gate = _gate(service)
    register(app)
    app.add_middleware(NotModified)
    if isinstance(service, Service):
        app.add_middleware(AnswerOnce, store=service.store, clock=service.clock)
    limit = partial(_most_bytes, service)
    app.add_middleware(LimitBody, limit=limit)
    app.add_middleware(LimitLoad, settings=service.access.settings, limit=limit, exempt=_streams)
    app.add_middleware(RequireAccess, gate=app.state.gate, store=service.store if isinstance(service, Service) else None)
    app.add_middleware(GuardAnswers, https=(service.access.public_url or "").startswith("https://"))
    service.serves(str(path) for route in app.routes if (path := getattr(route, "path", "")))
    app.add_middleware(LogRequests, seen=service.seen)  # added last, so outermost
    return app


def _gate(service: Probes) -> Gate:
    if isinstance(service, Service):
        return Gate(service.access, service.lookups or Lookups(service.store), clock=service.clock)
    return Gate(service.access, service.lookups)


def _streams(method: str, path: str) -> bool:
    """What goes to disk piece by piece takes no memory."""
    return method == "PUT" and _MODEL.fullmatch(path) is not None


def _most_bytes(service: Probes, method: str, path: str) -> int:
    """Anybody may post labels and what else is open, and whoever trains may upload a model."""
    if path == label_deliveries.PATH or need(method, path) is None:
        return min(label_deliveries.MOST_BYTES, service.max_body_bytes)
    if _streams(method, path):
        return max(service.max_model_bytes, service.max_body_bytes)
    return service.max_body_bytes


def _operation_id(route: APIRoute) -> str:
    """The function's name: stable for generated clients, whatever the path."""
    return route.name
