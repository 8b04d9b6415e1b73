"""Forms that nobody else can have made: each carries what only a page of this console was given."""

from __future__ import annotations

from typing import cast
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.exceptions import HTTPException

from service.access import sessions
from service.access.gate import Gate
from service.access.rules import READS
from service.api.context import Body

_MOST_FIELDS = 1_000


def gate_of(request: Request) -> Gate:
    """What requests are held against."""
    return cast("Gate", request.app.state.gate)


def csrf_token(request: Request) -> str:
    """For a hidden field `csrf` of every form on the page that answers this request."""
    return sessions.form_token(gate_of(request).access.key, _subject(request))


async def csrf_checked(request: Request, body: Body) -> None:
    """For routers whose routes take forms: what changes something carries the token of its page, in a field or a header."""
    if request.method in READS:
        return
    given = request.headers.get("x-csrf-token") or _field(body)
    if not sessions.is_form_token(gate_of(request).access.key, _subject(request), given):
        raise HTTPException(403, "this form is too old, or not the console's: load its page again and send it once more")


def _field(body: bytes) -> str:
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return ""
    return next((value for name, value in fields if name == "csrf"), "")


def _subject(request: Request) -> str:
    """Whose form it is: the session's, else the person's, else anybody's who is about to log in."""
    session, caller = request.state.session, request.state.principal
    if session is not None:
        return str(session.text)
    return "" if caller is None else f"{caller.way} {caller.name}"
