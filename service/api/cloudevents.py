"""Logged inferences in: what KServe's inference logger sends."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from service.api.context import Body, Served
from service.api.samples import receipt
from service.api.schemas import Problem, Receipt

router = APIRouter(tags=["ingest"], responses={status: {"model": Problem} for status in (400, 413, 429)})

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A CloudEvent in binary mode (`ce-` headers), structured mode, or a batch; V1 and V2 inference bodies.",
        "content": {
            "application/json": {"schema": {"type": "object"}, "example": {"instances": ["where is my refund?"]}},
            "application/cloudevents+json": {"schema": {"type": "object"}},
            "application/cloudevents-batch+json": {"schema": {"type": "array"}},
        },
    }
}


@router.post("/v1/cloudevents", status_code=202, openapi_extra=_BODY)
def send_events(request: Request, body: Body, service: Served) -> Receipt:
    """Takes logged inferences. What can't be used becomes a dead letter and is still 202: loggers can't react to an answer."""
    return receipt(service.ingest.events(request.headers, body, now=service.clock()))


@router.post("/v1/cloudevents/{token}", status_code=202, openapi_extra=_BODY)
def send_events_with_token(token: str, request: Request, body: Body, service: Served) -> Receipt:  # noqa: ARG001 - the access rules read it
    """The same for senders that can't set headers: the ingest token is the last part of the path."""
    return receipt(service.ingest.events(request.headers, body, now=service.clock()))
