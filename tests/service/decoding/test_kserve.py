"""KServe's inference logger: event modes, both protocols, routing, tags; what is unusable is rejected by itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import example, given
from hypothesis import strategies as st

from service.decoding.cloud_events import BATCH
from service.decoding.kserve import decode_events, route
from service.decoding.options import SampleOptions
from service.losses import of_letter
from service.records import Item, Output, Rejected, Request, Response, Sample
from service.settings import MonitorSettings

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
HEADERS = {
    "Ce-Specversion": "1.0",
    "Ce-Id": "e1",
    "Ce-Type": "org.kubeflow.serving.inference.request",
    "Ce-Source": "http://localhost:9081/",
    "Ce-Time": "2025-12-31T23:59:59.123456789Z",
    "Ce-Namespace": "shop",
    "Ce-Inferenceservicename": "intents",
    "Content-Type": "application/json",
}
RESPONSE = {**HEADERS, "Ce-Type": "org.kubeflow.serving.inference.response"}


def monitor(name: str = "chat", takes: str = "text", **settings: Any) -> MonitorSettings:
    settings = {"kserve": {}, "classes": ("greeting", "refund"), **settings}
    return MonitorSettings.model_validate({"name": name, "embedder": {"model": "m.onnx", "input": takes, "dimension": 2}, **settings})


def decode(body: Any, headers: Mapping[str, str] = HEADERS, watched: MonitorSettings | None = None) -> list[Item]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_events(headers, text, monitors=[watched or monitor()], now=NOW)


def request(body: Any, headers: Mapping[str, str] = HEADERS, watched: MonitorSettings | None = None) -> Request:
    (found,) = decode(body, headers, watched)
    assert isinstance(found, Request), found
    return found


def response(body: Any, watched: MonitorSettings | None = None) -> tuple[Output, ...]:
    (found,) = decode(body, RESPONSE, watched)
    assert isinstance(found, Response), found
    return found.outputs


def reason(body: Any, headers: Mapping[str, str] = HEADERS, watched: MonitorSettings | None = None) -> str:
    (found,) = decode(body, headers, watched)
    assert isinstance(found, Rejected), found
    return found.reason


def texts(found: Request) -> list[Any]:
    return [sample.payload for sample in found.samples]


# --- modes -----------------------------------------------------------------------------------------------------------


def test_binary_mode() -> None:
    found = request({"instances": ["hello", "my money"]})
    assert (found.monitor, found.event_id, found.indexes) == ("chat", "e1", (0, 1))
    assert [(sample.id, sample.payload) for sample in found.samples] == [("e1/0", "hello"), ("e1/1", "my money")]
    assert [sample.time for sample in found.samples] == pytest.approx([NOW - 0.876544] * 2, abs=1e-5)


def test_what_the_sdk_sends_in_either_mode_is_read_alike() -> None:
    attributes = {"id": "é%1", "source": "s", "type": "org.kubeflow.serving.inference.request", "datacontenttype": "application/json"}
    extra = {"metadata": '{"Locale": ["de"]}', "time": datetime(2025, 12, 31, tzinfo=UTC)}
    event = CloudEvent({**attributes, **extra}, {"instances": ["hello"]})
    tagged = monitor(segments={"tags": ["locale"]})
    for message in (to_binary_event(event), to_structured_event(event)):
        found = request(message.body, message.headers, tagged)
        assert (found.event_id, texts(found), found.samples[0].segments) == ("é%1", ["hello"], {"locale": "de"})


@pytest.mark.parametrize("content", ["image/png", "text/plain", "application/octet-stream", ""])
def test_the_content_type_of_a_logged_event_is_not_believed(content: str) -> None:
    assert reason(b"\x89PNG", {**HEADERS, "Content-Type": "image/png"}) == "json"
    headers = {**RESPONSE, "Content-Type": content} if content else {k: v for k, v in RESPONSE.items() if k != "Content-Type"}
    (found,) = decode({"predictions": ["refund"]}, headers)
    assert found == Response("chat", "e1", (Output("refund"),))


def structured(**changes: Any) -> dict[str, Any]:
    body = {"instances": ["hello"]}
    event = {"specversion": "1.0", "id": "e1", "source": "s", "type": "org.kubeflow.serving.inference.request", "data": body}
    return {name: value for name, value in {**event, **changes}.items() if value is not ...}


@pytest.mark.parametrize(
    "content",
    [
        {"data": {"instances": ["hello"]}},
        {"data": '{"instances": ["hello"]}'},
        {"data": ..., "data_base64": base64.b64encode(b'{"instances": ["hello"]}').decode()},
        {"data": None, "data_base64": base64.b64encode(b'{"instances": ["hello"]}').decode()},
    ],
)
def test_structured_mode(content: dict[str, Any]) -> None:
    headers = {"content-type": "application/cloudevents+json; charset=UTF-8"}
    assert texts(request(structured(**content, time="2026-01-01T00:00:00Z"), headers)) == ["hello"]


def test_a_batch_gives_the_items_of_every_event() -> None:
    events = [
        structured(),
        structured(id=...),
        3,
        structured(id="e2", type="org.kubeflow.serving.inference.response", data={"predictions": [1]}),
    ]
    found = decode(events, {"Content-Type": BATCH})
    assert [type(item) for item in found] == [Request, Rejected, Rejected, Response]
    assert [(item.reason, item.index) for item in found if isinstance(item, Rejected)] == [("cloudevent", 1), ("json", 2)]
    assert found[3] == Response("chat", "e2", (Output("refund"),))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (structured(id=...), "cloudevent"),
        (structured(id=""), "cloudevent"),
        (structured(id="x" * 300), "field"),
        (structured(source=...), "cloudevent"),
        (structured(specversion="0.1"), "cloudevent"),
        (structured(type="com.example.other"), "event_type"),
        (structured(time="noon"), "time"),
        (structured(time=5), "time"),
        (structured(time="2026-01-03T00:00:00Z"), "time_future"),
        (structured(data=...), "body"),
        (structured(data=[1]), "body"),
        (structured(data="{"), "json"),
        (structured(data_base64="?"), "cloudevent"),
        ([], "json"),
    ],
)
def test_events_that_cannot_be_used_say_why(event: Any, expected: str) -> None:
    assert reason(event, {"Content-Type": "application/cloudevents+json"}) == expected


def test_bad_headers_say_why() -> None:
    assert reason({"instances": ["x"]}, {**HEADERS, "Ce-Time": "noon"}) == "time"
    assert reason({"instances": ["x"]}, {name: value for name, value in HEADERS.items() if name != "Ce-Id"}) == "cloudevent"
    assert reason({"instances": ["x"]}, {**HEADERS, "Ce-Specversion": "7"}) == "cloudevent"


def test_without_a_time_the_log_gives_one() -> None:
    found = request({"instances": ["x"]}, {name: value for name, value in HEADERS.items() if name != "Ce-Time"})
    assert np.isnan(found.samples[0].time)


# --- requests --------------------------------------------------------------------------------------------------------


def test_v1_instances_as_objects() -> None:
    found = request({"instances": [{"text": "a", "extra": 1}, {"text": "b", "segments": {"locale": "de"}}]})
    assert texts(found) == ["a", "b"]
    assert found.samples[1].segments == {"locale": "de"}
    assert texts(request({"instances": [{"utterance": "a"}]}, watched=monitor(kserve={"input": "utterance"}))) == ["a"]


def test_v1_images_and_vectors() -> None:
    image = base64.b64encode(b"png").decode()
    assert texts(request({"instances": [image, {"b64": image}, {"image": image}]}, watched=monitor(takes="image"))) == [b"png"] * 3
    nested = monitor(takes="image", kserve={"input": "image_bytes"})
    assert texts(request({"instances": [{"image_bytes": {"b64": image}}]}, watched=nested)) == [b"png"]
    vectors = texts(request({"instances": [[1, 2], {"vector": [3, 4]}, [[1], [2]]]}, watched=monitor(takes="tensor")))
    assert [vector.tolist() for vector in vectors] == [[1, 2], [3, 4], [[1], [2]]]


def test_an_instance_that_cannot_be_used_leaves_the_others_their_places() -> None:
    found, *rejected = decode({"instances": ["a", "", {"other": 1}, "b"]})
    assert isinstance(found, Request)
    assert (texts(found), found.indexes, [sample.id for sample in found.samples]) == (["a", "b"], (0, 3), ["e1/0", "e1/3"])
    assert [(item.reason, item.index) for item in rejected if isinstance(item, Rejected)] == [("empty", 1), ("payload", 2)]


def test_one_event_is_kept_once_however_many_of_its_instances_are_bad() -> None:
    found = decode({"instances": [{"other": 1}] * 900, "padding": "x" * 70_000})
    assert [len(item.original) for item in found if isinstance(item, Rejected)] == [64_000, *[0] * 899]


def test_one_answer_is_kept_once_however_many_of_its_outputs_are_bad() -> None:
    found = decode({"predictions": [[1, 2, 3]] * 3}, RESPONSE)
    assert [bool(item.original) for item in found if isinstance(item, Rejected)] == [True, False, False]


def test_a_bad_tag_of_the_event_is_one_letter() -> None:
    (found,) = decode({"instances": ["a"] * 50, "parameters": {"locale": "x" * 5_000}}, watched=monitor(segments={"tags": ["locale"]}))
    assert isinstance(found, Rejected)
    assert found.reason == "segments"


def test_v2_text() -> None:
    names = {"name": "names", "shape": [2], "datatype": "BYTES", "data": ["x", "y"]}
    body = {"id": "7", "inputs": [{"name": "text", "shape": [2, 1], "datatype": "BYTES", "data": [["a"], ["b"]]}, names]}
    assert texts(request(body)) == ["a", "b"]
    assert texts(request(body, watched=monitor(kserve={"input": "names"}))) == ["x", "y"]
    assert reason(body, watched=monitor(kserve={"input": "other"})) == "body"


@pytest.mark.parametrize(
    ("shape", "content", "expected"),
    [
        ([2, 2], [1, 2, 3, 4], [[1, 2], [3, 4]]),
        ([2, 2], [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ([3], [1, 2, 3], [[1, 2, 3]]),
        ([1, 2, 2], [1, 2, 3, 4], [[[1, 2], [3, 4]]]),
    ],
)
@pytest.mark.parametrize("datatype", ["FP32", "INT64"])
def test_v2_numbers(shape: list[int], content: list[Any], expected: list[Any], datatype: str) -> None:
    body = {"inputs": [{"name": "x", "shape": shape, "datatype": datatype, "data": content}]}
    assert [vector.tolist() for vector in texts(request(body, watched=monitor(takes="none")))] == expected


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ({"shape": [3], "datatype": "BYTES", "data": ["a"]}, "body"),
        ({"shape": "3", "datatype": "BYTES", "data": ["a"]}, "body"),
        ({"shape": [-1], "datatype": "BYTES", "data": ["a"]}, "body"),
        ({"shape": [10**30], "datatype": "BYTES", "data": ["a"]}, "body"),
        ({"shape": [1] * 100, "datatype": "BYTES", "data": ["a"]}, "body"),
        ({"shape": [1], "datatype": "FP32", "data": ["a"]}, "body"),
        ({"shape": [2], "datatype": "FP32", "data": [[1], [2, 3]]}, "body"),
        ({"shape": [1], "datatype": "BYTES"}, "body"),
        ({"shape": [0], "datatype": "BYTES", "data": []}, "empty"),
        ({"shape": [1, 2], "datatype": "BYTES", "data": ["a", "b"]}, "payload"),
        ({"shape": [20_000], "datatype": "BYTES", "data": ["a"] * 20_000}, "too_large"),
        ({"shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 5}}, "binary_data"),
    ],
)
def test_v2_tensors_that_cannot_be_used_say_why(tensor: dict[str, Any], expected: str) -> None:
    assert reason({"inputs": [{"name": "text", **tensor}]}) == expected


def test_bodies_that_cannot_be_used_say_why() -> None:
    binary = b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}]}\x00\x00\x80\x3f'
    assert reason(binary) == "binary_data"
    bodies: list[Any] = [b"", {}, {"instances": {}}, {"inputs": {}}, {"inputs": [1]}, {"inputs": [{}]}]
    assert [reason(body) for body in bodies] == ["body"] * 6
    assert reason({"instances": []}) == "empty"
    assert reason({"instances": ["x"] * 10_001}) == "too_large"


def test_without_responses_requests_are_samples() -> None:
    watched = monitor(kserve={"responses": "none"})
    found = decode({"instances": ["a", "", "b"]}, watched=watched)
    assert [item.payload if isinstance(item, Sample) else type(item) for item in found] == ["a", "b", Rejected]
    assert decode({"predictions": [1]}, RESPONSE, watched) == []


# --- responses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        ("refund", Output("refund")),
        (1, Output("refund")),
        (9, Output("9")),
        ([0.25, 0.75], Output("refund", (0.25, 0.75))),
        ([3.0, -1.0], Output("greeting", None, (3.0, -1.0))),
        ({"greeting": 0.9, "refund": 0.1}, Output("greeting", (0.9, 0.1))),
        ({"label": "refund", "probabilities": [0.6, 0.4]}, Output("refund", (0.6, 0.4))),
        ({"label": 0, "logits": [1, 2]}, Output("greeting", None, (1.0, 2.0))),
        ({"class": "refund", "scores": [0.0, 1.0]}, Output("refund", (0.0, 1.0))),
        (0.87, Output()),
    ],
)
def test_v1_predictions(prediction: Any, expected: Output) -> None:
    assert response({"predictions": [prediction]}) == (expected,)


def test_a_prediction_that_cannot_be_read_leaves_the_others_their_places() -> None:
    found, rejected = decode({"predictions": ["refund", [1, 2, 3], "greeting"]}, RESPONSE)
    assert found == Response("chat", "e1", (Output("refund"), Output(), Output("greeting")))
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.index, rejected.monitor) == ("output", 1, "chat")


@pytest.mark.parametrize("body", [{"predictions": [{"probabilities": ["x"]}, 1]}, {"nothing": 1}, b"{"])
def test_an_answer_that_cannot_be_read_takes_nothing_from_the_input(body: Any) -> None:
    """Its letter says that it was one: the request is there, and only goes unanswered."""
    asked, answered = ([item for item in decode(body, headers) if isinstance(item, Rejected)] for headers in (HEADERS, RESPONSE))
    assert {letter.stage for letter in asked} == {"DECODE"}
    assert {of_letter(letter).partition(" ")[0] for letter in answered} == {"response:"}


def tensor(name: str, shape: list[int], datatype: str, content: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": content}


def test_v2_outputs() -> None:
    labels, classes = tensor("label", [2, 1], "BYTES", ["refund", "other"]), tensor("class", [2], "INT64", [0, 1])
    logits, probabilities = tensor("logits", [2, 2], "FP32", [3, 1, 0, 1]), tensor("p", [2, 2], "FP32", [0.5, 0.5, 0.25, 0.75])
    assert response({"outputs": [labels, logits], "model_version": "3"}) == (
        Output("refund", None, (3.0, 1.0), "3"),
        Output("other", None, (0.0, 1.0), "3"),
    )
    assert response({"outputs": [classes]}) == (Output("greeting"), Output("refund"))
    assert response({"outputs": [logits, probabilities]}, monitor(kserve={"classes_output": "p"}))[1] == Output("refund", (0.25, 0.75))
    embeddings = tensor("embedding", [2, 3], "FP32", [0.0] * 6)
    assert response({"outputs": [embeddings, probabilities]})[1].probabilities == (0.25, 0.75)


def test_v2_outputs_that_do_not_fit_are_refused() -> None:
    labels, other = tensor("label", [2], "BYTES", ["a", "b"]), tensor("p", [1, 2], "FP32", [0.5, 0.5])
    assert reason({"outputs": [labels, other]}, RESPONSE) == "output"
    wide = tensor("p", [1, 3], "FP32", [1, 2, 3])
    assert reason({"outputs": [wide]}, RESPONSE, monitor(kserve={"classes_output": "p"})) == "output"


# --- routing and tags ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({}, True),
        ({"namespace": "shop", "service": "intents"}, True),
        ({"namespace": "other"}, False),
        ({"service": "other"}, False),
        ({"endpoint": "default"}, True),
        ({"endpoint": "canary"}, False),
        ({"source": "http://localhost:9081/"}, True),
        ({"source": "http://elsewhere/"}, False),
    ],
)
def test_routing_compares_every_declared_field(wanted: dict[str, str], matches: bool) -> None:
    found = decode({"instances": ["x"]}, watched=monitor(kserve=wanted))
    assert isinstance(found[0], Request) is matches
    assert matches or (isinstance(found[0], Rejected) and found[0].reason == "unrouted" and found[0].monitor is None)


def test_the_first_matching_monitor_takes_the_event() -> None:
    silent, canary, rest = monitor("silent", kserve=None), monitor("canary", kserve={"endpoint": "canary"}), monitor("rest")
    monitors = [silent, canary, rest, monitor("late")]
    assert route({"endpoint": "canary"}, monitors) is canary
    assert route({"endpoint": ""}, monitors) is rest
    assert route({}, [silent]) is None


def test_declared_tags_come_from_parameters_headers_annotations_and_attributes() -> None:
    watched = monitor(segments={"tags": ["X-Locale", "endpoint", "team", "tier", "absent"]})
    headers = {
        **HEADERS,
        "Ce-Metadata": json.dumps({"x-locale": ["de", "fr"], "Authorization": ["secret"], "Tier": ["header"]}),
        "Ce-Annotations": json.dumps({"team": "blue", "tier": "annotation"}),
    }
    assert request({"instances": ["x"]}, headers, watched).samples[0].segments == {
        "X-Locale": "de",
        "endpoint": "default",
        "team": "blue",
        "tier": "header",
    }
    body = {"inputs": [tensor("text", [1], "BYTES", ["x"])], "parameters": {"tier": "body"}}
    assert request(body, headers, watched).samples[0].segments["tier"] == "body"


@pytest.mark.parametrize("metadata", ["{", "[]", "3", '{"locale": []}', '{"locale": null}', "%FF"])
def test_broken_metadata_does_no_harm(metadata: str) -> None:
    found = request({"instances": ["x"]}, {**HEADERS, "Ce-Metadata": metadata}, monitor(segments={"tags": ["locale"]}))
    assert found.samples[0].segments == {}


def test_the_embedders_check_is_asked_for_each_instance() -> None:
    body = json.dumps({"instances": ["a", "much longer"]}).encode()
    found = decode_events(HEADERS, body, monitors=[monitor()], now=NOW, options=lambda _: SampleOptions(max_text_bytes=5))
    assert [type(item) for item in found] == [Request, Rejected]


# --- nothing raises --------------------------------------------------------------------------------------------------

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=10
)
TENSORS = st.lists(
    st.fixed_dictionaries({"name": st.just("x") | ANYTHING, "shape": st.lists(st.integers(-1, 4)) | ANYTHING, "data": ANYTHING})
)
BODIES = ANYTHING | st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("instances", "inputs", "predictions", "outputs", "parameters"), ANYTHING | TENSORS)
)
ATTRIBUTES = ("specversion", "id", "source", "type", "time", "metadata", "annotations", "endpoint", "data", "data_base64", "subject")
WATCHED = [monitor(segments={"tags": ["locale", "endpoint"]})]


@given(st.sampled_from([HEADERS, RESPONSE]), BODIES, st.sampled_from(["text", "image", "tensor"]))
@example(RESPONSE, {"outputs": [{"name": "x", "shape": [1, 1], "data": [True]}]}, "text")
def test_any_body_ends_in_items(headers: dict[str, str], body: Any, takes: str) -> None:
    for item in decode(body, headers, monitor(takes=takes, segments={"tags": ["locale"]})):
        assert isinstance(item, Request | Response | Rejected)


@given(st.dictionaries(st.sampled_from([f"ce-{name}" for name in ATTRIBUTES]) | st.text(), st.text(st.characters())), st.binary())
def test_any_headers_end_in_items(headers: dict[str, str], body: bytes) -> None:
    for changed in (headers, {**HEADERS, **headers}):
        assert all(isinstance(item, Request | Response | Rejected) for item in decode_events(changed, body, monitors=WATCHED, now=NOW))


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(ATTRIBUTES, ANYTHING)), st.sampled_from(["application/cloudevents+json", BATCH]))
def test_any_structured_event_ends_in_items(attributes: dict[str, Any], content: str) -> None:
    event = structured(**attributes)
    body = json.dumps([event] if content == BATCH else event).encode()
    assert all(
        isinstance(item, Request | Response | Rejected)
        for item in decode_events({"content-type": content}, body, monitors=WATCHED, now=NOW)
    )
