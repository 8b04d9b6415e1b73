"""Labels back from annotators: kept at once, worked off from the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from service.access import HOOKS
from service.api.context import Body, Served, Service
from service.api.delivery_views import Deliveries, DeliveryView, Received, Told
from service.api.paging import Paged
from service.api.schemas import AnnotationForm, Problem
from service.errors import ConflictError
from service.records import AnnotationBatch, Delivery, DeliveryState, Label
from service.signatures import verify

router = APIRouter(tags=["annotation"])

PATH = "/v1/annotations"
MOST_BYTES = 2_000_000
"""Ten thousand labels fit; anybody may post here, and only what was read can be held against its signature."""

_JSON = "application/json"
_BODY = f"#/paths/{PATH.replace('/', '~1')}/post/requestBody/content/{_JSON.replace('/', '~1')}/schema"
_SIGNED: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": "Standard Webhooks."}
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    ],
    "requestBody": {
        "required": True,
        "content": {_JSON: {"schema": AnnotationForm.model_json_schema(ref_template=f"{_BODY}/$defs/{{model}}")}},
    },
}


def _form(request: Request, body: Body, service: Served) -> AnnotationForm:
    """The delivery, read only once its signature holds, and not in the thread that answers everybody else."""
    _authenticate(request, body, service)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise HTTPException(415, f"labels are taken as {_JSON} only; say so in Content-Type")
    try:
        return AnnotationForm.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError([{**found, "loc": ("body", *found["loc"])} for found in error.errors()]) from error


def _authenticate(request: Request, body: bytes, service: Service) -> None:
    """Off loopback labels are taken signed or not at all: they decide what the next model learns."""
    access = service.access
    if access.signed_annotations:
        verify(access.secrets(), request.headers, body, now=service.clock())
    elif not access.unsigned_annotations:
        raise HTTPException(403, "labels are taken signed only: set DRIFTGATE__WEBHOOK_SECRET here and at the sender")


@router.post(
    PATH,
    status_code=202,
    responses={status: {"model": Problem} for status in (403, 404, 409, 413, 415, 429)},
    openapi_extra=_SIGNED,
)
def send_annotations(form: Annotated[AnnotationForm, Depends(_form)], request: Request, service: Served) -> Received:
    """Keeps labels of an annotation batch, signed where a secret is set, and answers at once; a delivery that comes twice counts once."""
    monitor = service.store.get(AnnotationBatch, form.data.batch).monitor
    sent = request.headers.get("webhook-id", "")
    return Received.model_validate(service.inbox.receive(_labels(form, monitor), id=sent, source="webhook", now=service.clock()))


@router.get(PATH)
def list_deliveries(service: Served, page: Paged, monitor: str | None = None, state: DeliveryState | None = None) -> Deliveries:
    """What came in of labels, and what it did, newest first."""
    if monitor is not None:
        service.known(monitor)
    found = page.read(partial(service.store.find, Delivery, monitor=monitor, states=[state] if state else []))
    return Deliveries.model_validate({"deliveries": found.rows, "next": found.next}, from_attributes=True)


@router.get(f"{PATH}/{{delivery}}", responses={404: {"model": Problem}})
def get_delivery(delivery: str, service: Served) -> DeliveryView:
    """What became of one delivery of labels."""
    return DeliveryView.model_validate(service.store.get(Delivery, delivery))


@router.post(
    f"{HOOKS}{{destination}}", status_code=202, responses={status: {"model": Problem} for status in (400, 403, 404, 409, 413, 429)}
)
def tell_annotations(destination: str, request: Request, body: Body, service: Served) -> Told:
    """Keeps what a Label Studio server tells of annotations; it shows the token that it was given with the webhook."""
    hook = service.hook(destination)
    if not hook.admits(request.headers.get("authorization", "")):
        raise HTTPException(403, f"this is not the token that destination {destination} gave Label Studio with its webhook")
    told = hook.read(body)
    names = dict.fromkeys(label.batch for label in told)
    kept = [_told(service, destination, name, [label for label in told if label.batch == name]) for name in names]
    return Told(deliveries=tuple(delivery.id for delivery in kept))


def _told(service: Service, destination: str, name: str, told: Sequence[Label]) -> Delivery:
    batch = service.store.get(AnnotationBatch, name)
    if batch.destination != destination:
        raise ConflictError(f"annotation batch {name} was not sent to {destination}")
    labels = [replace(label, monitor=batch.monitor) for label in told]
    return service.inbox.receive(labels, source=destination, now=service.clock())


def _labels(form: AnnotationForm, monitor: str) -> list[Label]:
    time = form.timestamp.timestamp()
    return [Label(monitor, form.data.batch, given.id, given.label, time, given.annotator, given.unusable) for given in form.data.labels]
