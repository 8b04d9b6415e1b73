"""A source in memory that others may add to while it is read."""

from __future__ import annotations

import threading

import pytest

from service.adapters.memory import ListSource
from service.records import Partition, Record, Sample

PARTITION = Partition("samples", "1")


def record(offset: int) -> Record:
    return Record(PARTITION, offset, 0.0, (Sample("chat", str(offset), 0.0, "hello"),))


def test_records_pushed_by_another_thread_end_the_wait() -> None:
    source = ListSource(partitions=[PARTITION], growing=True)
    assert source.partitions() == (PARTITION,)
    thread = threading.Thread(target=source.push, args=(record(0), record(1)))
    thread.start()
    assert [found.offset for found in source.poll(1, 30.0)] == [0]
    thread.join()
    assert [found.offset for found in source.poll(10, 0.0)] == [1]
    assert not source.ended


def test_the_end_wakes_whoever_waits() -> None:
    source = ListSource(growing=True)
    thread = threading.Timer(0.01, source.end)
    thread.start()
    assert source.poll(1, 30.0) == []
    assert source.ended
    thread.join()


def test_the_end_comes_after_the_last_record() -> None:
    source = ListSource([record(0)], growing=True)
    source.end()
    assert not source.ended
    assert len(source.poll(1, 0.0)) == 1
    assert source.ended


def test_without_growing_the_records_given_are_all() -> None:
    source = ListSource([record(0)])
    assert len(source.poll(10, 30.0)) == 1
    assert source.ended
    with pytest.raises(ValueError, match="has ended"):
        source.push(record(1))


def test_an_empty_poll_returns_at_its_timeout() -> None:
    assert ListSource(growing=True).poll(1, 0.001) == []


def test_offsets_only_grow() -> None:
    with pytest.raises(ValueError, match="does not follow"):
        ListSource([record(3), record(3)])
