"""What leaves as CloudEvents 1.0, for whoever reads a topic or is triggered by events rather than by our own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.moments import written
from service.records import OutboxItem

TYPES = "io.driftgate."

_SUBJECTS = ("cycle", "batch", "alarm")


def cloud_event(item: OutboxItem) -> Mapping[str, Any]:
    """The event that the item holds, or is made of it; a function of the item alone, so that a repetition is the same event."""
    if "specversion" in item.payload:
        return item.payload
    monitor = item.payload.get("monitor")
    subject = next((str(item.payload[name]) for name in _SUBJECTS if item.payload.get(name)), None)
    named = item.kind if item.kind.startswith(TYPES) else TYPES + item.kind
    return envelope(item.id, named, item.payload, monitor=monitor, subject=subject, time=item.created)


def envelope(id: str, type: str, content: Mapping[str, Any], *, monitor: str | None, subject: str | None, time: float) -> dict[str, Any]:
    """An event of a monitor, or of the installation."""
    return {
        "specversion": "1.0",
        "id": id,
        "type": type,
        "source": f"/driftgate/monitors/{monitor}" if monitor else "/driftgate",
        **({"subject": subject} if subject else {}),
        "time": written(time),
        "datacontenttype": "application/json",
        "data": content,
    }


def attributes(event: Mapping[str, Any]) -> Mapping[str, str]:
    """The event's context as text, but for its content type: what the binary forms send as headers."""
    return {name: str(value) for name, value in event.items() if name not in ("data", "datacontenttype")}


def key(event: Mapping[str, Any]) -> str:
    """What keeps events of one cycle in order: its id, which they all have as their subject."""
    return str(event.get("subject") or event["id"])
