"""KServe's inference logger: which monitor an event belongs to, and the requests, responses or samples that it carries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from service.decoding.cloud_events import Event, read_events
from service.decoding.fields import segments_of
from service.decoding.json_text import parse_object
from service.decoding.kserve_bodies import instances_of, outputs_of
from service.decoding.options import SampleOptions
from service.decoding.sample_json import decode_sample, original_of, time_of
from service.errors import InputError
from service.losses import RESPONSE
from service.records import KEPT_BYTES, Item, Output, Rejected, Request, Response, Sample
from service.redaction import Redaction
from service.settings import KserveSettings, MonitorSettings

MAX_EVENT_ID = 200
_REQUEST, _RESPONSE = "inference.request", "inference.response"


def decode_events(
    headers: Mapping[str, str],
    body: bytes,
    *,
    monitors: Sequence[MonitorSettings],
    now: float,
    options: Callable[[MonitorSettings], SampleOptions] = SampleOptions.of,
) -> list[Item]:
    """All items of one HTTP request with CloudEvents, in order; what is unusable is rejected item by item."""
    items: list[Item] = []
    for event in read_events(headers, body):
        items.extend([event] if isinstance(event, Rejected) else routed(event, monitors, now=now, options=options))
    return items


def is_inference(event: Event) -> bool:
    """Whether the logger made it."""
    return event.type.endswith((_REQUEST, _RESPONSE))


def routed(
    event: Event,
    monitors: Sequence[MonitorSettings],
    *,
    now: float,
    options: Callable[[MonitorSettings], SampleOptions] = SampleOptions.of,
) -> Sequence[Item]:
    """What the event holds for its monitor, or a rejection."""
    monitor = route(event.attributes, monitors)
    return [unrouted(event)] if monitor is None else decode_event(event, monitor, now=now, options=options(monitor))


def route(attributes: Mapping[str, str], monitors: Sequence[MonitorSettings]) -> MonitorSettings | None:
    """The first monitor in declared order whose `kserve` fields all match; one without `kserve` takes no events."""
    return next((monitor for monitor in monitors if monitor.kserve is not None and matches(attributes, monitor.kserve)), None)


def matches(attributes: Mapping[str, str], wanted: KserveSettings) -> bool:
    """Whether all fields agree that are given."""
    found = {
        "namespace": attributes.get("namespace"),
        "service": attributes.get("inferenceservicename"),
        "endpoint": _endpoint(attributes),
        "source": attributes.get("source"),
    }
    return all(getattr(wanted, name) in (None, "", value) for name, value in found.items())


def unrouted(event: Event) -> Rejected:
    """For an event that no monitor takes."""
    names = ("namespace", "inferenceservicename", "endpoint", "source")
    shown = ", ".join(f"{name} {event.attributes.get(name)!r:.80}" for name in names)
    return Rejected("unrouted", f"no monitor's kserve section matches an event of {shown}", original_of(event.original))


def decode_event(event: Event, monitor: MonitorSettings, *, now: float, options: SampleOptions) -> Sequence[Item]:
    """What an event that was routed to the monitor holds."""
    try:
        return _decoded(event, monitor, now=now, options=options)
    except InputError as error:
        original = original_of(event.original, options.redaction)
        return [Rejected(error.reason, options.redaction.text(str(error)), original, monitor=monitor.name, stage=_stage(event))]


def _endpoint(attributes: Mapping[str, str]) -> str:
    """The logger leaves the default endpoint's name away."""
    return attributes.get("endpoint") or "default"


def _decoded(event: Event, monitor: MonitorSettings, *, now: float, options: SampleOptions) -> Sequence[Item]:
    if len(event.id) > MAX_EVENT_ID:
        raise InputError("field", f"ce-id of {len(event.id)} characters; at most {MAX_EVENT_ID} are taken")
    if event.type.endswith(_REQUEST):
        return _request(event, monitor, now=now, options=options)
    if event.type.endswith(_RESPONSE):
        return _response(event, monitor, options.redaction)
    raise InputError("event_type", f"type {event.type!r:.100}: expected org.kubeflow.serving.inference.request or .response")


