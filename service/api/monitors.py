"""Monitors as they stand."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.context import Served
from service.api.schemas import MonitorLine, MonitorView, Problem

router = APIRouter(tags=["monitors"])


@router.get("/v1/monitors")
def list_monitors(service: Served) -> list[MonitorLine]:
    """Every monitor with its state."""
    return [
        MonitorLine(monitor=name, state=service.standing.state(name), samples=service.store.samples_taken(name))
        for name in service.ingest.monitors
    ]


@router.get("/v1/monitors/{monitor}", responses={404: {"model": Problem}})
def get_monitor(monitor: str, service: Served) -> MonitorView:
    """One monitor: its state, what it still waits for, its evidence and its expected delay in time."""
    return MonitorView.model_validate(service.standing.document(service.known(monitor)))
