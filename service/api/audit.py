"""Who changed what."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field

from service.api.context import Served
from service.api.paging import Paged
from service.api.schemas import PageView, Problem, Time, View
from service.records import AuditEntry

router = APIRouter(prefix="/v1/audit", tags=["access"], responses={status: {"model": Problem} for status in (401, 403, 404)})


class EntryView(View):
    """One change."""

    id: str
    time: Time
    who: str = Field(description="The token's name, the person that the proxy named, `local`, or who typed the command.")
    way: Literal["api", "console", "cli"]
    token: str = Field(description="The id of the token that was shown.")
    address: str
    operation: str = Field(examples=["acknowledge_alarm"])
    monitor: str = Field(description="Empty where it concerns none, or several.")
    kind: str = Field(examples=["alarm"])
    subject: str
    before: Mapping[str, Any] | None = Field(description="The fields that changed as they were; null of what is new.")
    after: Mapping[str, Any] | None = Field(description="As they became. Of text that people or samples brought only that it changed.")


class AuditView(PageView):
    """Newest first."""

    entries: tuple[EntryView, ...]


@router.get("")
def list_audit(service: Served, page: Paged, monitor: str | None = None) -> AuditView:
    """Every change of state that somebody made, newest first, as far back as `access.audit_days`."""
    if monitor is not None:
        service.known(monitor)
    found = page.read(partial(service.store.find, AuditEntry, monitor=monitor))
    return AuditView(entries=tuple(map(view, found.rows)), next=found.next)


def view(entry: AuditEntry) -> EntryView:
    """As JSON shows it."""
    names = [name for name in EntryView.model_fields if name != "time"]
    return EntryView.model_validate({name: getattr(entry, name) for name in names} | {"time": entry.created})
