"""Records of Kafka topics: CloudEvents in either mode, JSON of a declared shape, and what our own ingest wrote.

A topic's record goes to every monitor that reads the topic: logged inferences to those whose `kserve` section matches (or that have
none), samples to all. On the ingest topic entries name their monitor themselves, and events are routed as over HTTP. A record decodes
alike whenever and by whomever it is read: its clock is the log's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import msgspec

from service.decoding.cloud_events import EVENT_FORMATS, RECORD_PREFIX, Event, read_record_events
from service.decoding.envelope import CONTENT_TYPE
from service.decoding.envelope import decode as decode_entry
from service.decoding.field_map import FieldMap
from service.decoding.kserve import MAX_EVENT_ID, decode_event, is_inference, matches, routed, unrouted
from service.decoding.options import SampleOptions
from service.decoding.sample_json import decode_samples, original_of, time_of
from service.errors import InputError
from service.records import KEPT_BYTES, Item, Original, Rejected, Request, Sample
from service.settings import MonitorSettings, TopicSettings

_CONTENT, _ENTRY = "content-type", CONTENT_TYPE.encode()
_NONE: Mapping[str, bytes] = {}


class KafkaDecoder:
    """What the declared monitors make of a record; another declaration takes another decoder."""

    def __init__(self, monitors: Sequence[MonitorSettings], ingest_topic: str | None = None) -> None:
        self._monitors = tuple(monitors)
        self._ingest_topic = ingest_topic
        self._readers: dict[str, list[_Reader]] = {}
        for monitor in monitors:
            if monitor.topic is not None:
                self._readers.setdefault(monitor.topic.name, []).append(_Reader.of(monitor, monitor.topic))

    @property
    def topics(self) -> tuple[str, ...]:
        """All that there is to read."""
        ingest = () if self._ingest_topic is None else (self._ingest_topic,)
        return tuple(dict.fromkeys((*self._readers, *ingest)))

    def decode(self, topic: str, record: Original) -> tuple[Item, ...]:
        """The record's items. A sample that brings no id or time has "" and NaN, which the log replaces."""
        if topic == self._ingest_topic:
            return _numbered(self._ingested(record))
        readers = self._readers.get(topic)
        if readers is None:
            return (Rejected("unrouted", f"no monitor reads topic {topic!r:.80}; declare it as a monitor's `topic`", _kept(record)),)
        if record.value is None:
            return _for_each(readers, Rejected("tombstone", "a record without a value; send a sample or an event", b""))
        headers, now = _headers(record), _clock(record)
        is_event = _is_event(headers)
        takers = [reader for reader in readers if reader.formats(is_event)]
        if not takers:
            found = "a CloudEvent" if is_event else "no CloudEvent"
            return _for_each(readers, Rejected("format", f"the record is {found}, against the topic's `format`", _kept(record)))
        if is_event:
            return _numbered(_events(takers, headers, record.value, now))
        return _numbered([item for reader in takers for item in reader.samples(record.value, now)])

    def _ingested(self, record: Original) -> Sequence[Item]:
        headers = _headers(record)
        if record.value is None:
            return [Rejected("tombstone", "a record without a value; the ingest topic holds what HTTP ingest took", b"")]
        if headers.get(_CONTENT) == _ENTRY:
            return [decode_entry(record.value)]
        if not _is_event(headers):
            message = (
                f"the ingest topic holds what HTTP ingest took ({CONTENT_TYPE}) and CloudEvents; give other records a topic of their own"
            )
            return [Rejected("envelope", message, _kept(record))]
        events = read_record_events(headers, record.value)
        items = ([event] if isinstance(event, Rejected) else routed(event, self._monitors, now=_clock(record)) for event in events)
        return [item for each in items for item in each]


