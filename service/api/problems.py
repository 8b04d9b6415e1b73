"""Errors as answers: one mapping from the error tree to status codes, one body, a problem as RFC 9457 has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.errors import (
    BacklogFullError,
    ConflictError,
    DeliveryError,
    DriftgateError,
    InputError,
    NotFoundError,
    UnavailableError,
)

MEDIA = "application/problem+json"
TYPE = "urn:driftgate:problem:"
"""What `type` begins with; `error` follows."""

AGAIN_SECONDS = 5
"""After which it is worth asking again where nothing else is known."""

_STATUS: tuple[tuple[type[DriftgateError], int, str], ...] = (
    (NotFoundError, 404, "not_found"),
    (ConflictError, 409, "conflict"),
    (BacklogFullError, 429, "backlog_full"),
    (UnavailableError, 503, "unavailable"),
    (DeliveryError, 502, "delivery"),
    (DriftgateError, 500, "internal"),
)
_INPUT_STATUS = {
    "link": 404,
    "link_ended": 410,
    "too_large": 413,
    "no_candidates": 409,
    "unsigned": 401,
    "bad_signature": 401,
    "stale": 401,
    "precondition": 412,
    "idempotency": 422,
}
_SHOWN_ERRORS = 5
_SHOWN_CHARACTERS = 2_000


class _Problem(JSONResponse):
    """An answer that says why there is no other."""

    media_type = MEDIA


def problem(status: int, error: str, message: str, headers: Mapping[str, str] | None = None, **more: Any) -> JSONResponse:
    """`error` is for programs, `message` for people; the other members say the same in RFC 9457's words."""
    text = message.encode("utf-8", "backslashreplace").decode()[:_SHOWN_CHARACTERS]  # half of a surrogate pair can't be sent
    standard = {"type": TYPE + error, "title": HTTPStatus(status).phrase, "status": status, "detail": text}
    return _Problem({**standard, "error": error, "message": text, **more}, status, headers)


def register(app: FastAPI) -> None:
    """Makes every error that a route lets through an answer of one form."""
    app.add_exception_handler(DriftgateError, _driftgate)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def status_of(error: DriftgateError) -> int:
    """What it is over HTTP."""
    if isinstance(error, InputError):
        return _INPUT_STATUS.get(error.reason, 400)
    return next(status for kind, status, _ in _STATUS if isinstance(error, kind))


def refusal(error: DriftgateError) -> JSONResponse:
    """An error of the tree as an answer."""
    if isinstance(error, InputError):
        return problem(status_of(error), error.reason, str(error))
    status, name = next((status, name) for kind, status, name in _STATUS if isinstance(error, kind))
    return problem(status, name, str(error), _again(error))


async def _driftgate(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, DriftgateError):
        raise error
    return refusal(error)


def plain(error: HTTPException) -> JSONResponse:
    """A refusal of the framework's kind as an answer."""
    name = "too_large" if error.status_code == 413 else HTTPStatus(error.status_code).name.lower()
    return problem(error.status_code, name, error.detail, error.headers)


def _again(error: Exception) -> Mapping[str, str] | None:
    """When it is worth asking again, where that can help."""
    if isinstance(error, BacklogFullError):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    return {"Retry-After": str(AGAIN_SECONDS)} if isinstance(error, UnavailableError) else None


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    errors = [{"where": _where(each["loc"]), "message": each["msg"].removeprefix("Value error, ")} for each in found[:_SHOWN_ERRORS]]
    return problem(422, "invalid", "; ".join(f"{each['where']}: {each['message']}" for each in errors), errors=errors)


def _where(place: Sequence[object]) -> str:
    """Names that the sender chose are cut: they are told back to it."""
    return ".".join(f"{part!s:.100}" for part in place).encode("utf-8", "backslashreplace").decode()


async def _http(_request: Request, error: Exception) -> JSONResponse:
    """What the framework itself refuses: unknown routes, wrong methods, bodies that are too large."""
    if not isinstance(error, HTTPException):
        raise error
    return plain(error)


async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    """A bug: the trace is in the log, not in the answer."""
    return problem(500, "internal", "an unexpected error; the log has the details")
