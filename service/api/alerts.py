"""Whether news would arrive."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from service.api.context import Served
from service.api.schemas import Act, Problem, View
from service.api.silences import is_limited
from service.errors import BacklogFullError, ConfigurationError, InputError
from service.notifying import trial

router = APIRouter(prefix="/v1/alerts", tags=["notifications"])

_TURN = threading.Lock()
_AGAIN = 5.0
"""Seconds."""


class TrialAct(Act):
    """A test of the ways of a monitor, of a team, or to a destination; of all ways where nothing is named."""

    monitor: str | None = Field(None, max_length=63, examples=["support"])
    team: str | None = Field(None, max_length=63, examples=["payments"])
    destination: str | None = Field(None, max_length=63, examples=["pager"])


class OutcomeView(View):
    """What came of it."""

    destination: str
    of: tuple[str, ...] = Field(description="Whose news lead there.", examples=[["monitor support"]])
    state: Literal["delivered", "failed", "waiting"] = Field(examples=["delivered"])
    says: str = Field(description="Why it failed, or waits.", examples=[""])


class TrialView(View):
    """Way by way."""

    ways: tuple[OutcomeView, ...]
    not_covered: tuple[str, ...]


@router.post(
    "/test",
    responses={
        404: {"model": Problem, "description": "Nothing leads anywhere from there."},
        429: {"model": Problem, "description": "Another test is under way."},
    },
)
def test_alerts(act: TrialAct, service: Served) -> TrialView:
    """Sends a message that is marked as a test through each way, by the controller that sends all news, and waits for what comes of it."""
    if is_limited(service) and act.monitor not in service.declaring.declared:
        raise InputError("monitor", "monitor: your role is over some monitors; name one of them")
    settings = service.settings()
    try:
        ways = trial.require(trial.ways(settings, monitor=act.monitor, team=act.team, destination=act.destination))
    except ConfigurationError as error:  # what is asked for is not declared: whoever asks is told, and nobody else has to look
        raise InputError("way", str(error)) from error
    items = trial.items(ways, actor=act.actor, now=service.clock())
    store = service.store if service.whole is None else service.whole.store
    with _alone():
        store.save(outbox=items)
        outcomes = trial.awaited(store, ways, items)
    return TrialView.model_validate({"ways": outcomes, "not_covered": trial.NOT_COVERED}, from_attributes=True)


@contextmanager
def _alone() -> Iterator[None]:
    """One test at a time: each keeps a thread waiting that senders and probes need as well."""
    if not _TURN.acquire(blocking=False):
        raise BacklogFullError("another test of alerts is under way; ask again in a few seconds", retry_after=_AGAIN)
    try:
        yield
    finally:
        _TURN.release()
