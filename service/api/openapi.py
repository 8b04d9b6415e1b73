"""The OpenAPI document: what the routes say of themselves, completed by what holds for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.access.rules import need
from service.api.examples import Examples
from service.api.once import takes_key
from service.api.problems import MEDIA, TYPE

Operation: TypeAlias = dict[str, Any]

JSON = "application/json"

DESCRIPTION = """Production samples in; drift alarms, annotation batches and refresh cycles out.

- **Versions.** Every path begins with `/v1`; fields are added, and none is taken away or changes its meaning, while that stands.
- **Who asks.** `Authorization: Bearer TOKEN`; each operation says which role it needs. On loopback without a token everything is open.
- **Lists** are read page by page: `limit` and `cursor` in; `next`, and a `Link` header with `rel="next"`, out.
- **Errors** are problems as RFC 9457 has them, with `error` for programs and `message` for people beside its fields.
- **Once.** Where a POST takes an `Idempotency-Key`, the same key within a day gets the answer that the first request got.
- **Changes.** What has an `ETag` is changed under `If-Match` only if nobody changed it meanwhile, and read under `If-None-Match` only if
somebody did."""

TAGS: Mapping[str, str] = {
    "ingest": "Samples and logged inferences in, and what could not be used of them.",
    "monitors": "Monitors: how they are declared, where they stand, and what they keep.",
    "alarms": "Alarms, what they show, and what people say about them.",
    "explanations": "Why the model answered as it did, and how strange a sample is.",
    "annotation": "What goes to annotators, by which labels they answer, and what came back.",
    "truth": "Labels that come after the answers that they judge.",
    "failures": "What the model is known to fail on, and the kept samples that are most like something.",
    "refresh": "Refresh cycles, from the first batch to the model that serves.",
    "reports": "Blind-spot reports, and the ledger of what alarms came to.",
    "policy": "Defaults and checks for all monitors, and how far each keeps to them.",
    "notifications": "Who is told, who is not for a while, and whether the ways out work.",
    "access": "Tokens, and who did what.",
    "privacy": "What is let go of, and when.",
    "outbox": "What must leave.",
    "operation": "For those who keep the program running.",
}

ONCE = "Idempotency-Key"
BY_NATURE = frozenset({"send_samples", "send_events", "send_events_with_token", "send_labels", "send_annotations", "tell_annotations"})
"""POSTs that may be repeated without a key: what they bring has ids of its own, by which it counts once."""

ASKS = frozenset({"explain_given_sample"})
"""POSTs that change nothing."""

_ONCE: Mapping[str, Any] = {
    "name": ONCE,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "description": "Any name of this one change, such as a UUID: repeated within a day, the answer is the one of the first time.",
}
_SCHEMES: Mapping[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token by `driftgate token mint`; its role is ingest, reader, operator or admin.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "driftgate_session",
        "description": "Of the console, after a login with a token.",
    },
}
_TWICE = {
    400: "Something in the request can't be used.",
    409: "It is not in a state for this; or the same key is being answered.",
    422: "Not what is asked for; or the key was used for another request.",
}
_ALWAYS = {
    401: "No token, or one that does not stand.",
    403: "The token's role or scope is not enough.",
    429: "Too much at once.",
    503: "What state or samples live on can't be reached, or takes nothing now.",
}
_GIVEN = {400: "Something in the request can't be used.", 422: "The request is not of the form that is asked for."}
_NAMED = {404: "There is no such thing, or not for this token."}
_SENT = {413: "The body is too large.", 415: "The body is of another media type, or compressed."}
_EXAMPLES: Mapping[int, tuple[str, str]] = {
    400: ("cursor", "cursor: 'a41f' is no longer in the list; begin again without a cursor"),
    401: ("token", "send a token as `Authorization: Bearer ...`"),
    403: ("role", "this asks for the role operator; the token is a reader"),
    404: ("not_found", "no monitor 'suport'; there are: support"),
    409: ("conflict", "alarm a41f09c2e7d3: version 3 is stored, a change must bring 4, not 3; read it again"),
    410: ("link_ended", "this link ended on 2026-02-01"),
    412: ("precondition", "If-Match: version 2 was read, version 3 is stored; read it again"),
    413: ("too_large", "a body has at most 16000000 bytes"),
    415: ("unsupported_media_type", "Content-Type 'text/plain' is not taken; send application/json"),
    422: ("invalid", "query.limit: Input should be less than or equal to 1000"),
    429: ("backlog_full", "16000000 bytes wait for a decision; try again later"),
    502: ("delivery", "the other side did not take it"),
    503: ("unavailable", "Redis: connection refused; see whether it runs and can be reached"),
}


def document(app: FastAPI) -> dict[str, Any]:
    """Made once for an application."""
    if app.openapi_schema is None:
        app.openapi_schema = _completed(
            get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, license_info=_LICENCE)
        )
    return app.openapi_schema


_LICENCE = {"name": "Apache 2.0", "identifier": "Apache-2.0"}


def _completed(found: dict[str, Any]) -> dict[str, Any]:
    components = found.setdefault("components", {})
    components["securitySchemes"] = dict(_SCHEMES)
    examples = Examples(components.get("schemas", {}))
    used = dict[str, None]()
    for method, path, operation in operations(found):
        used |= dict.fromkeys(operation["tags"])
        _secured(operation, method, path)
        _repeatable(operation, method, path)
        _conditional(operation)
        _refused(operation, path)
        _answered(operation, examples)
        _asked(operation, examples)
    found["tags"] = [{"name": name, "description": TAGS[name]} for name in TAGS if name in used]
    return found


def operations(found: Mapping[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    """(method, path, operation) of each."""
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _secured(operation: Operation, method: str, path: str) -> None:
    role = need(method, path)
    operation["summary"] = operation["summary"].capitalize()
    if role is None:
        operation["security"] = []
        return
    operation["security"] = [{"bearer": []}, {"session": []}]
    operation["x-driftgate-role"] = str(role)
    operation["description"] += f"\n\nNeeds the role `{role}`."


def _refused(operation: Operation, path: str) -> None:
    """What any route may say, by what it is given."""
    reasons = _ALWAYS if operation["security"] else {}
    if operation.get("parameters") or "requestBody" in operation:
        reasons = reasons | _GIVEN
    if "{" in path or "requestBody" in operation or any(each["name"] == "monitor" for each in operation.get("parameters", ())):
        reasons = reasons | _NAMED
    if "requestBody" in operation:
        reasons = reasons | _SENT
    for status, description in reasons.items():
        operation["responses"].setdefault(str(status), {"description": description, "content": _problem(status)})


def _repeatable(operation: Operation, method: str, path: str) -> None:
    """What holds for changes that a sender repeats because it got no answer."""
    name = operation["operationId"]
    if method != "POST" or name in ASKS:
        return
    if name in BY_NATURE:
        operation["description"] += "\n\nMay be repeated as it is: what has come counts once, by its ids."
    elif not takes_key(path):
        operation["description"] += f"\n\nTakes no `{ONCE}`: its answer holds a secret, which is not kept."
    else:
        operation.setdefault("parameters", []).append(dict(_ONCE))
        for status, description in _TWICE.items():
            operation["responses"].setdefault(str(status), {"description": description, "content": _problem(status)})


def _conditional(operation: Operation) -> None:
    """What holds where somebody may say which version they read."""
    if any(parameter["name"] == "if-match" for parameter in operation.get("parameters", ())):
        operation["responses"].setdefault("412", {"description": "It has changed since it was read.", "content": _problem(412)})


def _answered(operation: Operation, examples: Examples) -> None:
    for status, answer in operation["responses"].items():
        for media, content in list(answer.get("content", {}).items()):
            if content.get("schema", {}).get("$ref", "").endswith("/Problem"):
                del answer["content"][media]
                answer["content"] |= _problem(int(status))
            elif not content.keys() & {"example", "examples"}:
                schema = content.setdefault("schema", {"type": "string"})
                content["example"] = examples.of(schema) if media == JSON else f"({media})"
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _problem(status: int) -> dict[str, Any]:
    error, message = _EXAMPLES.get(status, ("internal", "an unexpected error; the log has the details"))
    shown = {
        "type": TYPE + error,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "error": error,
        "message": message,
    }
    return {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": {**shown, "errors": []}}}


def _asked(operation: Operation, examples: Examples) -> None:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content.get("schema", {})
        if content.keys() & {"example", "examples"} or schema.get("format") == "binary":
            continue
        content["example"] = _LINES if schema.get("type") == "string" else examples.of(schema)
    for parameter in operation.get("parameters", ()):
        if "example" not in parameter and parameter["required"]:
            parameter["example"] = examples.of(parameter["schema"], _singular(parameter["name"], operation))


_LINES = '{"id": "m-17", "text": "where is my refund?"}\n{"id": "m-18", "text": "my card was cloned"}\n'


def _singular(name: str, operation: Operation) -> str:
    return re.sub(r"^x_|_sha256$", "", name) if name != "id" else operation["tags"][0].removesuffix("s")
