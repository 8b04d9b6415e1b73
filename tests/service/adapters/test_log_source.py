"""Reading the embedded log as a source."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing

import pytest

from service.adapters.log_source import LogSource
from service.adapters.sqlite import SqliteLog
from service.errors import InputError
from service.records import Item, Partition, Rejected, Request, Response, Sample


def decode(body: bytes) -> Item:
    word, _, text = body.decode().partition(":")
    if word == "request":
        return Request("chat", "ev", (Sample("chat", "ev/0", math.nan, text), Sample("chat", "", math.nan, text)))
    if word == "response":
        return Response("chat", "ev", ())
    if word == "broken":
        raise InputError("not_json", "the entry is damaged")
    name, _, time = word.partition("@")
    return Sample("chat", name, float(time or "nan"), text)


@pytest.fixture
def log() -> Iterator[SqliteLog]:
    with closing(SqliteLog(":memory:", backlog_bytes=1_000_000, retention_bytes=0)) as log:
        yield log


@pytest.fixture
def source(log: SqliteLog) -> LogSource:
    return LogSource(log, decode)


def test_entries_become_records_from_the_sought_offset_on(log: SqliteLog, source: LogSource) -> None:
    log.append([b"a@1:x", b"b@2:y", b"c@3:z"], now=50.0)
    assert source.partitions() == [log.partition]
    source.seek(log.partition, 1)

    (record,) = source.poll(1, 0.0)
    assert (record.partition, record.offset, record.time) == (log.partition, 1, 50.0)
    assert [(s.id, s.time, s.payload) for s in record.items if isinstance(s, Sample)] == [("b", 2.0, "y")]
    assert [r.offset for r in source.poll(10, 0.0)] == [2]
    assert source.poll(10, 0.01) == []
    assert not source.ended

    source.seek(log.partition, 0)
    assert [r.offset for r in source.poll(10, 0.0)] == [0, 1, 2]


def test_what_the_sender_left_out_comes_from_the_log(log: SqliteLog, source: LogSource) -> None:
    log.append([b"a@1:x", b":y", b"request:z"], now=50.0)

    *_, second, third = source.poll(10, 0.0)

    (sample,) = second.items
    assert isinstance(sample, Sample)
    assert (sample.id, sample.time) == ("http/0/1/0", 50.0)
    (request,) = third.items
    assert isinstance(request, Request)
    assert [(s.id, s.time) for s in request.samples] == [("ev/0", 50.0), ("http/0/2/1", 50.0)]


def test_an_entry_that_cannot_be_decoded_is_rejected_alone(log: SqliteLog, source: LogSource) -> None:
    log.append([b"broken:" + b"y" * 100_000, b"response:", b"b:y"], now=50.0)

    first, second, third = source.poll(10, 0.0)

    (rejected,) = first.items
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.message, len(rejected.original)) == ("not_json", "the entry is damaged", 64_000)
    assert isinstance(second.items[0], Response)
    assert isinstance(third.items[0], Sample)


def test_a_partition_of_another_topic_cannot_be_sought(source: LogSource) -> None:
    with pytest.raises(ValueError, match="http/gone/0"):
        source.seek(Partition("http", "gone"), 0)
