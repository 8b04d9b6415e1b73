"""`/metrics` on a port of its own: for Prometheus, and for nobody's browser."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry

from service.access.origins import local_name
from service.api.problems import problem
from service.metrics import exposition

PATH = "/metrics"


def create_metrics(registry: CollectorRegistry, token: Callable[[], str] | None, *, loopback: bool) -> FastAPI:
    """Answers whoever sends the token; without one everybody who can reach the port, on loopback by its own name alone."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get(PATH)
    def scrape(request: Request) -> Response:
        if token is not None and not _has(request, token()):
            return problem(401, "token", "send the token of server.metrics_token_file as `Authorization: Bearer ...`", _ASKS)
        if token is None and loopback and not local_name(request.headers.get("host", "")):
            return problem(403, "host", "without a token this port answers to localhost only; set one to use another name")
        return scraped(registry, request)

    return app


def scraped(registry: CollectorRegistry, request: Request) -> Response:
    """The answer to a scrape."""
    text, content_type = exposition(registry, request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": content_type, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"})


_ASKS = {"WWW-Authenticate": "Bearer"}


def _has(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
