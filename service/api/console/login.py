"""Logging in with a token, and out again."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException

from service.access import sessions
from service.access.gate import RefusedError
from service.access.origins import local_name
from service.access.rules import CONSOLE, LOGIN, LOGOUT
from service.api.console.frame import Filled, page, pages
from service.api.sessions import gate_of

router = pages()


@router.get(LOGIN.removeprefix(CONSOLE))
def show_login(request: Request, next: str = CONSOLE, failed: bool = False) -> HTMLResponse:
    """Asks for a token."""
    return page(request, "login.html", then=_own_page(next), failed=failed)


@router.post(LOGIN.removeprefix(CONSOLE))
def log_in(request: Request, form: Filled) -> RedirectResponse:
    """Begins a session for whoever shows a token that may at least read."""
    gate, then = gate_of(request), _own_page(form.text("next"))
    try:
        session = gate.log_in(form.text("token", most=600), request.state.address)
    except RefusedError as refused:
        raise HTTPException(refused.status, refused.message, refused.headers) from refused
    if session is None:
        return RedirectResponse(f"{LOGIN}?failed=true&next={quote(then, safe='/')}", 303)
    answer = RedirectResponse(then, 303)
    lasts = int(session.expires - gate.clock())
    answer.set_cookie(sessions.COOKIE, session.text, lasts, httponly=True, samesite="strict", secure=_is_encrypted(request))
    return answer


@router.post(LOGOUT.removeprefix(CONSOLE))
def log_out(request: Request) -> RedirectResponse:
    """Ends the session in this browser; revoking its token ends it everywhere."""
    answer = RedirectResponse(LOGIN, 303)
    answer.delete_cookie(sessions.COOKIE, httponly=True, samesite="strict", secure=_is_encrypted(request))
    return answer


def _own_page(path: str) -> str:
    """Where to go after the login: a page of the console, and nothing elsewhere."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return CONSOLE
    inside = path == CONSOLE or path.startswith(f"{CONSOLE}/")
    foreign = parts.scheme or parts.netloc or "\\" in path or ".." in path or not path.isprintable()
    return path if inside and not foreign and not path.startswith((LOGIN, LOGOUT)) else CONSOLE


def _is_encrypted(request: Request) -> bool:
    """Whether the session may travel by HTTPS alone: everywhere but on this machine."""
    return not local_name(request.headers.get("host", "")) or request.url.scheme == "https"
