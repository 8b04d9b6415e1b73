"""The console: what people look at in a browser, served by the api role; no build step, nothing loaded from elsewhere."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from service.api.console import (
    alarms,
    batches,
    blind_spots,
    configuration,
    cycles,
    fleet,
    frame,
    health,
    login,
    maps,
    monitor,
    silences,
    similar,
)

PAGES: tuple[APIRouter, ...] = (
    login.router,
    fleet.router,
    monitor.router,
    alarms.router,
    silences.router,
    maps.router,
    batches.router,
    cycles.router,
    blind_spots.router,
    similar.router,
    configuration.router,
    health.router,
)

router = APIRouter(include_in_schema=False)


@router.get("/", include_in_schema=False)
@router.get("/console", include_in_schema=False)
async def lead_in() -> RedirectResponse:
    """The console begins with the fleet."""
    return RedirectResponse("/console/fleet", 307)


router.include_router(frame.statics)
for _pages in PAGES:
    router.include_router(_pages)


async def nowhere(request: Request) -> Response:
    """What has no page says so on one."""
    return frame.error_page(request, 404, f"the console has no page at {request.url.path}")


router.add_route("/console/{rest:path}", nowhere, methods=["GET"], include_in_schema=False)
