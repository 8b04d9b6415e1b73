"""CloudEvents over HTTP: binary (`ce-` headers), structured and batched. Attributes are checked by the SDK, bodies stay untouched.

Two things are stricter than the SDK, which would invent a missing id and time: without an id nothing can be joined or repeated
harmlessly, and a missing time is the log's. The Content-Type of a binary event is not believed: a logged response carries its request's.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import CE_PREFIX, HTTPMessage, from_binary
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from service.decoding.json_text import parse_object
from service.decoding.sample_json import original_of
from service.errors import InputError
from service.records import Rejected

BATCH = "application/cloudevents-batch+json"


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvent: `attributes` without the time, `body` as bytes (binary mode, base64) or as read JSON."""

    id: str
    type: str
    time: datetime | None
    attributes: Mapping[str, str]
    body: Any
    original: bytes


def read_events(headers: Mapping[str, str], body: bytes, *, max_events: int = 1_000) -> list[Event | Rejected]:
    """Every event of a request, whichever mode it came in; header names in any case."""
    lowered = {name.lower(): value for name, value in headers.items()}
    if any(name.startswith(CE_PREFIX) for name in lowered):
        return [_read_event(body, lowered)]
    if lowered.get("content-type", "").partition(";")[0].strip().lower() != BATCH:
        return [_read_event(body)]
    try:
        texts = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (ValueError, RecursionError) as error:
        return [Rejected("json", f"not a JSON array of events that can be read: {error}", original_of(body))]
    if len(texts) > max_events:
        return [Rejected("too_large", f"{len(texts)} events in one request; send at most {max_events}", original_of(body))]
    return [_read_event(bytes(text), index=i) for i, text in enumerate(texts)]


def _read_event(text: bytes, headers: Mapping[str, str] | None = None, *, index: int = 0) -> Event | Rejected:
    try:
        event = _from_document(text) if headers is None else _from_headers(text, headers)
    except BaseCloudEventException as error:
        return Rejected("cloudevent", str(error), original_of(text), index)
    except InputError as error:
        return Rejected(error.reason, str(error), original_of(text), index)
    attributes = {name: str(value) for name, value in event.get_attributes().items() if name != "time"}
    return Event(event.get_id(), event.get_type(), event.get_time(), attributes, event.get_data(), text)


def _from_headers(body: bytes, headers: Mapping[str, str]) -> BaseCloudEvent:
    try:
        return from_binary(HTTPMessage(dict(headers), body), _Untouched(), _checked)
    except (ValueError, OverflowError) as error:
        raise InputError("time", f"ce-time {headers.get('ce-time')!r:.60}: expected RFC 3339: {error}") from error


def _from_document(text: bytes) -> BaseCloudEvent:
    document = {name: value for name, value in parse_object(text).items() if value is not None}
    content, encoded = document.pop("data", None), document.pop("data_base64", None)
    try:
        if "time" in document:
            document["time"] = msgspec.convert(document["time"], datetime)
    except ValueError as error:
        raise InputError("time", f"time {document['time']!r:.60}: expected RFC 3339: {error}") from error
    try:
        body = content if encoded is None else base64.b64decode(encoded, validate=True)
    except (ValueError, TypeError) as error:
        raise InputError("cloudevent", f"data_base64: {error}") from error
    return _checked(document, body)


def _checked(attributes: dict[str, Any], body: Any) -> BaseCloudEvent:
    """An event of the SDK, without the id and the time that it would invent."""
    if "id" not in attributes:
        raise InputError("cloudevent", "an event without id can't be joined or recognised when it comes again")
    timeless = "time" not in attributes
    event = CloudEvent(attributes, body)
    if timeless:
        del event.get_attributes()["time"]
    return event


class _Untouched(JSONFormat):
    """Leaves the body to us: it is decoded once, strictly, whatever its Content-Type says."""

    def read_data(self, body: bytes, datacontenttype: str | None) -> bytes:  # noqa: ARG002 - the SDK's signature
        return body
