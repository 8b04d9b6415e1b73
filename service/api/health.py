"""For those who keep the program running: probes and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.api.context import Probed
from service.api.schemas import Alive, Ready
from service.api.scraping import PATH, scraped
from service.errors import NotFoundError
from service.health import missing
from service.records import Role

router = APIRouter(tags=["operation"])


@router.get("/healthz", responses={503: {"model": Alive}})
async def is_alive(service: Probed, response: Response) -> Alive:
    """503 when a loop hangs: restart the program. Waits for no thread, which slow requests may have taken all."""
    stuck = service.heartbeats.silent()
    if stuck:
        response.status_code = 503
        return Alive(status="stuck", stuck=stuck)
    return Alive(status="alive")


@router.get("/readyz", responses={503: {"model": Ready}})
def is_ready(request: Request, service: Probed, response: Response) -> Ready:
    """503 while the role can't work, and what it waits for. Why, and which monitors there are, only for those who may ask anything:
    probes need no token."""
    waiting = missing(service.conditions)
    caller = request.state.principal
    told = caller is not None and caller.over_all(Role.READER)
    if waiting:
        response.status_code = 503
    return Ready(
        status="waiting" if waiting else "ready",
        waiting_for=tuple(waiting),
        without_reference=tuple(service.without_reference()) if told else (),
        reasons=waiting if told else {},
        monitors=tuple(service.monitors()) if told else (),
        notes=service.notes() if told else {},
    )


@router.get(PATH, response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
def get_metrics(request: Request, service: Probed) -> Response:
    """Metrics for Prometheus; 404 where they have a port of their own (server.metrics_port)."""
    if service.registry is None:
        raise NotFoundError("metrics have a port of their own here (server.metrics_port)")
    return scraped(service.registry, request)
