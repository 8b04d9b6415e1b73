"""What every page of the console shares: templates, navigation, forms, paging, notices, and errors in plain words."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from service.api.console import charts, written
from service.api.console.navigation import NAVIGATION, of_monitor
from service.api.problems import status_of
from service.api.sessions import csrf_checked, csrf_token
from service.errors import DriftgateError, InputError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ROWS = 20
"""Of a page of a list."""

_FOLDER = Path(__file__).parent
_MOST_FORM = 64_000
_MOST_FIELDS = 300

NOTICES: dict[str, str] = {}
"""What a page says after a change, by the word that its address carries; each module of pages adds its own."""

TITLES: Mapping[int, str] = {
    400: "That could not be read",
    401: "Who are you?",
    403: "You may not do that",
    404: "There is no such thing here",
    405: "That can't be done here",
    409: "It has changed meanwhile",
    413: "That is too much at once",
    422: "Something in the form is not right",
    429: "Too busy just now",
    502: "Another system did not answer",
    503: "Not ready yet",
}


# --- pages ------------------------------------------------------------------------------------------------------------


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A template as an answer, with everything that the frame around it needs."""
    around = {
        "request": request,
        "notice": NOTICES.get(request.query_params.get("done", "")),
        "navigation": NAVIGATION,
        "principal": principal(request),
        "version": getattr(request.app.state.service, "version", ""),
        "csrf": csrf_token(request),
        "session": request.state.session,
    }
    text = _environment().get_template(template).render(around | context)
    return HTMLResponse(text, status, _HEADERS)


def back(to: str, done: str = "") -> RedirectResponse:
    """After a change: the page that shows what it did, asked for anew. `done`: the word of a notice."""
    mark = "&" if "?" in to else "?"
    return RedirectResponse(f"{to}{mark}done={quote(done)}" if done else to, 303)


def path(*parts: str) -> str:
    """An address below /console, of names that may hold anything."""
    return "/console/" + "/".join(quote(part, safe="") for part in parts)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(written.FILTERS)
    environment.globals.update(path=path, static=static, of_monitor=of_monitor, charts=charts, query=query)
    return environment


def query(request: Request, **changed: str | None) -> str:
    """The page's own address with some of what it asks for changed; None and '' leave it out."""
    asked = [(name, value) for name, value in request.query_params.multi_items() if name not in changed and name != "done"]
    kept = [(name, value) for name, value in (*asked, *changed.items()) if value]
    return f"{request.url.path}?{urlencode(kept)}" if kept else request.url.path


# --- who asks ---------------------------------------------------------------------------------------------------------


def principal(request: Request) -> Any:
    """Who asks, as the access rules found out; None where nobody said."""
    return getattr(request.state, "principal", None)


def actor(request: Request) -> str:
    """The name that a change is recorded under."""
    return getattr(principal(request), "name", "") or "console"


# --- forms ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form that was sent."""

    fields: tuple[tuple[str, str], ...]

    def text(self, name: str, *, most: int = 2_000, needed: bool = False) -> str:
        """A field without the space around it; '' where it is missing."""
        value = next((value for key, value in self.fields if key == name), "").strip()
        if len(value) > most:
            raise InputError("invalid", f"{name}: at most {most:,} characters, found {len(value):,}")
        if needed and not value:
            raise InputError("invalid", f"{name}: must be filled in")
        return value

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a field that may come several times, such as ticked boxes."""
        return tuple(value for key, value in self.fields if key == name)

    def number(self, name: str, *, least: float, most: float) -> float:
        """A field as a number."""
        text = self.text(name, most=40, needed=True)
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise InputError("invalid", f"{name}: must be a number from {least:g} to {most:g}, found {text!r}")
        return value


async def _form(request: Request) -> Form:
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise InputError("invalid", "a form of the console is sent as application/x-www-form-urlencoded")
    body = await request.body()
    if len(body) > _MOST_FORM:
        raise InputError("too_large", f"a form has at most {_MOST_FORM:,} bytes, found {len(body):,}")
    try:
        found = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise InputError("invalid", f"the form can't be read: {error}") from error
    return Form(tuple(found))


Filled = Annotated[Form, Depends(_form)]
After = Annotated[str | None, Query(max_length=200, description="The last of the page before.")]


# --- errors in plain words --------------------------------------------------------------------------------------------


class _PlainErrors(APIRoute):
    """What a page can't do is said on a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await answer(request)
            except DriftgateError as error:
                status = status_of(error)
                return error_page(request, 422 if status == 400 else status, str(error))
            except RequestValidationError as error:
                return error_page(request, 422, _said(error))
            except HTTPException as error:
                return error_page(request, error.status_code, str(error.detail))

        return answered


def _said(error: RequestValidationError) -> str:
    return "; ".join(f"{found['loc'][-1]}: {found['msg']}" for found in error.errors()[:5])


def error_page(request: Request, status: int, message: str) -> HTMLResponse:
    """What went wrong, and where to go from there."""
    title = TITLES.get(status, "Something went wrong")
    return page(request, "error.html", status=status, title=title, message=message)


def pages() -> APIRouter:
    """A router for pages: below /console, outside the API's schema, its errors as pages."""
    return APIRouter(prefix="/console", include_in_schema=False, route_class=_PlainErrors, dependencies=[Depends(csrf_checked)])


# --- static files -----------------------------------------------------------------------------------------------------

_MEDIA = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
statics = APIRouter(prefix="/console/static", include_in_schema=False)


@cache
def _static() -> Mapping[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((_FOLDER / "static").iterdir()) if file.suffix in _MEDIA}


def static(name: str) -> str:
    """A file's address; another content has another one, so that browsers may keep it."""
    return f"/console/static/{name}?v={sha256(_static()[name]).hexdigest()[:12]}"


@statics.get("/{name}")
async def static_file(name: str) -> Response:
    """One of the console's own files."""
    content = _static().get(name)
    if content is None:
        raise HTTPException(404)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=_MEDIA[Path(name).suffix], headers=headers)
