"""How the API is run: uvicorn, without the things of its own that would leak or shout."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI

SHUTDOWN_SECONDS = 10
"""How long requests under way may take to end."""

CONNECTIONS = 1_000
"""Beyond it new connections are told 503."""


def server_for(app: FastAPI, *, host: str, port: int) -> uvicorn.Server:
    """A server that logs through our configuration (its own access log would show tokens in paths)."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            limit_concurrency=CONNECTIONS,
        )
    )
