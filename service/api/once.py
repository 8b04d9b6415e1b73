"""A change that is sent twice is made once: the same Idempotency-Key within a day gets the answer that was given first."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.acting import who_acts
from service.api.problems import plain, problem, refusal
from service.errors import BacklogFullError, ConflictError, DriftgateError, NotFoundError
from service.ports import Store
from service.privacy.requests import DAY, HOUR, drop_hour
from service.records import KeyedAnswer

GIVEN_UP = 120.0
"""Seconds after which an answer is hardly still to come: the process ended meanwhile, before the change or after it."""
MOST_KEYS = 5_000
MOST_BYTES = 256 * 1024
"""Of an answer that is kept."""

_HEADER = b"idempotency-key"
_KEY = re.compile(rb"[!-~]{1,200}")
_WITHOUT = re.compile(r"/v1/(monitors/[^/]+/(samples|labels|explanation)|cloudevents(/.*)?|annotations(/.*)?|tokens(/.*)?)")
"""What counts once by its own ids, changes nothing, or answers what must not be kept."""
_KEPT = ("content-type", "etag", "link", "location")


def takes_key(path: str) -> bool:
    """Whether a POST there can be made once by a key."""
    return path.startswith("/v1/") and _WITHOUT.fullmatch(path) is None


class AnswerOnce:
    """Keeps what changes were answered, for as long as their senders may repeat them. What failed is not kept: it is tried again."""

    def __init__(self, app: ASGIApp, *, store: Store, clock: Callable[[], float]) -> None:
        self._app = app
        self._store = store
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        keys = [value for name, value in scope.get("headers", ()) if name == _HEADER]
        if not keys or scope["type"] != "http" or scope["method"] != "POST" or not takes_key(scope["path"]):
            await self._app(scope, receive, send)
        elif len(keys) > 1 or not _KEY.fullmatch(keys[0]):
            answer = problem(400, "idempotency", "Idempotency-Key: one of 1 to 200 printable ASCII characters without spaces")
            await answer(scope, receive, send)
        else:
            await self._keyed(keys[0], scope, receive, send)

    async def _keyed(self, key: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await _body(receive)
        except HTTPException as error:
            await plain(error)(scope, receive, send)
            return
        try:
            begun = await run_in_threadpool(self._begin, _id(key, scope), _request(scope, body))
        except DriftgateError as error:
            begun = refusal(error)
        if isinstance(begun, Response):
            _changed_nothing()
            await begun(scope, receive, send)
            return
        answer = _Recorded()
        try:
            await self._app(scope, _replayed(body), answer.take)
        finally:
            await run_in_threadpool(self._end, begun, answer)
        for message in answer.messages:
            await send(message)

    def _begin(self, id: str, request: str) -> KeyedAnswer | Response:
        """Takes the key for this request, or says what came of it before."""
        now = self._clock()
        new = KeyedAnswer(id, request, f"{now // HOUR:.0f}", now)
        try:
            found = self._store.get(KeyedAnswer, id)
        except NotFoundError:
            self._make_room(now)
        else:
            if found.created >= now - DAY:
                return _told(found, request, now)
            new = replace(new, version=found.version + 1)
        try:
            self._store.save(new)
        except ConflictError:  # somebody else has just begun with it
            return _under_way()
        return new

    def _end(self, begun: KeyedAnswer, answer: _Recorded) -> None:
        body = answer.body
        if not 200 <= answer.status < 300:
            self._store.drop(KeyedAnswer, [begun.id])
        elif len(body) > MOST_BYTES:
            self._store.save(replace(begun, status=0, version=begun.version + 1))
        else:
            headers = {name: value for name, value in answer.headers.items() if name in _KEPT}
            self._store.save(replace(begun, status=answer.status, headers=headers, body=body.decode(), version=begun.version + 1))

    def _make_room(self, now: float) -> None:
        """Hours that are over go, and the oldest ones before there are too many keys."""
        hours = sorted((int(state), count) for (_, state), count in self._store.tally(KeyedAnswer).items())
        left, latest = sum(count for _, count in hours), int(now // HOUR)
        for hour, count in hours:
            if hour < latest - DAY // HOUR or (left >= MOST_KEYS and hour < latest):
                drop_hour(self._store, str(hour))
                left -= count
        if left >= MOST_KEYS:
            raise BacklogFullError(f"{left} Idempotency-Keys came within this hour, no more are kept", retry_after=HOUR)


class _Recorded:
    """An answer, held back until it is kept."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.status = 500
        self.headers: dict[str, str] = {}

    async def take(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


def _changed_nothing() -> None:
    """The log of changes has the change that was made the first time."""
    by = who_acts()
    if by is not None:
        by.recorded += 1


def _told(found: KeyedAnswer, request: str, now: float) -> Response:
    if found.request != request:
        return problem(422, "idempotency", "Idempotency-Key: it was used for another request; take another key")
    if found.status is None and found.created < now - GIVEN_UP:
        return problem(409, "idempotency", "this was begun and never answered: look whether it was done; if not, send it with another key")
    if found.status is None:
        return _under_way()
    if not found.status:
        return problem(409, "idempotency", "this was done already; its answer was too large to be kept, read what it made")
    return Response(found.body, found.status, {**found.headers, "Idempotency-Replayed": "true"})


def _under_way() -> Response:
    return problem(409, "idempotency", "the request with this Idempotency-Key is being answered; send it again later", {"Retry-After": "5"})


def _id(key: bytes, scope: Scope) -> str:
    """Keys of different askers never meet."""
    principal = scope.get("state", {}).get("principal")
    who = "" if principal is None else f"{principal.token} {principal.name}"
    return hashlib.sha256(who.encode("utf-8", "backslashreplace") + b"\0" + key).hexdigest()[:32]


def _request(scope: Scope, body: bytes) -> str:
    asked = (scope["path"].encode("utf-8", "backslashreplace"), scope.get("query_string", b""), hashlib.sha256(body).digest())
    return hashlib.sha256(b"\0".join(asked)).hexdigest()


async def _body(receive: Receive) -> bytes:
    parts, more = bytearray(), True
    while more:
        message = await receive()
        parts += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(parts)


def _replayed(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
