"""Samples in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.exceptions import HTTPException

from service.api.context import Body, Served
from service.api.schemas import Problem, Receipt
from service.ingest import Answer

router = APIRouter(tags=["ingest"])

JSON = "application/json"
LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")

_SAMPLE = {
    "id": "m-17",
    "time": "2026-03-01T12:00:00Z",
    "text": "where is my refund?",
    "segments": {"locale": "en"},
    "output": {"label": "refund", "probabilities": [0.9, 0.1]},
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": 'One sample, an array, `{"samples": [...]}`, or one per line. Each has one of text, image (base64) and vector.',
        "content": {
            JSON: {
                "schema": {"type": ["object", "array"]},
                "examples": {"one": {"value": _SAMPLE}, "many": {"value": {"samples": [_SAMPLE]}}},
            },
            LINES[0]: {"schema": {"type": "string"}},
        },
    }
}


def receipt(answers: Sequence[Answer]) -> Receipt:
    """The answers with their tally."""
    accepted = sum(answer.reason is None for answer in answers)
    return Receipt.model_validate({"results": answers, "accepted": accepted, "rejected": len(answers) - accepted}, from_attributes=True)


async def _one_per_line(request: Request) -> bool:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != JSON and media not in LINES:
        raise HTTPException(415, f"Content-Type {media or '(none)'!r:.80} is not taken; send {JSON} or {LINES[0]}")
    return media in LINES


OnePerLine = Annotated[bool, Depends(_one_per_line)]


@router.post(
    "/v1/monitors/{monitor}/samples",
    status_code=202,
    responses={
        422: {"model": Receipt, "description": "No sample was accepted; each has its reason."},
        **{status: {"model": Problem} for status in (404, 413, 415, 429)},
    },
    openapi_extra=_BODY,
)
def send_samples(monitor: str, one_per_line: OnePerLine, body: Body, service: Served, response: Response) -> Receipt:
    """Takes samples. 202 when at least one is durable; every item has its own answer, so send only the rejected ones again."""
    answers = service.ingest.samples(monitor, body, lines=one_per_line, now=service.clock())
    receipts = receipt(answers)
    if not receipts.accepted:
        response.status_code = 422
    return receipts
