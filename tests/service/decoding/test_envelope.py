"""The log's entries: what goes in comes out, whatever it is, and damage is a rejection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.decoding.envelope import VERSION, decode, encode
from service.records import Item, Output, Rejected, Request, Response, Sample

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.lists(st.floats(allow_nan=False), max_size=4).map(tuple)
VECTORS = hnp.arrays(np.float32, hnp.array_shapes(min_side=0, max_dims=4, max_side=4))
OUTPUTS = st.builds(Output, st.none() | NAMES, st.none() | NUMBERS, st.none() | NUMBERS, st.none() | NAMES)
SAMPLES = st.builds(
    Sample,
    NAMES,
    NAMES,
    st.floats(),
    NAMES | st.binary(max_size=50) | VECTORS,
    st.dictionaries(NAMES, NAMES, max_size=3),
    st.none() | OUTPUTS,
    st.none() | NAMES,
)
INSTANCES = st.builds(lambda sample, event, place: replace(sample, id=f"{event}/{place}"), SAMPLES, NAMES, st.integers(0, 10**6))
REJECTIONS = st.builds(Rejected, NAMES, NAMES, st.binary(max_size=50), st.integers(0, 10**6), st.none() | NAMES, NAMES)
ITEMS: st.SearchStrategy[Item] = (
    SAMPLES
    | st.builds(Request, NAMES, NAMES, st.lists(INSTANCES, max_size=3).map(tuple))
    | st.builds(Response, NAMES, NAMES, st.lists(OUTPUTS, max_size=3).map(tuple))
    | REJECTIONS
)


def shown(item: Any) -> Any:
    """The item as something that `==` compares bit for bit."""
    if isinstance(item, Sample):
        payload = (item.payload.shape, item.payload.dtype, item.payload.tobytes()) if isinstance(item.payload, np.ndarray) else item.payload
        return (item.monitor, item.id, np.float64(item.time).tobytes(), payload, dict(item.segments), item.output, item.label)
    if isinstance(item, Request):
        return (item.monitor, item.event_id, [shown(sample) for sample in item.samples])
    return item


@given(ITEMS)
def test_what_goes_in_comes_out(item: Item) -> None:
    found = decode(encode(item))
    assert type(found) is type(item)
    assert shown(found) == shown(item)


@given(st.binary() | st.binary().map(lambda rest: bytes([VERSION]) + rest))
def test_any_bytes_are_an_item(body: bytes) -> None:
    assert isinstance(decode(body), Sample | Request | Response | Rejected)


@given(ITEMS, st.integers(0, 200), st.integers(0, 255))
def test_damage_does_not_raise(item: Item, place: int, value: int) -> None:
    body = bytearray(encode(item))
    body[place % len(body)] = value
    assert isinstance(decode(bytes(body)), Sample | Request | Response | Rejected)
    assert isinstance(decode(bytes(body[: place % len(body)])), Sample | Request | Response | Rejected)


def test_vectors_of_another_byte_order_or_layout_keep_their_values() -> None:
    tensor = np.arange(6, dtype=">f4").reshape(2, 3).T
    found = decode(encode(Sample("m", "i", 0.0, tensor)))
    assert isinstance(found, Sample)
    np.testing.assert_array_equal(found.payload, np.arange(6, dtype=np.float32).reshape(2, 3).T)


def test_a_later_version_is_refused_by_name() -> None:
    body = bytes([VERSION + 1]) + encode(Rejected("json", "", b""))[1:]
    found = decode(body)
    assert isinstance(found, Rejected)
    assert (found.reason, found.original) == ("envelope", body)


def test_entries_are_compact() -> None:
    assert len(encode(Sample("chat", "a1", 0.0, np.zeros(384, np.float32)))) <= 384 * 4 + 40


@pytest.mark.parametrize("id", ["event", "event/first", "event/-1", "event/" + "1" * 5_000, ""])
def test_a_request_whose_instances_have_no_number_is_refused(id: str) -> None:
    found = decode(encode(Request("m", "event", (Sample("m", id, 0.0, "text"),))))
    assert isinstance(found, Rejected)
    assert "event/0" in found.message
