"""What every request passes before it reaches a route: the log line, guards for browsers, the limits, the access rules."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from urllib.parse import quote

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access import PROBES, Principal
from service.access.acting import Acting, acting
from service.access.auditing import note, settle_up
from service.access.gate import Admitted, Asked, Gate, RefusedError
from service.access.origins import network_of
from service.access.rules import CONSOLE, LOGIN, READS
from service.api.problems import problem
from service.errors import DriftgateError
from service.ports import Store
from service.records import Role
from service.settings import AccessSettings

_log = structlog.get_logger("driftgate.api")
_QUIET = PROBES | {"/metrics"}

_GUARDS: Mapping[str, str] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
)
_HTTPS: Mapping[str, str] = MappingProxyType({"Strict-Transport-Security": "max-age=31536000"})

DRAINED_BYTES, DRAINED_SECONDS = 64 * 2**20, 10.0
"""Of a body that is too large this much is thrown away before the answer: most senders read none while they still send."""

PATIENCE_SECONDS, SLOWEST_BYTES_PER_SECOND = 30.0, 1_000.0
"""How long a body may be waited for in all: so long, and as much longer as what has come would take a slow line."""


class LogRequests:
    """One line per request, with the route's template instead of its path where there is one."""

    def __init__(self, app: ASGIApp, *, seen: Callable[[str, int, float], object]) -> None:
        """seen : told of each request that a route has, or ''; its status, and how many seconds it took."""
        self._app = app
        self._seen = seen

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
            seconds = time.perf_counter() - started
            _report(scope, status, seconds)
            self._seen(getattr(scope.get("route"), "path", ""), status, seconds)


def _report(scope: Scope, status: int, seconds: float) -> None:
    path = getattr(scope.get("route"), "path", None) or _begins(scope["path"])
    write = _log.debug if path in _QUIET and status < 400 else _log.info
    write("http request", method=scope["method"], path=path, status=status, seconds=round(seconds, 4))


def _begins(path: str) -> str:
    """Of what no route has: what follows may be the token of a link, or ours."""
    first, *rest = path.strip("/").split("/", 2)
    return f"/{first}" + (f"/{rest[0]}" if rest else "") + ("/…" if len(rest) > 1 else "")


