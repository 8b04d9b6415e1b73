"""Items that could not be used."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter

from service.api.context import Served
from service.api.paging import Paged
from service.api.schemas import DeadLetters, DeadLetterView, Problem
from service.decoding.legible import legible
from service.records import DeadLetter

router = APIRouter(tags=["ingest"])

SHOWN_BYTES = 2_000


@router.get("/v1/dead-letters", responses={404: {"model": Problem}})
def list_dead_letters(service: Served, page: Paged, monitor: str | None = None) -> DeadLetters:
    """Dead letters with their reasons, newest first."""
    if monitor is not None:
        service.known(monitor)
    found = page.read(partial(service.store.dead_letters, monitor=monitor))
    return DeadLetters(dead_letters=tuple(map(view, found.rows)), next=found.next)


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
