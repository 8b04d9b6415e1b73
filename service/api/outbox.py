"""What must leave: alerts, annotation batches, refresh requests."""

from __future__ import annotations

from enum import StrEnum
from functools import partial

from fastapi import APIRouter

from service.api.context import Served
from service.api.paging import Paged
from service.api.schemas import Act, Outbox, OutboxView, Problem

router = APIRouter(prefix="/v1/outbox", tags=["outbox"])


class OutboxState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"


@router.get("")
def list_outbox(service: Served, page: Paged, state: OutboxState | None = None) -> Outbox:
    """Items without their payloads, newest first; dead ones stay until they are replayed."""
    found = page.read(partial(service.store.outbox, states=[state] if state else []))
    return Outbox.model_validate({"items": found.rows, "next": found.next}, from_attributes=True)


@router.post("/{id}/replay", responses={404: {"model": Problem}, 409: {"model": Problem, "description": "The item is not dead."}})
def replay_item(id: str, act: Act, service: Served) -> OutboxView:
    """Makes a dead item due again."""
    return OutboxView.model_validate(service.actions.replay(id, actor=act.actor, now=service.clock()))
