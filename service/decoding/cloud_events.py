"""CloudEvents over HTTP and Kafka: binary (`ce-`, `ce_` headers), structured and batched. The SDK checks attributes, bodies stay untouched.

Two things are stricter than the SDK, which would invent a missing id and time: without an id nothing can be joined or repeated
harmlessly, and a missing time is the log's. The Content-Type of a binary event is not believed: a logged response carries its request's.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
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
EVENT_FORMATS = b"application/cloudevents"
"""Begins the content type of a record that holds an event as a whole."""

RECORD_PREFIX = "ce_"
"""Begins an attribute's header in a Kafka record."""


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


def read_record_events(headers: Mapping[str, bytes], body: bytes, *, max_events: int = 1_000) -> list[Event | Rejected]:
    """Every event of a Kafka record; header names in lower case. A content type of a format outranks `ce_` headers."""
    content = headers.get("content-type", b"").strip()
    if content.lower().startswith(EVENT_FORMATS):
        return read_events({"content-type": content.decode(errors="replace")}, body, max_events=max_events)
    return [_read(body, partial(_from_record, headers))]


def _read_event(text: bytes, headers: Mapping[str, str] | None = None, *, index: int = 0) -> Event | Rejected:
    return _read(text, _from_document if headers is None else partial(_from_headers, headers), index=index)


def _read(text: bytes, parse: Callable[[bytes], BaseCloudEvent], *, index: int = 0) -> Event | Rejected:
    try:
        event = parse(text)
    except BaseCloudEventException as error:
        return Rejected("cloudevent", str(error), original_of(text), index)
    except InputError as error:
        return Rejected(error.reason, str(error), original_of(text), index)
    attributes = {name: str(value) for name, value in event.get_attributes().items() if name != "time"}
    return Event(event.get_id(), event.get_type(), event.get_time(), attributes, event.get_data(), text)


def _from_headers(headers: Mapping[str, str], body: bytes) -> BaseCloudEvent:
    try:
        return from_binary(HTTPMessage(dict(headers), body), _Untouched(), _checked)
    except (ValueError, OverflowError) as error:
        raise InputError("time", f"ce-time {headers.get('ce-time')!r:.60}: expected RFC 3339: {error}") from error


def _from_record(headers: Mapping[str, bytes], body: bytes) -> BaseCloudEvent:
    """Kafka's attributes are UTF-8 as they stand, where HTTP's are percent-encoded."""
    names = {name: name.removeprefix(RECORD_PREFIX) for name in headers if name.startswith(RECORD_PREFIX)}
    try:
        attributes: dict[str, Any] = {attribute: headers[name].decode() for name, attribute in names.items()}
    except UnicodeDecodeError as error:
        raise InputError("cloudevent", f"a {RECORD_PREFIX} header that is not UTF-8: {error}") from error
    return _checked(_timed(attributes), body)


def _from_document(text: bytes) -> BaseCloudEvent:
    document = {name: value for name, value in parse_object(text).items() if value is not None}
    content, encoded = document.pop("data", None), document.pop("data_base64", None)
    document = _timed(document)
    try:
        body = content if encoded is None else base64.b64decode(encoded, validate=True)
    except (ValueError, TypeError) as error:
        raise InputError("cloudevent", f"data_base64: {error}") from error
    return _checked(document, body)


def _timed(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes with their time read."""
    if "time" not in attributes:
        return attributes
    try:
        return {**attributes, "time": msgspec.convert(attributes["time"], datetime)}
    except ValueError as error:
        raise InputError("time", f"time {attributes['time']!r:.60}: expected RFC 3339: {error}") from error


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