class GuardAnswers:
    """What every answer says to browsers: nothing may frame it, guess at it, keep it or load for it, unless its route says otherwise."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._guards = {**_GUARDS, **(_HTTPS if https else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._guards.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)


class LimitLoad:
    """Refuses what comes while as much is being worked on as fits: whoever sends comes again, and memory does not grow."""

    def __init__(
        self, app: ASGIApp, settings: AccessSettings, *, limit: Callable[[str, str], int], exempt: Callable[[str, str], bool]
    ) -> None:
        """limit, exempt : of a method and a path, the most bytes of a body, and whether these take no memory."""
        self._app = app
        self._settings = settings
        self._limit = limit
        self._exempt = exempt
        self._strangers = _Strangers(settings.requests_at_once)
        self._requests = 0
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        size, stranger, most = self._size(scope), _stranger(scope), self._settings
        full = self._requests >= most.requests_at_once or (self._bytes and self._bytes + size > most.bytes_at_once)
        if full or not self._strangers.enter(stranger):
            await problem(429, "busy", "as many requests as fit are being worked on; send it again", {"Retry-After": "1"})(
                scope, receive, send
            )
            return
        self._requests += 1
        self._bytes += size
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1
            self._bytes -= size
            self._strangers.leave(stranger)

    def _size(self, scope: Scope) -> int:
        """What a body may take; of one that does not say it, the most that there may be."""
        method, path, headers = scope["method"], scope["path"], _headers(scope)
        if self._exempt(method, path):
            return 0
        return self._limit(method, path) if "transfer-encoding" in headers else _claimed(headers)


class _Strangers:
    """Room for the bodies of those who show no token: an eighth of all there is, of which no address gets more than half. Whoever keeps
    them waiting keeps nobody else."""

    def __init__(self, most: int) -> None:
        self._most = max(2, most // 8)
        self._by: Counter[str] = Counter()

    def enter(self, network: str | None) -> bool:
        """Whether there is room; None, who is no stranger, always finds it."""
        if network is None:
            return True
        if self._by.total() >= self._most or self._by[network] >= self._most // 2:
            return False
        self._by[network] += 1
        return True

    def leave(self, network: str | None) -> None:
        """Makes room for the next."""
        if network is not None:
            self._by[network] -= 1
            self._by += Counter()  # forgets those who are all gone


def _stranger(scope: Scope) -> str | None:
    """Whence somebody sends whom nobody was asked to name; None of all others."""
    state = scope.get("state", {})
    if scope["method"] in READS or state.get("principal") is not None:
        return None
    return network_of(state.get("address", ""))


class RequireAccess:
    """Refuses what the access rules do not permit, before anything is read; tells the routes who asks, and the store who acts."""

    def __init__(self, app: ASGIApp, gate: Gate, store: Store | None = None) -> None:
        self._app = app
        self._gate = gate
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Asked(scope["method"], scope["path"], _headers(scope), (scope.get("client") or ("",))[0])
        try:
            admitted = self._gate.admit(asked) if self._gate.from_memory(asked) else await run_in_threadpool(self._gate.admit, asked)
        except RefusedError as refused:
            await _refusal(asked, refused)(scope, receive, send)
        except DriftgateError as error:
            answer = problem(503, "unavailable", f"nobody can be let in while the store does not answer: {error}", {"Retry-After": "5"})
            await answer(scope, receive, send)
        else:
            scope.setdefault("state", {}).update(
                principal=admitted.principal, need=admitted.need, session=admitted.session, address=admitted.address
            )
            await self._go_on(admitted, asked, scope, receive, send)

    async def _go_on(self, admitted: Admitted, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """Whoever may change something acts until the answer is there; what no entity tells of is noted afterwards."""
        changes = admitted.need in {Role.OPERATOR, Role.ADMIN} and asked.method not in READS
        if admitted.principal is None or not changes:
            await self._app(scope, receive, send)
            return
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with acting(_acting(admitted, admitted.principal, scope)) as by:
            await self._app(scope, receive, noting)
        if self._store is not None:
            await run_in_threadpool(self._written, self._store, by, scope, done=status < 400)

    def _written(self, store: Store, by: Acting, scope: Scope, *, done: bool) -> None:
        """What the request has left to be written down of it."""
        now = self._gate.clock()
        settle_up(store, by, now=now)
        if done and not by.recorded:
            named = scope.get("path_params", {})
            subject = {name: str(named[name])[:200] for name in named if name != "sample"}  # a sample may have to be forgotten
            note(store, by, now=now, monitor=subject.pop("monitor", ""), after=subject)


def _acting(admitted: Admitted, principal: Principal, scope: Scope) -> Acting:
    way = "console" if scope["path"].startswith(CONSOLE) else "api"

    def operation() -> str:
        return getattr(scope.get("route"), "name", None) or f"{scope['method']} {_begins(scope['path'])}"

    return Acting(principal.name, way, operation, principal.token, admitted.address)


def _refusal(asked: Asked, refused: RefusedError) -> Response:
    """People are led to the login; programs are told."""
    page = asked.method in READS and (asked.path == CONSOLE or asked.path.startswith(f"{CONSOLE}/"))
    if refused.status == 401 and page and not asked.shown:
        return RedirectResponse(f"{LOGIN}?next={quote(asked.path, safe='/')}", 303)
    return problem(refused.status, refused.error, refused.message, refused.headers)


class LimitBody:
    """Stops reading a body that is larger than its path's limit, whatever its length claims, one that never comes to its end, and one
    that is compressed."""

    def __init__(self, app: ASGIApp, limit: Callable[[str, str], int]) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, limit = _headers(scope), self._limit(scope["method"], scope["path"])
        if headers.get("content-encoding", "identity").lower() != "identity":
            await problem(415, "unsupported_media_type", "compressed bodies are not taken; send it as it is")(scope, receive, send)
        elif _claimed(headers) > limit:
            if "expect" not in headers:  # who asks first, with `100-continue`, has sent nothing yet
                await _drain(receive)
            await problem(413, "too_large", _too_large(limit), {"Connection": "close"})(scope, receive, send)
        else:
            await self._app(scope, _counted(receive, limit), send)


def _counted(receive: Receive, limit: int) -> Receive:
    taken, waited, over = 0, 0.0, False

    async def counting() -> Message:
        nonlocal taken, waited, over
        if over:
            return await receive()
        started = time.perf_counter()
        message = await _within(PATIENCE_SECONDS + taken / SLOWEST_BYTES_PER_SECOND - waited, receive)
        waited += time.perf_counter() - started
        taken += len(message.get("body", b""))
        over = not message.get("more_body")
        if taken > limit:
            if not over:
                await _drain(receive)
            raise HTTPException(413, _too_large(limit), {"Connection": "close"})
        return message

    return counting


async def _within(seconds: float, receive: Receive) -> Message:
    try:
        async with asyncio.timeout(seconds):
            return await receive()
    except TimeoutError:
        raise HTTPException(408, "the body did not come to its end in time; send it again", {"Connection": "close"}) from None


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
