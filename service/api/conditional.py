"""Versions as entity tags: what did not change is not sent again, and what did is not changed by whoever has not seen it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Annotated

from fastapi import Header, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.context import Served
from service.errors import InputError
from service.ports import E
from service.records import Entity

IfMatch = Annotated[
    str | None,
    Header(max_length=1_000, description="The `ETag` that was read: 412 where it has changed since then. Left out: as it stands."),
]

_TAG = re.compile(r'(?:W/)?("[^"]*")|\*')


def tagged(response: Response, entity: E) -> E:
    """The entity, whose version becomes the answer's tag."""
    response.headers["ETag"] = _tag(entity)
    return entity


def unchanged(kind: type[Entity]) -> Callable[..., None]:
    """For routes that change the entity `id`: it is still as whoever changes it has read it, where they say what they read."""

    def compared(id: str, service: Served, if_match: IfMatch = None) -> None:
        if if_match is None:
            return
        entity = service.store.get(kind, id)
        if not _names(if_match, _tag(entity)):
            raise InputError("precondition", f"If-Match: {if_match!r:.60} was read, {_tag(entity)} is stored; read it again")

    return compared


def _tag(entity: Entity) -> str:
    return f'"{entity.version}"'


def _names(condition: str, tag: str) -> bool:
    """Whether one of the condition's tags is this one; a proxy that compresses may have made it a weak one."""
    found = list(_TAG.finditer(condition))
    return any(each.group(1) in (None, tag) for each in found)


class NotModified:
    """JSON that is read gets a tag by its content where it has none by its version; who has it already is told so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith("/v1/"):
            await self._app(scope, receive, _Answer(send, Headers(scope=scope).get("if-none-match", "")).take)
        else:
            await self._app(scope, receive, send)


class _Answer:
    """One answer on its way out: its beginning waits for its content, unless that comes in pieces."""

    def __init__(self, send: Send, known: str) -> None:
        self._send = send
        self._known = known
        self._start: Message | None = None
        self._is_known = False

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            self._start = message
        elif self._start is not None:
            start, self._start = self._start, None
            await self._begin(start, message)
        elif not self._is_known:
            await self._send(message)

    async def _begin(self, start: Message, message: Message) -> None:
        headers, body = MutableHeaders(scope=start), message.get("body", b"")
        is_whole = message["type"] == "http.response.body" and not message.get("more_body")
        if is_whole and "etag" not in headers and headers.get("content-type", "").startswith("application/json"):
            headers["ETag"] = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
        tag = headers.get("etag", "").removeprefix("W/")
        self._is_known = bool(tag) and _names(self._known, tag)
        if not self._is_known:
            await self._send(start)
            await self._send(message)
            return
        for name in ("content-length", "content-type"):
            del headers[name]
        await self._send({**start, "status": 304})
        await self._send({"type": "http.response.body"})