def _request(event: Event, monitor: MonitorSettings, *, now: float, options: SampleOptions) -> Sequence[Item]:
    body = _body(event)
    time = time_of(event.time, math.nan, now=now, max_ahead=options.max_ahead)
    tags = segments_of(_tags(event, body, monitor.segments.tags))  # refused here, as every letter would have a copy of its own
    samples: list[Sample] = []
    unread: list[tuple[int, InputError]] = []
    rejected: list[Rejected] = []
    for i, instance in enumerate(instances_of(body, monitor)):
        if isinstance(instance, InputError):
            unread.append((i, instance))
            continue
        document = {**instance, "segments": _merged(tags, instance.get("segments"))}
        sample = decode_sample(document, monitor=monitor.name, now=now, default_id=f"{event.id}/{i}", default_time=time, options=options)
        if isinstance(sample, Rejected):
            rejected.append(replace(sample, index=i))
        else:
            samples.append(sample)
    rejected += _refused(event, monitor, unread, options.redaction)
    if monitor.kserve is not None and monitor.kserve.responses == "none":
        return [*samples, *rejected]
    return [*([Request(monitor.name, event.id, tuple(samples))] if samples else []), *rejected]


def _response(event: Event, monitor: MonitorSettings, redaction: Redaction) -> Sequence[Item]:
    """An answer that can't be read leaves its place empty, so that the others keep theirs."""
    if monitor.kserve is not None and monitor.kserve.responses == "none":
        return []
    answers = outputs_of(_body(event), monitor)
    outputs = tuple(Output() if isinstance(found, InputError) else redaction.output(found) for found in answers)
    rejected = _refused(event, monitor, ((i, found) for i, found in enumerate(answers) if isinstance(found, InputError)), redaction)
    return [Response(monitor.name, event.id, outputs), *rejected]


def _refused(event: Event, monitor: MonitorSettings, errors: Iterable[tuple[int, InputError]], redaction: Redaction) -> list[Rejected]:
    """The first carries the event: ten thousand copies of it would fill memory and disk."""
    told = redaction.text
    return [
        Rejected(error.reason, told(str(error)), b"" if number else original_of(event.original, redaction), i, monitor.name, _stage(event))
        for number, (i, error) in enumerate(errors)
    ]


def _stage(event: Event) -> str:
    """An answer that can't be read takes nothing from the input."""
    return RESPONSE if event.type.endswith(_RESPONSE) else "DECODE"


def _body(event: Event) -> Mapping[str, Any]:
    if isinstance(event.body, dict):
        return event.body
    text = event.body.encode() if isinstance(event.body, str) else event.body
    if not isinstance(text, bytes) or not text:
        raise InputError("body", "the event has no JSON object as its body")
    try:
        return parse_object(text)
    except InputError as error:
        if b'"binary_data_size"' in text[:KEPT_BYTES]:
            raise InputError("binary_data", "V2 with binary tensors is not read; let the client send JSON tensors") from error
        raise


def _merged(tags: Mapping[str, Any], own: Any) -> Any:
    """The event's tags under the instance's own; what is not an object of tags is left for the decoder to refuse."""
    return {**tags, **own} if isinstance(own, Mapping) else own or tags


def _tags(event: Event, body: Mapping[str, Any], declared: Sequence[str]) -> dict[str, Any]:
    """Values of the declared tags from, first to last: V2 parameters, request headers, annotations, the event's attributes."""
    if not declared:
        return {}
    attributes = {**event.attributes, "endpoint": _endpoint(event.attributes)}
    named = (body.get("parameters"), _parsed(event, "metadata"), _parsed(event, "annotations"), attributes)
    places = [{str(name).lower(): value for name, value in place.items()} for place in named if isinstance(place, Mapping)]
    found = {tag: next((place[tag.lower()] for place in places if tag.lower() in place), None) for tag in declared}
    return {tag: _first(value) for tag, value in found.items() if value not in (None, [])}


def _parsed(event: Event, attribute: str) -> Any:
    """A JSON object inside an attribute; a broken one gives no tags and does no harm to the sample."""
    try:
        return parse_object(event.attributes.get(attribute, "{}").encode())
    except (InputError, UnicodeEncodeError):
        return None


def _first(value: Any) -> Any:
    """Headers come as lists of values."""
    return value[0] if isinstance(value, list) else value
