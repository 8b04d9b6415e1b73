"""Kafka records: which monitor gets what of each mode, and that whatever comes ends in samples or dead letters."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.v1.event import CloudEvent
from hypothesis import example, given
from hypothesis import strategies as st

from service.decoding import envelope
from service.decoding.cloud_events import BATCH
from service.decoding.kafka_records import KafkaDecoder
from service.records import Item, Original, Output, Rejected, Request, Response, Sample
from service.settings import MonitorSettings

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
REQUEST, RESPONSE = "org.kubeflow.serving.inference.request", "org.kubeflow.serving.inference.response"
INGEST = "driftgate-ingest"
ENTRY = (("Content-Type", envelope.CONTENT_TYPE.encode()),)


def monitor(name: str = "chat", *, takes: str = "text", topic: Mapping[str, Any] | None = None, **settings: Any) -> MonitorSettings:
    document = {
        "name": name,
        "embedder": {"model": "m.onnx", "input": takes, "dimension": 2},
        "classes": ("greeting", "refund"),
        **settings,
    }
    return MonitorSettings.model_validate({**document, "topic": {"name": "chats"} if topic is None else {"name": "chats", **topic}})


def decode(
    value: Any, headers: Mapping[str, bytes] | None = None, *monitors: MonitorSettings, topic: str = "chats", time: float = NOW
) -> tuple[Item, ...]:
    text = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return KafkaDecoder(monitors or [monitor()], INGEST).decode(topic, Original(b"key", text, tuple((headers or {}).items()), time))


def sample(found: tuple[Item, ...]) -> Sample:
    (only,) = found
    assert isinstance(only, Sample), only
    return only


def reasons(found: tuple[Item, ...]) -> list[tuple[str | None, str]]:
    return [(item.monitor, item.reason) for item in found if isinstance(item, Rejected)]


def binary(**changes: Any) -> dict[str, bytes]:
    attributes = {"specversion": "1.0", "id": "e1", "source": "s", "type": "shop.message", **changes}
    return {f"ce_{name}": value.encode() for name, value in attributes.items() if value is not None}


# --- plain JSON ------------------------------------------------------------------------------------------------------


def test_a_record_is_a_sample() -> None:
    found = sample(decode({"id": "a", "time": NOW, "text": "hello", "segments": {"locale": "de"}, "label": "refund"}))
    assert (found.monitor, found.id, found.time, found.payload, found.label) == ("chat", "a", NOW, "hello", "refund")
    assert found.segments == {"locale": "de"}


def test_what_the_record_leaves_out_is_the_logs_to_fill() -> None:
    found = sample(decode({"text": "hello"}, {"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "other": b"\xff"}))
    assert not found.id
    assert math.isnan(found.time)


def test_an_array_is_several_samples_each_judged_by_itself() -> None:
    found = decode(b'[{"text": "a"}, {"text": ""}, {"text": "b"}, 3]')
    assert [item.payload for item in found if isinstance(item, Sample)] == ["a", "b"]
    assert [(item.reason, item.index) for item in found if isinstance(item, Rejected)] == [("empty", 1), ("json", 3)]


def test_fields_and_tags_stand_where_the_monitor_says() -> None:
    paths = {"text": "$.message.body", "id": "$['message id']", "label": "$.labels[0]", "time": "$.at"}
    mapped = monitor(topic={"fields": paths, "tags": {"locale": "$.user.locale", "beta": "$.user.beta"}})
    record = {
        "message": {"body": "hello"}, "message id": 7, "labels": [1, 0], "at": NOW, "image": "https://shop.example/a.png",
        "user": {"locale": "de"}, "segments": {"locale": "en", "tier": "gold"},
    }  # fmt: skip
    found = sample(decode(record, None, mapped))
    assert (found.id, found.payload, found.label, found.time) == ("7", "hello", "refund", NOW)
    assert found.segments == {"locale": "de", "tier": "gold"}


def test_fields_without_a_path_are_taken_under_their_names() -> None:
    found = sample(decode({"text": "hello", "id": "a", "user": "u"}, None, monitor(topic={"tags": {"user": "$.user"}})))
    assert (found.id, found.payload, found.segments) == ("a", "hello", {"user": "u"})


def test_a_record_that_is_no_object_may_be_the_payload() -> None:
    assert sample(decode(b'"hello"', None, monitor(topic={"fields": {"text": "$"}}))).payload == "hello"


def test_a_path_that_finds_nothing_is_named() -> None:
    (found,) = decode({"text": "not meant"}, None, monitor(topic={"fields": {"text": "$.message.body"}}))
    assert isinstance(found, Rejected)
    assert (found.reason, found.message, found.original) == ("payload", "no value for text at $.message.body", b'{"text": "not meant"}')


def test_every_monitor_of_the_topic_gets_the_sample() -> None:
    other = monitor("long", topic={"fields": {"text": "$.more"}})
    found = decode(b'[{"id": "a", "text": "x", "more": "y"}, {"text": "z"}]', None, monitor(), other)
    assert [(item.monitor, item.payload) for item in found if isinstance(item, Sample)] == [("chat", "x"), ("chat", "z"), ("long", "y")]
    assert [(item.monitor, item.index) for item in found if isinstance(item, Rejected)] == [("long", 3)]


def test_a_time_ahead_is_judged_by_the_logs_clock() -> None:
    record = {"text": "x", "time": NOW}
    assert sample(decode(record, time=NOW - 80_000)).time == NOW
    assert reasons(decode(record, time=NOW - 90_000)) == [("chat", "time_future")]
    assert sample(decode(record, time=-1.0)).time == NOW


# --- events ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["hello", "grüß dich", "100 % sure"])
def test_what_the_sdk_writes_in_either_mode_is_read_alike(text: str) -> None:
    attributes = {"id": "é%1", "source": "s", "type": "shop.message", "time": datetime(2025, 12, 31, tzinfo=UTC), "partitionkey": "k"}
    event = CloudEvent({**attributes, "datacontenttype": "application/json"}, {"text": text})
    for message in (kafka.to_binary_event(event), kafka.to_structured_event(event)):
        found = sample(decode(message.value, message.headers))
        assert (found.id, found.time, found.payload) == ("é%1", NOW - 86_400, text)


def test_an_events_samples_take_its_id_and_time_only_where_they_bring_none() -> None:
    headers = binary(time="2026-01-01T00:00:00Z")
    own = sample(decode({"id": "a", "time": NOW - 5, "text": "x"}, headers))
    assert (own.id, own.time) == ("a", NOW - 5)
    several = decode([{"text": "x"}, {"text": "y"}], headers)
    assert [(item.id, item.time) for item in several if isinstance(item, Sample)] == [("e1/0", NOW), ("e1/1", NOW)]


def test_events_are_mapped_as_records_are() -> None:
    assert sample(decode({"body": "hello"}, binary(), monitor(topic={"fields": {"text": "$.body"}}))).payload == "hello"


def test_a_logged_inference_is_read_by_its_protocol_whatever_the_paths() -> None:
    mapped = monitor(topic={"fields": {"text": "$.elsewhere"}})
    (request,) = decode({"instances": ["hello", "bye"]}, binary(type=REQUEST), mapped)
    assert isinstance(request, Request)
    assert (request.monitor, request.event_id, [s.payload for s in request.samples]) == ("chat", "e1", ["hello", "bye"])
    assert decode({"predictions": [1, 0]}, binary(type=RESPONSE), mapped) == (
        Response("chat", "e1", (Output("refund"), Output("greeting"))),
    )


def test_inferences_go_to_every_monitor_of_the_topic_that_they_match() -> None:
    canary, rest = monitor("canary", kserve={"endpoint": "canary"}), monitor("rest", kserve={"endpoint": "default"})
    everything, elsewhere = monitor("everything"), monitor("elsewhere", kserve={}, topic={"name": "others"})
    body, watched = {"instances": ["hello"]}, (canary, rest, everything, elsewhere)
    found = decode(body, binary(type=REQUEST, endpoint="canary"), *watched)
    assert [item.monitor for item in found] == ["canary", "everything"]
    assert reasons(decode(body, binary(type=REQUEST, endpoint="blue"), canary, rest)) == [(None, "unrouted")]


def test_rejections_of_an_event_are_told_apart_by_their_place() -> None:
    found = decode({"instances": ["a", "", "b", ""]}, binary(type=REQUEST), monitor(), monitor("other"))
    assert [type(item) for item in found] == [Request, Rejected, Rejected, Request, Rejected, Rejected]
    assert [item.index for item in found if isinstance(item, Rejected)] == [2, 3, 6, 7]


def test_a_batch_in_one_record() -> None:
    events = [{"specversion": "1.0", "id": f"e{i}", "source": "s", "type": "t", "data": {"text": f"x{i}"}} for i in range(2)]
    found = decode([*events, 3], {"content-type": BATCH.encode()})
    assert [item.id for item in found if isinstance(item, Sample)] == ["e0", "e1"]
    assert reasons(found) == [("chat", "json")]


def test_a_format_outranks_stray_headers() -> None:
    event = {"specversion": "1.0", "id": "e1", "source": "s", "type": "t", "data_base64": base64.b64encode(b'{"text": "x"}').decode()}
    assert sample(decode(event, {"Content-Type": b"application/cloudevents+json; charset=UTF-8", "ce_id": b"other"})).id == "e1"


def test_a_topic_of_one_format_takes_no_other() -> None:
    text, event = monitor("text", topic={"format": "json"}), monitor("event", topic={"format": "cloudevents"})
    assert reasons(decode({"text": "x"}, binary(), text)) == [("text", "format")]
    assert reasons(decode({"text": "x"}, None, event)) == [("event", "format")]
    assert sample(decode({"text": "x"}, binary(), text, event)).monitor == "event"
    assert sample(decode({"text": "x"}, None, text, event)).monitor == "text"


# --- the ingest topic ------------------------------------------------------------------------------------------------


def test_the_ingest_topic_holds_what_ingest_wrote() -> None:
    taken = Sample("chat", "a", NOW, np.ones(3, np.float32))
    (found,) = KafkaDecoder([monitor()], INGEST).decode(INGEST, Original(None, envelope.encode(taken), ENTRY, NOW))
    assert isinstance(found, Sample)
    assert (found.monitor, found.id) == ("chat", "a")


def test_events_on_the_ingest_topic_are_routed_as_over_http() -> None:
    watched = (monitor("first", kserve={"service": "intents"}), monitor("second", kserve={}))
    (found,) = decode({"instances": ["x"]}, binary(type=REQUEST), *watched, topic=INGEST)
    assert found.monitor == "second"
    assert reasons(decode({"text": "x"}, None, topic=INGEST)) == [(None, "envelope")]
    assert reasons(decode(b"\x07", dict(ENTRY), topic=INGEST)) == [(None, "envelope")]


def test_an_entry_on_another_topic_is_not_believed() -> None:
    entry = envelope.encode(Sample("other", "a", NOW, "x"))
    assert reasons(decode(entry, dict(ENTRY))) == [("chat", "json")]


def test_topics_are_those_of_the_monitors_and_of_ingest() -> None:
    decoder = KafkaDecoder([monitor(), monitor("other"), monitor("third", topic={"name": "more"})], INGEST)
    assert decoder.topics == ("chats", "more", INGEST)
    assert reasons(decoder.decode("none", Original(None, b"{}"))) == [(None, "unrouted")]


# --- what can't be used ----------------------------------------------------------------------------------------------

POISON = {
    "tombstone": None,
    "json": b'{"text": "x"',
    "not_finite": b'{"vector": [NaN]}',
    "payload": b'{"txt": "x"}',
    "empty": b"[]",
    "time": b'{"text": "x", "time": "noon"}',
    "segments": b'{"text": "x", "segments": 3}',
    "too_large": b'{"text": "' + b"x" * 1_000_001 + b'"}',
}


@pytest.mark.parametrize("reason", POISON)
@pytest.mark.parametrize("headers", [None, binary()])
def test_poison_is_a_dead_letter_of_every_monitor_that_reads_it(reason: str, headers: dict[str, bytes] | None) -> None:
    found = decode(POISON[reason], headers, monitor(), monitor("other"))
    assert reasons(found) == [("chat", reason), ("other", reason)]
    assert [item.index for item in found if isinstance(item, Rejected)] == [0, 1]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (binary(id=None), "cloudevent"),
        (binary(specversion="2.0"), "cloudevent"),
        (binary(time="noon"), "time"),
        ({**binary(), "ce_subject": b"\xff"}, "cloudevent"),
        ({**binary(), "ce_Not-a-name": b"x"}, "cloudevent"),
        (binary(id="x" * 201), "field"),
        ({"content-type": b"application/cloudevents+avro"}, "json"),
        ({"content-type": b"application/cloudevents+json"}, "cloudevent"),
    ],
)
def test_a_broken_event_says_why(headers: dict[str, bytes], reason: str) -> None:
    body = b"\x00Obj" if b"avro" in headers.get("content-type", b"") else {"text": "x"}
    found = decode(body, headers)
    assert reasons(found) == [("chat", reason)]


# --- nothing raises --------------------------------------------------------------------------------------------------

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=10
)
FIELDS = ("id", "time", "text", "vector", "segments", "output", "label", "instances", "predictions", "a")
BODIES = st.binary() | (ANYTHING | st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, ANYTHING))).map(
    lambda body: json.dumps(body).encode()
)
TYPES = (b"application/json", b"application/cloudevents+json", BATCH.encode(), envelope.CONTENT_TYPE.encode())
NAMES = ("ce_id", "ce_type", "ce_time", "ce_source", "ce_specversion", "ce_endpoint", "content-type", "Ce_Extra")
HEADERS = st.lists(
    st.tuples(st.sampled_from(NAMES) | st.text(), st.binary() | st.sampled_from((*TYPES, b"1.0", REQUEST.encode()))), max_size=5
)
WATCHED = [
    monitor(topic={"fields": {"text": "$.a.b", "time": "$.time[0]"}, "tags": {"locale": "$.a"}}, segments={"tags": ["locale"]}),
    monitor("vectors", takes="none"),
    monitor("canary", kserve={"endpoint": "canary"}),
]


@given(st.sampled_from(["chats", INGEST, "none"]), st.none() | BODIES, HEADERS, st.none() | st.binary(), st.floats())
@example("chats", b'{"time": "2026", "text": "x"}', [], None, math.nan)
@example("chats", json.dumps("\ud800").encode(), list(binary().items()), None, 0.0)
def test_any_record_ends_in_items(
    topic: str, value: bytes | None, headers: list[tuple[str, bytes]], key: bytes | None, time: float
) -> None:
    for known in (headers, [*binary(type=REQUEST).items(), *headers], [*binary().items(), *headers]):
        found = KafkaDecoder(WATCHED, INGEST).decode(topic, Original(None, value, tuple(known), time))
        assert all(isinstance(item, Sample | Request | Response | Rejected) for item in found)
        places = [item.index for item in found if isinstance(item, Rejected)]
        assert places == sorted(set(places))


@given(BODIES, st.sampled_from([REQUEST, RESPONSE, "shop.message"]), st.sampled_from(["2026-01-01T00:00:00Z", "noon", None]))
def test_binary_and_structured_events_are_judged_alike(body: bytes, kind: str, time: str | None) -> None:
    document = {"specversion": "1.0", "id": "e1", "source": "s", "type": kind, "time": time, "data_base64": base64.b64encode(body).decode()}
    structured = decode({k: v for k, v in document.items() if v is not None}, {"content-type": b"application/cloudevents+json"}, *WATCHED)
    assert [told(item) for item in decode(body, binary(type=kind, time=time), *WATCHED)] == [told(item) for item in structured]


def told(item: Item) -> object:
    return (item.reason, item.message, item.monitor, item.index) if isinstance(item, Rejected) else envelope.encode(item)
