"""Annotation batches."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.context import Limit, Served
from service.api.schemas import Act, Batches, BatchView, Problem
from service.records import AnnotationBatch, BatchState

router = APIRouter(prefix="/v1/batches", tags=["annotation"], responses={404: {"model": Problem}})


@router.get("")
def list_batches(service: Served, monitor: str | None = None, state: BatchState | None = None, limit: Limit = 100) -> Batches:
    """Batches without their candidates, newest first."""
    if monitor is not None:
        service.known(monitor)
    found = service.store.find(AnnotationBatch, monitor=monitor, states=[state] if state else [], limit=limit)
    return Batches.model_validate({"batches": found}, from_attributes=True)


@router.get("/{id}")
def get_batch(id: str, service: Served) -> BatchView:
    """One batch with its candidates."""
    return BatchView.model_validate(service.store.get(AnnotationBatch, id))


@router.post("/{id}/approve", responses={409: {"model": Problem}})
def approve_batch(id: str, act: Act, service: Served) -> BatchView:
    """Sends a proposed batch to annotators."""
    return BatchView.model_validate(service.actions.approve_batch(id, actor=act.actor, note=act.note, now=service.clock()))


@router.post("/{id}/close", responses={409: {"model": Problem}})
def close_batch(id: str, act: Act, service: Served) -> BatchView:
    """Goes on with the labels that have come back."""
    return BatchView.model_validate(service.actions.close_batch(id, actor=act.actor, note=act.note, now=service.clock()))
