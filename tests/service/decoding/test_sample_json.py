"""Samples as JSON: what is taken, what is refused and why, and that nothing raises."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.decoding import json_text, payloads
from service.decoding.json_text import parse
from service.decoding.options import SampleOptions
from service.decoding.payloads import vector_of
from service.decoding.sample_json import decode_sample, decode_samples
from service.errors import InputError
from service.records import Output, Payload, Rejected, Sample

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
OPTIONS = SampleOptions(classes=("greeting", "refund"), max_bytes=12_000_000)


def decode(item: Any, options: SampleOptions = OPTIONS) -> Sample | Rejected:
    text = item if isinstance(item, bytes) else json.dumps(item).encode()
    return decode_sample(text, monitor="chat", now=NOW, default_id="from-log", default_time=7.0, options=options)


def sample(item: Any, options: SampleOptions = OPTIONS) -> Sample:
    decoded = decode(item, options)
    assert isinstance(decoded, Sample), decoded
    return decoded


def reason(item: Any, options: SampleOptions = OPTIONS) -> str:
    decoded = decode(item, options)
    assert isinstance(decoded, Rejected), decoded
    return decoded.reason


def test_every_field_arrives() -> None:
    found = sample(
        {
            "id": "a1",
            "time": "2026-01-01T01:00:00+01:00",
            "text": "hello",
            "segments": {"locale": "de", "build": 3, "beta": True, "absent": None},
            "output": {"label": "refund", "probabilities": [0.25, 0.75], "model_version": "v2"},
            "label": "greeting",
        }
    )
    assert (found.monitor, found.id, found.time, found.payload) == ("chat", "a1", NOW, "hello")
    assert found.segments == {"locale": "de", "build": "3", "beta": "true"}
    assert found.output == Output("refund", (0.25, 0.75), None, "v2")
    assert found.label == "greeting"


def test_what_is_absent_comes_from_the_caller() -> None:
    found = sample({"text": "hello"})
    assert (found.id, found.time, dict(found.segments), found.output, found.label) == ("from-log", 7.0, {}, None, None)


@pytest.mark.parametrize("time", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "2025-12-31T19:00:00-05:00", NOW, int(NOW)])
def test_times_are_rfc_3339_in_utc_or_seconds(time: object) -> None:
    assert sample({"text": "x", "time": time}).time == NOW


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01T00:00:00Z", True, [], {}, NOW * 1000])
def test_other_times_are_refused(time: object) -> None:
    assert reason({"text": "x", "time": time}) == "time"


def test_a_clock_in_the_future_is_refused_unless_any_time_is_taken() -> None:
    tomorrow = {"text": "x", "time": NOW + 86_401}
    assert sample({"text": "x", "time": NOW + 86_399}).time == NOW + 86_399
    assert reason(tomorrow) == "time_future"
    assert sample(tomorrow, SampleOptions(max_ahead=None)).time == NOW + 86_401


def test_vectors_and_tensors() -> None:
    vector, tensor = sample({"vector": [1, 2.5]}).payload, sample({"vector": [[1, 2], [3, 4]]}).payload
    assert isinstance(vector, np.ndarray)
    assert isinstance(tensor, np.ndarray)
    assert vector.dtype == tensor.dtype == np.float32
    assert (vector.tolist(), tensor.tolist()) == ([1.0, 2.5], [[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (b"", "json"),
        (b"not json", "json"),
        (b'{"vector": [1, NaN]}', "not_finite"),
        (b'{"text": "\xff"}', "json"),
        (b'{"text": "\\ud800"}', "json"),
        (b'{"text": "a", "text": "b"}', "json"),
        (b'{"text": "a", "segments": {"l": "1", "l" : "2"}}', "json"),
        (b'{"text": "a", "more": [{"x": 1, "x": 2}]}', "json"),
        (b'{"text": "x", "id": ' + b"9" * 5_000 + b"}", "json"),
        (b"[" * 100_000, "json"),
        (b'{"text":' * 100_000, "json"),
        ([], "json"),
        ("text", "json"),
        ({}, "payload"),
        ({"message": "hello"}, "payload"),
        ({"text": "a", "vector": [1]}, "payload"),
        ({"text": 5}, "payload"),
        ({"vector": "abc"}, "payload"),
        ({"vector": [[1], [2, 3]]}, "payload"),
        ({"vector": ["1"]}, "payload"),
        ({"vector": [10**30]}, "payload"),
        ({"text": ""}, "empty"),
        ({"text": " \n"}, "empty"),
        ({"vector": []}, "empty"),
        ({"image": ""}, "empty"),
        ({"vector": [1e300]}, "not_finite"),
        ({"text": "x" * 10_000_000}, "too_large"),
        ({"text": "x" * 13_000_000}, "too_large"),
        ({"text": "a", "id": {}}, "field"),
        ({"text": "a", "id": "x" * 300}, "field"),
        ({"text": "a", "label": ["x"]}, "field"),
        ({"text": "a", "segments": ["x"]}, "segments"),
        ({"text": "a", "segments": {"t": "x" * 201}}, "segments"),
        ({"text": "a", "segments": {"t": {}}}, "segments"),
        ({"text": "a", "segments": {"": "x"}}, "segments"),
        ({"text": "a", "segments": {f"t{i}": "x" for i in range(17)}}, "segments"),
        ({"text": "a", "output": "refund"}, "output"),
        ({"text": "a", "output": {"probabilities": [1.0]}}, "output"),
        ({"text": "a", "output": {"probabilities": [1.5, -0.5]}}, "output"),
        ({"text": "a", "output": {"probabilities": {"other": 1.0}}}, "output"),
        ({"text": "a", "output": {"logits": {"refund": 1.0}}}, "output"),
        ({"text": "a", "output": {"logits": [[1.0, 2.0]]}}, "output"),
        ({"image": "cat.png"}, "image_path"),
        ({"image": "not base64!"}, "image"),
        ({"image": 3}, "image"),
    ],
)
def test_what_cannot_be_used_says_why(item: Any, expected: str) -> None:
    decoded = decode(item)
    assert isinstance(decoded, Rejected)
    assert decoded.reason == expected
    assert decoded.monitor == "chat"
    assert decoded.message
    assert len(decoded.original) <= 64_000


def test_a_colon_inside_a_text_is_no_repeated_key() -> None:
    assert sample({"text": 'she said "a": "b"', "segments": {"t": ':"'}}).payload == 'she said "a": "b"'


def test_the_same_key_in_different_objects_is_no_repetition() -> None:
    assert sample({"text": "a", "label": "x", "output": {"label": "y"}, "more": [{"x": 1}, {"x": 2}]}).label == "x"


def test_classes_give_names_to_positions_mappings_and_the_likeliest() -> None:
    assert sample({"text": "a", "label": 1}).label == "refund"
    assert sample({"text": "a", "label": 7}).label == "7"
    assert sample({"text": "a", "output": {"probabilities": {"refund": 0.9, "greeting": 0.1}}}).output == Output("refund", (0.1, 0.9))
    assert sample({"text": "a", "output": {"logits": [3, -1]}}).output == Output("greeting", None, (3.0, -1.0))


def test_a_mapping_of_classes_needs_their_order() -> None:
    assert reason({"text": "a", "output": {"probabilities": {"refund": 1.0}}}, SampleOptions()) == "output"


def test_images_as_base64_and_data_url() -> None:
    encoded = base64.b64encode(b"\x89PNG rest").decode()
    assert sample({"image": encoded}).payload == b"\x89PNG rest"
    assert sample({"image": f"data:image/vnd.x-icon;base64,{encoded}"}).payload == b"\x89PNG rest"


def test_image_paths_stay_below_their_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.png").write_bytes(b"png")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (root / "link.png").symlink_to(tmp_path / "secret.txt")
    options = SampleOptions(image_root=root)
    assert sample({"image": "sub/a.png"}, options).payload == b"png"
    for outside in ("../secret.txt", str(tmp_path / "secret.txt"), "link.png"):
        assert reason({"image": outside}, options) == "image_path"
    for unreadable in ("none.png", ".", "a\0b.png", "x" * 5_000 + ".png"):
        assert reason({"image": unreadable}, options) == "image"


def test_the_embedders_check_decides_last() -> None:
    def check(payload: Payload) -> None:
        if len(payload) != 3:
            raise InputError("dimension", "3 values are needed")

    assert reason({"vector": [1, 2]}, SampleOptions(check=check)) == "dimension"
    assert sample({"vector": [1, 2, 3]}, SampleOptions(check=check)).id == "from-log"


def test_a_batch_is_judged_item_by_item() -> None:
    body = b'[{"text": "a"}, {"text": ""}, 3, {"text": "b", "text": "c"}, {"text": "d"}]'
    items = decode_samples(body, monitor="chat", now=NOW, options=OPTIONS)
    assert [item.reason if isinstance(item, Rejected) else item.payload for item in items] == ["a", "empty", "json", "json", "d"]
    assert next((item.index, item.original) for item in items if isinstance(item, Rejected)) == (1, b'{"text": ""}')
    assert all(math.isnan(item.time) and not item.id for item in items if isinstance(item, Sample))


def test_one_sample_is_a_batch_of_one() -> None:
    (only,) = decode_samples(b' {"text": "a"}', monitor="chat", now=NOW, options=OPTIONS)
    assert isinstance(only, Sample)


@pytest.mark.parametrize(("body", "expected"), [(b"[{", "json"), (b"[" * 100_000, "json"), (b"[1, 2, 3]", "too_large")])
def test_a_batch_that_cannot_be_read_is_an_error(body: bytes, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_samples(body, monitor="chat", now=NOW, options=OPTIONS, max_items=2)
    assert caught.value.reason == expected


# --- nothing raises --------------------------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("id", "time", "text", "image", "vector", "segments", "output", "label")
LIKELY = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, ANYTHING))


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_end_in_a_sample_or_a_rejection(body: bytes) -> None:
    assert isinstance(decode(body), Sample | Rejected)


@given(LIKELY | LIKELY.map(lambda document: {**document, "text": "x"}))
@example({"text": "\ud800"})
@example({"text": "x", "id": "\udfff"})
@example({"text": "x", "id": 10**5_000})
@example({"text": "x", "segments": {"\ud800": "x"}})
@example({"text": "x", "output": {"label": "\ud800"}})
def test_any_document_ends_in_a_sample_or_a_rejection(document: dict[str, Any]) -> None:
    decoded = decode_sample(document, monitor="chat", now=NOW, options=SampleOptions(image_root=Path("/nonexistent")))
    assert isinstance(decoded, Sample | Rejected)
    if isinstance(decoded, Sample):
        "".join((decoded.id, *decoded.segments, *decoded.segments.values(), decoded.label or "")).encode()


@given(LIKELY)
def test_a_document_and_its_text_are_judged_alike(document: dict[str, Any]) -> None:
    try:
        text = json.dumps(document, allow_nan=False).encode()
    except (TypeError, ValueError):
        return
    first, second = decode(text), decode_sample(document, monitor="chat", now=NOW, default_id="from-log", default_time=7.0, options=OPTIONS)
    if isinstance(first, Sample) and isinstance(second, Sample):
        assert (first.id, first.time, first.segments, first.output) == (second.id, second.time, second.segments, second.output)
    elif isinstance(first, Rejected):
        assert first.reason == "json" or (isinstance(second, Rejected) and first.reason == second.reason)


# --- the quick way is the slow one -----------------------------------------------------------------------------------

NUMBERS = st.floats(width=32) | st.floats() | st.integers() | st.booleans()
MIXED = st.lists(NUMBERS | st.none() | st.text(max_size=2), max_size=4)


@given(st.lists(NUMBERS) | MIXED | st.lists(st.lists(st.floats(0, 1), max_size=3)))
@example([0.5, 2**70])
@example([1e300])
@example([3e38] * 3)
@example([1.5, True])
def test_lists_of_floats_are_read_as_any_others(value: list[Any]) -> None:
    assert read(vector_of, value) == read(payloads._array, value)


def read(reader: Callable[[Any], NDArray[np.float32]], value: list[Any]) -> object:
    try:
        found = reader(value)
    except InputError as error:
        return error.reason, str(error)
    return found.dtype, found.shape, found.tobytes()


PLACES = st.recursive(
    st.sampled_from(["1", "1.5", '"["', '"]"', '":"', "null", '"a:"']),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '"["', '"]"']), inner), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key} : {value}" for key, value in pairs) + "}"
        )
    ),
)


@given(PLACES)
@example('{"a": "[", "a": "]", "b": [1]}')
def test_a_repeated_key_is_found_wherever_it_stands(text: str) -> None:
    """Inside arrays too: only there Python's slower reader may be asked though nothing is repeated."""
    try:
        expected = json.loads(text, object_pairs_hook=json_text._once)
    except ValueError:
        with pytest.raises(InputError, match="given twice"):
            parse(text.encode())
    else:
        assert parse(text.encode()) == expected
