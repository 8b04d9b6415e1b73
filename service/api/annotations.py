"""Labels back from annotators."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from service.api.context import Body, Served, Service
from service.api.schemas import AnnotationForm, Problem, Taken
from service.records import Label
from service.signatures import verify

router = APIRouter(tags=["annotation"], responses={status: {"model": Problem} for status in (401, 403, 404, 413)})

_BODY: dict[str, Any] = {
    "parameters": [
        {
            "name": name,
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "Standard Webhooks; needed where a secret is set.",
        }
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": AnnotationForm.model_json_schema(ref_template="#/components/schemas/{model}")}},
    },
}


@router.post("/v1/annotations", openapi_extra=_BODY)
def send_annotations(request: Request, body: Body, service: Served) -> Taken:
    """Takes labels for an annotation batch, signed as Standard Webhooks says; repeating a delivery changes nothing."""
    now = service.clock()
    _authenticate(service, request, body, now)
    try:
        form = AnnotationForm.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_context=False, include_input=False)) from error
    service.known(form.data.monitor)
    return Taken(labels=service.actions.take_labels(_labels(form), now=now))


def _authenticate(service: Service, request: Request, body: bytes, now: float) -> None:
    """Off loopback labels are taken signed or not at all: they decide what the next model learns."""
    access = service.access
    if access.webhook_secrets:
        verify(access.webhook_secrets, request.headers, body, now=now)
    elif not access.unsigned_annotations:
        raise HTTPException(403, "labels are taken signed only: set DRIFTGATE__WEBHOOK_SECRET here and at the sender")


def _labels(form: AnnotationForm) -> list[Label]:
    return [
        Label(
            form.data.monitor,
            form.data.batch,
            given.sample,
            given.label,
            (given.time or form.timestamp).timestamp(),
            given.annotator,
            given.unusable,
        )
        for given in form.data.labels
    ]
