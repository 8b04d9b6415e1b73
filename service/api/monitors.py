"""Monitors as they stand."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.context import Served, Service
from service.api.schemas import MonitorLine, MonitorView, Problem, Undecided
from service.records import WHOLE

router = APIRouter(tags=["monitors"])

UNDECIDED_STATE = "warming up"
"""Before the first decision."""


@router.get("/v1/monitors")
def list_monitors(service: Served) -> list[MonitorLine]:
    """Every monitor with its state."""
    return [
        MonitorLine(monitor=name, state=_state(service, name), samples=service.store.samples_taken(name))
        for name in service.ingest.monitors
    ]


@router.get("/v1/monitors/{monitor}", responses={404: {"model": Problem}})
def get_monitor(monitor: str, service: Served) -> MonitorView:
    """One monitor: its state, what it still waits for, its evidence and its expected delay in time."""
    open_panes = [pane for pane in service.store.open_panes(service.known(monitor)) if pane.key.segment == WHOLE]
    document = {
        "monitor": monitor,
        "state": UNDECIDED_STATE,
        **service.store.status(monitor),
        "samples": service.store.samples_taken(monitor),
        "undecided": Undecided(panes=len(open_panes), samples=sum(pane.summary.count for pane in open_panes)),
    }
    return MonitorView.model_validate(document)


def _state(service: Service, monitor: str) -> str:
    return str(service.store.status(monitor).get("state", UNDECIDED_STATE))