@dataclass(frozen=True, slots=True)
class _Reader:
    """A monitor that reads a topic."""

    monitor: MonitorSettings
    format: str
    plain: SampleOptions
    """For the bodies of logged inferences, whose shape is their protocol's."""
    mapped: SampleOptions

    @classmethod
    def of(cls, monitor: MonitorSettings, topic: TopicSettings) -> Self:
        plain, fields = SampleOptions.of(monitor), FieldMap.of(topic)
        return cls(monitor, topic.format, plain, replace(plain, document=fields.document) if fields else plain)

    def formats(self, is_event: bool) -> bool:
        """Whether a record of this mode is taken."""
        return self.format == "auto" or is_event == (self.format == "cloudevents")

    def takes(self, event: Event) -> bool:
        """Whether the event is this monitor's; samples are everybody's."""
        wanted = self.monitor.kserve
        return wanted is None or not is_inference(event) or matches(event.attributes, wanted)

    def samples(self, value: bytes, time: float) -> Sequence[Item]:
        """Of a record that is one sample or an array of them."""
        try:
            items = decode_samples(value, monitor=self.monitor.name, now=time, options=self.mapped)
        except InputError as error:
            return [self._refused(error, value)]
        return items or [self._refused(InputError("empty", "an array without samples"), value)]

    def event(self, event: Event, time: float) -> Sequence[Item]:
        """Of an event: a logged inference, or samples, which have its id and time where they bring none."""
        if is_inference(event):
            return decode_event(event, self.monitor, now=time, options=self.plain)
        try:
            moment = time_of(event.time, math.nan, now=time, max_ahead=self.plain.max_ahead)
            items = self.samples(_text(event), time)
        except InputError as error:
            return [self._refused(error, event.original)]
        ids = [event.id] if len(items) == 1 else [f"{event.id}/{i}" for i in range(len(items))]
        return [_completed(item, own, moment) if isinstance(item, Sample) else item for own, item in zip(ids, items, strict=True)]

    def _refused(self, error: InputError, value: bytes) -> Rejected:
        redaction = self.plain.redaction
        return Rejected(error.reason, redaction.text(str(error)), original_of(value, redaction), monitor=self.monitor.name)


def _events(readers: Sequence[_Reader], headers: Mapping[str, bytes], value: bytes, time: float) -> list[Item]:
    items: list[Item] = []
    for event in read_record_events(headers, value):
        if isinstance(event, Rejected):
            items.extend(_for_each(readers, event))
            continue
        takers = [reader for reader in readers if reader.takes(event)]
        items.extend([item for reader in takers for item in reader.event(event, time)] if takers else [unrouted(event)])
    return items


def _headers(record: Original) -> Mapping[str, bytes]:
    return {name.lower(): value for name, value in record.headers} if record.headers else _NONE


def _is_event(headers: Mapping[str, bytes]) -> bool:
    if not headers:
        return False
    return headers.get(_CONTENT, b"").strip().lower().startswith(EVENT_FORMATS) or any(name.startswith(RECORD_PREFIX) for name in headers)


def _clock(record: Original) -> float:
    """Against which no sample may lie ahead; a log without times has none."""
    return record.time if record.time > 0 else math.inf


def _kept(record: Original) -> bytes:
    return (record.value or b"")[:KEPT_BYTES]


def _for_each(readers: Sequence[_Reader], rejected: Rejected) -> tuple[Item, ...]:
    """The same for every reader, so that each counts the loss; the first carries the original."""
    first, *others = (replace(rejected, monitor=reader.monitor.name, index=i) for i, reader in enumerate(readers))
    return (first, *(replace(other, original=b"") for other in others))


def _text(event: Event) -> bytes:
    """The event's body as JSON text, whichever mode it came in."""
    if len(event.id) > MAX_EVENT_ID:
        raise InputError("field", f"ce_id of {len(event.id)} characters; at most {MAX_EVENT_ID} are taken")
    try:
        return event.body if isinstance(event.body, bytes) else _encoded(event.body)
    except UnicodeEncodeError as error:
        raise InputError("json", f"the event's body holds half of a surrogate pair: {error}") from error


def _encoded(body: object) -> bytes:
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


def _completed(sample: Sample, id: str, time: float) -> Sample:
    return replace(sample, id=sample.id or id, time=time if math.isnan(sample.time) else sample.time)


def _numbered(items: Sequence[Item]) -> tuple[Item, ...]:
    """Each rejection with its place in the record, as whoever takes the record counts: dead letters are told apart by it."""
    if len(items) == 1 and not isinstance(items[0], Rejected):
        return (items[0],)
    numbered, place = list[Item](), 0
    for item in items:
        numbered.append(replace(item, index=place) if isinstance(item, Rejected) else item)
        place += len(item.samples) if isinstance(item, Request) else 1
    return tuple(numbered)
