"""Files as sources: each format's samples, what is wrong with a row, what is wrong with a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.file_source import FileSource, read_samples
from service.decoding.options import SampleOptions
from service.errors import InputError
from service.records import Output, Payload, Record, Rejected, Sample


def read(*paths: Path, options: SampleOptions | None = None) -> list[Record]:
    return list(read_samples(paths, "chat", options or SampleOptions()))


def samples(records: Sequence[Record]) -> list[Sample]:
    items = [item for record in records for item in record.items]
    assert all(isinstance(item, Sample) for item in items), items
    return [item for item in items if isinstance(item, Sample)]


def refused(records: Sequence[Record]) -> list[tuple[int, str]]:
    """(offset, reason) of every rejection."""
    return [(record.offset, item.reason) for record in records for item in record.items if isinstance(item, Rejected)]


def content_hash(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=10).hexdigest()


# --- JSONL -----------------------------------------------------------------------------------------------------------


def test_jsonl_lines_are_records(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text('{"id": "a", "text": "one", "time": 5}\n\n{"text": "two"}\r\n{"text": "three"}', encoding="utf-8")
    records = read(path)
    assert [(record.offset, record.time) for record in records] == [(0, 5.0), (2, 0.0), (3, 0.0)]
    assert [(s.id, s.payload) for s in samples(records)] == [
        ("a", "one"),
        (f"{content_hash(path)}/2", "two"),
        (f"{content_hash(path)}/3", "three"),
    ]
    assert {(r.partition.topic, r.partition.topic_id, r.partition.number) for r in records} == {("chat.jsonl", content_hash(path), 0)}


def test_a_bad_line_leaves_the_rest_unharmed(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    lines = [b'{"text": "a"}', b"{broken", b'{"text": "' + b"x" * 3_000 + b'"}', b'{"text": "\xff"}', b'{"text": ""}', b'{"text": "b"}']
    path.write_bytes(b"\n".join(lines))
    records = read(path, options=SampleOptions(max_bytes=1_000))
    assert refused(records) == [(1, "json"), (2, "too_large"), (3, "json"), (4, "empty")]
    assert [record.offset for record in records if isinstance(record.items[0], Sample)] == [0, 5]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize(("spare", "taken"), [(0, True), (-1, False), (-2, False), (-3, False)])
def test_the_cap_counts_a_line_without_its_end(tmp_path: Path, end: bytes, spare: int, taken: bool) -> None:
    line = b'{"text": "abc"}'
    path = tmp_path / "chat.jsonl"
    path.write_bytes(line + end + (b'{"text":"b"}' if end else b""))
    records = read(path, options=SampleOptions(max_bytes=len(line) + spare))
    assert isinstance(records[0].items[0], Sample) is taken
    assert [record.offset for record in records] == ([0, 1] if end else [0])
    assert refused(records[1:]) == []


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "chat.ndjson"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\n')
    assert [sample.payload for sample in samples(read(path))] == ["a"]


def test_images_are_found_beside_the_file_and_future_times_are_taken(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"png")
    path = tmp_path / "chat.jsonl"
    path.write_text('{"image": "cat.png", "time": "2999-01-01T00:00:00Z"}\n{"image": "../cat.png"}\n', encoding="utf-8")
    records = read(path)
    assert samples(records[:1])[0].payload == b"png"
    assert records[0].time == datetime(2999, 1, 1, tzinfo=UTC).timestamp()
    assert refused(records) == [(1, "image_path")]


@given(st.binary())
def test_any_bytes_are_lines_that_end_well(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "any.jsonl"
    path.write_bytes(content)
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    assert len(read(path, options=SampleOptions(max_bytes=20))) <= len(lines)


# --- npy -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_rows_are_vectors(tmp_path: Path, dtype: str, order: Any) -> None:
    rows = np.arange(2_500 * 3).reshape(2_500, 3).astype(dtype, order=order) / 8
    path = tmp_path / "v.npy"
    np.save(path, rows)
    records = read(path)
    found = samples(records)
    np.testing.assert_array_equal(np.stack([np.asarray(sample.payload) for sample in found]), rows.astype(np.float32))
    assert [record.offset for record in records] == list(range(2_500))
    assert found[2_400].id == f"{content_hash(path)}/2400"


def test_a_kept_vector_keeps_only_itself(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.ones((2_000, 4), np.float32))
    payload = samples(read(tmp_path / "v.npy"))[0].payload
    assert isinstance(payload, np.ndarray)
    assert payload.base is None


def test_npy_rows_that_are_not_finite_are_refused_alone(tmp_path: Path) -> None:
    rows = np.ones((2_000, 2))
    rows[3, 1], rows[1_500, 0], rows[7, 0] = np.nan, np.inf, 1e300
    np.save(tmp_path / "v.npy", rows)
    records = read(tmp_path / "v.npy")
    assert refused(records) == [(3, "not_finite"), (7, "not_finite"), (1_500, "not_finite")]
    assert [record.offset for record in records] == list(range(2_000))


def three(payload: Payload) -> None:
    if len(payload) != 3:
        raise InputError("dimension", f"{len(payload)} values; the monitor takes 3")


def test_npy_of_another_dimension_is_refused_as_a_whole(tmp_path: Path) -> None:
    np.save(tmp_path / "three.npy", np.ones((2, 3)))
    np.save(tmp_path / "four.npy", np.ones((2, 4)))
    assert len(read(tmp_path / "three.npy", options=SampleOptions(check=three))) == 2
    with pytest.raises(InputError, match=r"four\.npy: 4 values") as caught:
        FileSource([tmp_path / "four.npy"], "chat", SampleOptions(check=three))
    assert caught.value.reason == "dimension"


@pytest.mark.parametrize("array", [np.ones(3), np.ones((2, 0)), np.ones((2, 2, 2)), np.ones((2, 2), int), np.array([["a"]])])
def test_npy_of_another_shape_or_type_is_refused(tmp_path: Path, array: Any) -> None:
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(InputError, match=r"v\.npy: needs shape"):
        FileSource([tmp_path / "v.npy"], "chat", SampleOptions())


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"no \.npy file that can be read"):
        FileSource([tmp_path / "v.npy"], "chat", SampleOptions())


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"\x93NUMPY\x01\x00" + rest))
def test_any_bytes_are_no_npy_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "any.npy"
    path.write_bytes(content)
    with pytest.raises(InputError):
        FileSource([path], "chat", SampleOptions())


# --- Parquet ---------------------------------------------------------------------------------------------------------


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_parquet_columns_are_the_fields_of_a_sample(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    path = parquet(
        tmp_path / "chat.parquet",
        {
            "id": ["a", None],
            "time": pa.array([moment, None], pa.timestamp("ns", tz="Europe/Berlin")),
            "text": pa.array(["one", "two"]).dictionary_encode(),
            "segments": pa.array([[("locale", "de")], None], pa.map_(pa.string(), pa.string())),
            "segments.product": ["shop", None],
            "segment_build": [3, 4],
            "output": [{"label": "x", "probabilities": [0.25, 0.75]}, None],
            "output.model_version": ["v1", None],
            "label": ["y", None],
            "ignored": [1, 2],
        },
    )
    first, second = samples(read(path))
    assert (first.id, first.time, first.payload, first.label) == ("a", moment.timestamp(), "one", "y")
    assert first.segments == {"locale": "de", "product": "shop", "build": "3"}
    assert first.output == Output("x", (0.25, 0.75), None, "v1")
    assert (second.id, second.time, second.output, second.label) == (f"{content_hash(path)}/1", 0.0, None, None)
    assert second.segments == {"build": "4"}


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1, 2], [3, 4]], pa.list_(pa.float32())),
        pa.array([[1, 2], [3, 4]], pa.list_(pa.float64(), 2)),
        pa.array([[1, 2], [3, 4]], pa.large_list(pa.float16())),
        pa.array([[1, 2], [3, 4]], pa.list_(pa.int32())),
    ],
)
def test_parquet_vectors(tmp_path: Path, column: Any) -> None:
    found = samples(read(parquet(tmp_path / "v.parquet", {"vector": column})))
    assert [np.asarray(sample.payload).tolist() for sample in found] == [[1.0, 2.0], [3.0, 4.0]]


def test_parquet_tensors_images_and_other_times(tmp_path: Path) -> None:
    (tensor,) = samples(read(parquet(tmp_path / "t.parquet", {"vector": [[[1.0, 2.0], [3.0, 4.0]]], "time": ["1970-01-01T00:00:09Z"]})))
    assert (np.asarray(tensor.payload).shape, tensor.time) == ((2, 2), 9.0)
    (image,) = samples(read(parquet(tmp_path / "i.parquet", {"image": [b"png"], "time": [1.5]})))
    assert (image.payload, image.time) == (b"png", 1.5)
    (naive,) = samples(read(parquet(tmp_path / "n.parquet", {"text": ["a"], "time": pa.array([2_000], pa.timestamp("ms"))})))
    assert naive.time == 2.0


def test_parquet_rows_that_cannot_be_used_are_refused_alone(tmp_path: Path) -> None:
    columns = {
        "vector": pa.array([[1.0], [float("nan")], None, [None], [], [2.0]], pa.list_(pa.float32())),
        "segments": pa.array([None] * 5 + [{"t": "x" * 300}], pa.struct({"t": pa.string()})),
    }
    records = read(parquet(tmp_path / "v.parquet", columns))
    expected = [(1, "not_finite"), (2, "payload"), (3, "payload"), (4, "empty"), (5, "segments")]
    assert refused(records) == expected
    without_null = {"vector": pa.array([[1.0], [None]], pa.list_(pa.float32()))}
    assert refused(read(parquet(tmp_path / "w.parquet", without_null))) == [(1, "not_finite")]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": [1]}, "column text is int64; expected string"),
        ({"vector": ["a"]}, "column vector is string; expected list"),
        ({"text": ["a"], "segments": ["x"]}, "column segments is string; expected struct or map"),
        ({"text": ["a"], "time": [[1]]}, "column time is list"),
        ({"message": ["a"]}, "no column text, image or vector; found message"),
    ],
)
def test_parquet_of_other_types_is_refused_as_a_whole(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FileSource([parquet(tmp_path / "x.parquet", columns)], "chat", SampleOptions())


def test_damaged_parquet_says_so(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", {"text": [f"message {i}" for i in range(5_000)]}, compression="none", use_dictionary=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(InputError, match="no Parquet file that can be read"):
        FileSource([path], "chat", SampleOptions())
    path.write_bytes(whole[:4] + b"\xff" * 200 + whole[204:])
    with pytest.raises(InputError, match="damaged: "):
        read(path)


# --- files as a whole ------------------------------------------------------------------------------------------------


def test_files_are_read_in_the_order_given(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": f"{name}{i}"}) + "\n" for i in range(3)), encoding="utf-8")
    paths = [tmp_path / "b.jsonl", tmp_path / "a.jsonl"]
    assert [sample.payload for sample in samples(read(*paths))] == ["b0", "b1", "b2", "a0", "a1", "a2"]
    source = FileSource(paths, "chat", SampleOptions())
    assert [partition.topic for partition in source.partitions()] == ["b.jsonl", "a.jsonl"]
    polled = []
    while not source.ended:
        polled.append([record.items[0].payload for record in source.poll(2, 0.0) if isinstance(record.items[0], Sample)])
    assert polled == [["b0", "b1"], ["b2"], ["a0", "a1"], ["a2"]]


def test_a_changed_file_is_another_partition(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n', encoding="utf-8")
    before = read(path)[0].partition
    path.write_text('{"text": "b"}\n', encoding="utf-8")
    assert read(path)[0].partition != before


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "a.csv").touch()
    (tmp_path / "folder.jsonl").mkdir()
    for names, message in [
        (["none.jsonl"], "No such file"),
        (["a.csv"], "samples are read from"),
        (["folder.jsonl"], "Is a directory"),
        (["a.jsonl"] * 2, "twice"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            FileSource([tmp_path / name for name in names], "chat", SampleOptions())
        assert caught.value.reason == "file"
