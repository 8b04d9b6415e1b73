"""Errors as answers: one mapping from the error tree to status codes, one body `{"error", "message"}`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.errors import BacklogFullError, ConflictError, DeliveryError, DriftgateError, InputError, NotFoundError

_STATUS: tuple[tuple[type[DriftgateError], int, str], ...] = (
    (NotFoundError, 404, "not_found"),
    (ConflictError, 409, "conflict"),
    (BacklogFullError, 429, "backlog_full"),
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
}
_SHOWN_ERRORS = 5


def problem(status: int, error: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """`error` is for programs, `message` for people."""
    return JSONResponse({"error": error, "message": message}, status, headers)


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


async def _driftgate(_request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, InputError):
        return problem(status_of(error), error.reason, str(error))
    status, name = next((status, name) for kind, status, name in _STATUS if isinstance(error, kind))
    headers = {"Retry-After": str(max(1, math.ceil(error.retry_after)))} if isinstance(error, BacklogFullError) else None
    return problem(status, name, str(error), headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    lines = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg'].removeprefix('Value error, ')}" for e in found[:_SHOWN_ERRORS]]
    return problem(422, "invalid", "; ".join(lines))


async def _http(_request: Request, error: Exception) -> JSONResponse:
    """What the framework itself refuses: unknown routes, wrong methods, bodies that are too large."""
    if not isinstance(error, HTTPException):
        raise error
    name = "too_large" if error.status_code == 413 else HTTPStatus(error.status_code).name.lower()
    return problem(error.status_code, name, error.detail, error.headers)


async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    """A bug: the trace is in the log, not in the answer."""
    return problem(500, "internal", "an unexpected error; the log has the details")
