"""Items that could not be used."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.context import Limit, Served
from service.api.schemas import DeadLetters, DeadLetterView, Problem
from service.decoding.legible import legible
from service.records import DeadLetter

router = APIRouter(tags=["ingest"])

SHOWN_BYTES = 2_000


@router.get("/v1/dead-letters", responses={404: {"model": Problem}})
def list_dead_letters(service: Served, monitor: str | None = None, limit: Limit = 100) -> DeadLetters:
    """Dead letters with their reasons, newest first."""
    if monitor is not None:
        service.known(monitor)
    return DeadLetters(dead_letters=tuple(view(letter) for letter in service.store.dead_letters(monitor=monitor, limit=limit)))


def view(letter: DeadLetter) -> DeadLetterView:
    """How a dead letter is shown."""
    rejected = letter.rejected
    return DeadLetterView(
        id=letter.id,
        monitor=rejected.monitor,
        reason=rejected.reason,
        message=rejected.message,
        stage=rejected.stage,
        partition=str(letter.partition),
        offset=letter.offset,
        index=rejected.index,
        time=letter.time,
        original=legible(rejected.original)[:SHOWN_BYTES],
    )
