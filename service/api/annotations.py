"""Labels back from annotators."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException

from service.api.context import Body, Served
from service.api.schemas import AnnotationForm, Problem, Taken
from service.records import AnnotationBatch, Label
from service.signatures import verify

router = APIRouter(tags=["annotation"])

_SIGNATURE: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": "Standard Webhooks."}
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    ]
}


async def _authenticate(request: Request, body: Body, service: Served) -> None:
    """Off loopback labels are taken signed or not at all: they decide what the next model learns."""
    access = service.access
    if access.webhook_secrets:
        verify(access.webhook_secrets, request.headers, body, now=service.clock())
    elif not access.unsigned_annotations:
        raise HTTPException(403, "labels are taken signed only: set DRIFTGATE__WEBHOOK_SECRET here and at the sender")


@router.post(
    "/v1/annotations",
    dependencies=[Depends(_authenticate)],
    responses={status: {"model": Problem} for status in (403, 404, 409, 413)},
    openapi_extra=_SIGNATURE,
)
def send_annotations(form: AnnotationForm, service: Served) -> Taken:
    """Takes labels for an annotation batch, signed where a secret is set; repeating a delivery changes nothing."""
    monitor = service.store.get(AnnotationBatch, form.data.batch).monitor
    return Taken.model_validate(service.actions.take_labels(_labels(form, monitor), now=service.clock()))


def _labels(form: AnnotationForm, monitor: str) -> list[Label]:
    time = form.timestamp.timestamp()
    return [Label(monitor, form.data.batch, given.id, given.label, time, given.annotator, given.unusable) for given in form.data.labels]
