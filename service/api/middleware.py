"""What every request passes before it reaches a route: the log line, the access rules, the size limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access import PROBES, Access
from service.api.problems import problem

_log = structlog.get_logger("driftgate.api")
_QUIET = PROBES | {"/metrics"}

DRAINED_BYTES, DRAINED_SECONDS = 64 * 2**20, 10.0
"""Of a body that is too large this much is thrown away before the answer: most senders read none while they still send."""


class LogRequests:
    """One line per request, with the route's template instead of its path where there is one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            _report(scope, status, time.perf_counter() - started)


def _report(scope: Scope, status: int, seconds: float) -> None:
    path = getattr(scope.get("route"), "path", None) or _begins(scope["path"])
    write = _log.debug if path in _QUIET and status < 400 else _log.info
    write("http request", method=scope["method"], path=path, status=status, seconds=round(seconds, 4))


def _begins(path: str) -> str:
    """Of what no route has: what follows may be the token of a link, or ours."""
    first, *rest = path.strip("/").split("/", 2)
    return f"/{first}" + (f"/{rest[0]}" if rest else "") + ("/…" if len(rest) > 1 else "")


class RequireAccess:
    """Refuses what the access rules do not permit, before anything is read."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._access.permits(scope["path"], _headers(scope), method=scope["method"]):
            await self._app(scope, receive, send)
        else:
            await self._refusal()(scope, receive, send)

    def _refusal(self) -> Response:
        if self._access.token is None:
            return problem(403, "host", "without a token this server answers to localhost only; set one to use another name")
        return problem(401, "token", "send the ingest token as `Authorization: Bearer ...`", {"WWW-Authenticate": "Bearer"})


class LimitBody:
    """Stops reading a body that is larger than its path's limit, whatever its length claims, and one that is compressed."""

    def __init__(self, app: ASGIApp, limit: Callable[[str], int]) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, limit = _headers(scope), self._limit(scope["path"])
        if headers.get("content-encoding", "identity").lower() != "identity":
            await problem(415, "unsupported_media_type", "compressed bodies are not taken; send it as it is")(scope, receive, send)
        elif _claimed(headers) > limit:
            if "expect" not in headers:  # who asks first, with `100-continue`, has sent nothing yet
                await _drain(receive)
            await problem(413, "too_large", _too_large(limit), {"Connection": "close"})(scope, receive, send)
        else:
            await self._app(scope, _counted(receive, limit), send)


def _counted(receive: Receive, limit: int) -> Receive:
    taken = 0

    async def counting() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            if message.get("more_body"):
                await _drain(receive)
            raise HTTPException(413, _too_large(limit), {"Connection": "close"})
        return message

    return counting


async def _drain(receive: Receive) -> None:
    """Lets the sender come to its end, or to ours."""
    left, more = DRAINED_BYTES, True
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAINED_SECONDS):
            while more and left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                more = message.get("more_body", False)


def _too_large(limit: int) -> str:
    return f"a body of more than {limit} bytes, the most that is taken here; send it in several requests"


def _headers(scope: Scope) -> Mapping[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _claimed(headers: Mapping[str, str]) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0
