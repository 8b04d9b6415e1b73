"""How the API is run: uvicorn, without the things of its own that would leak or shout."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from service.errors import ConfigurationError

SHUTDOWN_SECONDS = 10
"""How long requests under way may take to end."""

CONNECTIONS = 1_000
"""Beyond it new connections are told 503."""


def listen(host: str, port: int, setting: str = "server.port") -> socket.socket:
    """A socket for `Server.run(sockets=[...])`; made before anything else starts, so that a taken port is told at once, by its setting."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind, protocol)  # asyncio sends without delay only where the protocol is named
    except OSError as error:
        raise ConfigurationError(f"{setting.replace('port', 'host')}: {host!r} is no address of this machine ({error.strerror})") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        variable = f"DRIFTGATE__{setting.upper().replace('.', '__')}"
        remedy = f"stop what uses it, or choose another port ({variable})"
        raise ConfigurationError(f"{setting}: can't listen on {host} port {port} ({error.strerror}); {remedy}") from error
    return listening


def server_for(app: FastAPI) -> uvicorn.Server:
    """A server that logs through our configuration (its own access log would show tokens in paths)."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who is believed about addresses is said by access.trusted_header alone
            lifespan="off",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            limit_concurrency=CONNECTIONS,
        )
    )
