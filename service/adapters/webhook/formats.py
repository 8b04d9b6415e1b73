"""One item in the forms that receivers read: Standard Webhooks, CloudEvents over HTTP, and GitHub's repository dispatch.

Each is a function of the item alone, so that every attempt carries the same body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import quote

import msgspec

from service.errors import DeliveryError
from service.events import attributes, cloud_event
from service.records import OutboxItem

Form: TypeAlias = Callable[[OutboxItem], tuple[dict[str, str], bytes]]
"""Item → (headers, body)."""

GITHUB_BYTES = 65_535
"""GitHub takes a `client_payload` of at most so many characters, and of ten fields at the top."""

_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def standard(item: OutboxItem) -> tuple[dict[str, str], bytes]:
    """`{"type", "timestamp", "data"}`."""
    occurred = datetime.fromtimestamp(item.created, UTC)
    return {"content-type": "application/json"}, msgspec.json.encode({"type": item.kind, "timestamp": occurred, "data": item.payload})


def structured(item: OutboxItem) -> tuple[dict[str, str], bytes]:
    """A CloudEvent as one JSON document."""
    return {"content-type": "application/cloudevents+json; charset=UTF-8"}, msgspec.json.encode(cloud_event(item))


def binary(item: OutboxItem) -> tuple[dict[str, str], bytes]:
    """A CloudEvent whose context is in `ce-` headers, and whose content is the body."""
    event = cloud_event(item)
    headers = {f"ce-{name}": quote(value, safe=_PRINTABLE) for name, value in attributes(event).items()}
    return {"content-type": str(event["datacontenttype"]), **headers}, msgspec.json.encode(event["data"])


def github(item: OutboxItem) -> tuple[dict[str, str], bytes]:
    """For `POST /repos/{owner}/{repo}/dispatches`: the event's context and content, under six names."""
    event = cloud_event(item)
    shown = {name: event[name] for name in ("id", "source", "subject", "time", "data") if name in event}
    if len(msgspec.json.encode(shown)) > GITHUB_BYTES:
        raise DeliveryError(f"{item.kind} {item.id}: GitHub takes events of at most {GITHUB_BYTES:,} bytes", retryable=False)
    headers = {"content-type": "application/json", "accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
    return headers, msgspec.json.encode({"event_type": event["type"], "client_payload": shown})


FORMS: Mapping[str, Form] = {"standard": standard, "cloudevents": structured, "cloudevents-binary": binary, "github": github}
