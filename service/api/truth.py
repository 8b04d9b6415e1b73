"""Labels that come after the answers that they judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from service.api.context import Body, Served
from service.api.schemas import Problem, View
from service.truth.taking import STANDING, Fate

router = APIRouter(tags=["truth"])

_LABEL = {"id": "m-17", "label": "refund", "time": "2026-03-04T09:30:00Z"}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Up to `server.max_items` labels. `time`: when the truth became known, now by default; `predicted`: what the model "
        "had answered, for a sample whose answer driftgate does not keep. Other fields are ignored, but not a misspelt one.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["labels"],
                    "properties": {
                        "labels": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["id", "label"],
                                "properties": {
                                    "id": {"type": "string", "minLength": 1, "maxLength": 1_000},
                                    "label": {"type": "string", "minLength": 1, "maxLength": 200},
                                    "time": {"type": "string", "format": "date-time"},
                                    "predicted": {"type": "string", "minLength": 1, "maxLength": 200},
                                },
                            },
                        }
                    },
                },
                "example": {"labels": [_LABEL]},
            }
        },
    }
}


class NamedLabel(View):
    """A label that needs a look."""

    id: str = Field(description="The sample's; of a label that can't be read, where it stands in the body.")
    fate: Fate
    message: str


class LabelReceipt(View):
    """What became of a delivery; what stands is durable, and repeating it changes nothing."""

    counts: Mapping[Fate, int] = Field(
        description="Labels `taken`, `repeated`, `corrected` (the newest stands, and is not counted again), `outdated` (a newer one "
        "stands), `unknown` (no answer is kept for the sample: send it again later), `outside` (no class of the monitor) and `malformed`."
    )
    named: tuple[NamedLabel, ...] = Field(description="The first hundred that need a look.")


@router.post(
    "/v1/monitors/{monitor}/labels",
    responses={
        422: {"model": LabelReceipt, "description": "No label stands; each has its reason."},
        **{status: {"model": Problem} for status in (400, 404, 409, 413)},
    },
    openapi_extra=_BODY,
)
def send_labels(monitor: str, body: Body, service: Served, response: Response) -> LabelReceipt:
    """Takes what turned out to be right for samples that the model has answered. Repeating a delivery changes nothing."""
    receipt = service.labels.deliver(service.known(monitor), body, now=service.clock())
    if not receipt.counts.keys() & STANDING:
        response.status_code = 422
    return LabelReceipt.model_validate(receipt, from_attributes=True)
