"""For those who keep the program running: probes and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.api.context import Served
from service.api.schemas import Alive, Ready
from service.health import missing
from service.metrics import exposition

router = APIRouter(tags=["operation"])


@router.get("/healthz", responses={503: {"model": Alive}})
async def is_alive(service: Served, response: Response) -> Alive:
    """503 when a loop hangs: restart the program. Waits for no thread, which slow requests may have taken all."""
    stuck = service.heartbeats.silent()
    if stuck:
        response.status_code = 503
        return Alive(status="stuck", stuck=stuck)
    return Alive(status="alive")


@router.get("/readyz", responses={503: {"model": Ready}})
def is_ready(service: Served, response: Response) -> Ready:
    """503 while samples can't be taken and embedded; `driftgate doctor` says why."""
    waiting_for, undecided = missing(service.conditions), missing(service.references)
    if waiting_for:
        response.status_code = 503
        return Ready(status="waiting", waiting_for=waiting_for, without_reference=undecided)
    return Ready(status="ready", without_reference=undecided)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
def get_metrics(request: Request, service: Served) -> Response:
    """Metrics for Prometheus."""
    text, content_type = exposition(service.registry, request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": content_type})
