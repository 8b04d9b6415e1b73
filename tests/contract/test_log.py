"""What every Log promises: what it took is durable and in order, and it refuses more than it may hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from service.adapters.sqlite import SqliteLog
from service.errors import ArtefactError, BacklogFullError, InputError
from service.records import Partition

Opener = Callable[..., SqliteLog]


@pytest.fixture
def log(open_log: Opener) -> SqliteLog:
    return open_log()


def bodies(log: SqliteLog, offset: int = 0) -> Sequence[bytes]:
    return [entry.body for entry in log.read(offset, 1_000)]


def test_entries_come_back_in_order_with_offset_and_time(log: SqliteLog) -> None:
    assert log.append([b"a", b""], now=5.0) == 0
    assert log.append([b"\x00c"], now=6.0) == 2

    assert [(e.offset, e.time, e.body) for e in log.read(0, 10)] == [(0, 5.0, b"a"), (1, 5.0, b""), (2, 6.0, b"\x00c")]
    assert [e.offset for e in log.read(1, 1)] == [1]
    assert log.read(3, 10) == []


def test_an_empty_append_takes_nothing(log: SqliteLog) -> None:
    log.append([b"a"], now=5.0)
    assert log.append([], now=5.0) == 1
    assert log.read(1, 10) == []


def test_the_partition_is_named_once(open_durable_log: Opener) -> None:
    log = open_durable_log()
    assert log.partition == Partition("http", log.partition.topic_id, 0)
    assert log.partition.topic_id
    log.close()
    assert open_durable_log().partition == log.partition


def test_many_callers_at_once_each_get_their_own_entries(log: SqliteLog) -> None:
    given: dict[int, list[bytes]] = {}

    def send(caller: int) -> None:
        for number in range(10):
            mine = [b"%d/%d/%d" % (caller, number, n) for n in range(3)]
            given[log.append(mine, now=1.0)] = mine

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(given) == list(range(0, 240, 3))
    assert all(bodies(log, offset)[:3] == mine for offset, mine in given.items())


def test_a_backlog_at_its_cap_refuses_and_takes_again_once_decided(open_log: Opener) -> None:
    log = open_log(backlog_bytes=100)
    log.append([b"x" * 60], now=1.0)

    with pytest.raises(BacklogFullError, match="60 bytes wait") as refused:
        log.append([b"y" * 20, b"z" * 21], now=2.0)

    assert refused.value.retryable
    assert refused.value.retry_after > 0
    assert len(log.read(0, 10)) == 1
    assert log.append([b"y" * 40], now=3.0) == 1
    log.decided(1)
    assert log.backlog == 40
    assert log.append([b"z" * 60], now=4.0) == 2


def test_what_can_never_fit_is_refused_for_good(open_log: Opener) -> None:
    with pytest.raises(InputError, match="101 bytes"):
        open_log(backlog_bytes=100).append([b"x" * 101], now=1.0)


def test_decided_goes_only_forward_and_not_past_the_end(log: SqliteLog) -> None:
    log.append([b"a", b"b", b"c"], now=1.0)
    log.decided(2)
    log.decided(1)
    log.decided(9)

    assert log.backlog == 1


def test_decided_entries_are_trimmed_beyond_the_retention_and_no_others(open_log: Opener) -> None:
    log = open_log(backlog_bytes=10_000_000, retention_bytes=1_000_000)
    log.append([bytes([n]) * 400_000 for n in range(10)], now=1.0)

    log.decided(8)

    assert [e.offset for e in log.read(5, 10)] == [5, 6, 7, 8, 9]
    with pytest.raises(ArtefactError, match="offset 0 was asked for, the log has 5 to 10"):
        log.read(0, 10)
    assert log.backlog == 800_000


def test_offsets_are_never_used_twice(open_durable_log: Opener) -> None:
    log = open_durable_log()
    log.append([b"x" * 600_000] * 4, now=1.0)
    log.decided(4)
    log.close()

    log = open_durable_log()
    assert log.backlog == 0
    assert log.append([b"y"], now=2.0) == 4
    assert [e.offset for e in log.read(4, 10)] == [4]


def test_the_backlog_is_known_after_a_crash_as_soon_as_the_reader_says_where_it_stands(open_durable_log: Opener) -> None:
    log = open_durable_log()
    log.append([b"abc", b"de"], now=1.0)
    log.decided(1)

    log = open_durable_log()
    assert log.backlog == 5
    log.decided(1)
    assert log.backlog == 2


def test_an_offset_beyond_the_end_is_an_error_and_not_a_guess(log: SqliteLog) -> None:
    log.append([b"a"], now=1.0)
    with pytest.raises(ArtefactError, match="offset 2"):
        log.read(2, 10)


def test_a_large_read_ends_early_but_never_empty(open_log: Opener) -> None:
    log = open_log(backlog_bytes=200_000_000)
    for _ in range(3):
        log.append([b"x" * 20_000_000], now=1.0)

    offsets, position = [], 0
    while entries := log.read(position, 100):
        offsets.append([e.offset for e in entries])
        position = entries[-1].offset + 1

    assert [n for batch in offsets for n in batch] == [0, 1, 2]
    assert len(offsets) > 1


def test_waiting_ends_with_the_time_or_an_entry(log: SqliteLog) -> None:
    assert not log.wait(0, 0.01)
    log.append([b"a"], now=1.0)
    assert log.wait(0, 0.0)
    assert not log.wait(1, 0.0)


def test_an_append_wakes_whoever_waits(log: SqliteLog) -> None:
    woken: list[bool] = []
    waiter = threading.Thread(target=lambda: woken.append(log.wait(0, 30.0)))
    waiter.start()
    time.sleep(0.01)
    log.append([b"a"], now=1.0)
    waiter.join(10.0)

    assert woken == [True]


def test_a_reader_beside_writers_misses_nothing(log: SqliteLog) -> None:
    seen: list[int] = []

    def follow() -> None:
        while len(seen) < 100:
            if log.wait(len(seen), 10.0):
                seen.extend(e.offset for e in log.read(len(seen), 7))

    follower = threading.Thread(target=follow)
    follower.start()
    for _ in range(50):
        log.append([b"a", b"b"], now=1.0)
    follower.join(10.0)

    assert seen[0] == 0
    assert all(later == earlier + 1 for earlier, later in pairwise(seen))
    assert len(seen) == 100
