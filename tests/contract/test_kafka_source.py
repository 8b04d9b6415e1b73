"""The Kafka source against a real broker: groups that shrink and grow, topics that go and come back, logs that are cut, and slowness."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest
from kafka import KafkaProducer, TopicPartition

from service.adapters.kafka import Cluster, KafkaSource, Start
from service.errors import ConfigurationError, UnavailableError
from service.records import Item, Original, Partition, Record, Rejected
from service.settings import KafkaSettings
from tests.servers.fixtures import StartKafka
from tests.servers.kafka_server import KafkaServer

pytestmark = pytest.mark.server("kafka")

SINCE = int(time.time()) - 3_600
"""When the first record was written: one of long ago would not be kept."""

Opener: TypeAlias = Callable[..., KafkaSource]


def read(_topic: str, record: Original) -> Sequence[Item]:
    return (Rejected("any", "kept as it came", record.value or b""),)


@pytest.fixture
def name() -> str:
    """Of the test's own topic and group."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def topic(kafka_broker: KafkaServer, name: str) -> str:
    kafka_broker.create_topics({name: 2})
    return name


@pytest.fixture
def opened(kafka_broker: KafkaServer, name: str) -> Iterator[Opener]:
    with ExitStack() as stack:

        def opener(*, start: Start = "earliest", clock: Callable[[], float] = time.monotonic, **settings: Any) -> KafkaSource:
            given = {"brokers": (kafka_broker.bootstrap,), "group": name, "session_seconds": 6, **settings}
            source = KafkaSource(Cluster(KafkaSettings(**given)), {name: start}, read, clock=clock)
            stack.enter_context(closing(source))
            return source

        yield opener


def write(broker: KafkaServer, topic: str, count: int, *, partition: int = 0, first: int = 0) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    for number in range(first, first + count):
        producer.send(topic, b"%d" % number, key=b"k", headers=[("h", b"v")], partition=partition, timestamp_ms=1_000 * (SINCE + number))
    producer.flush()
    producer.close()


def until(happened: Callable[[], object], *sources: KafkaSource, patience: float = 40.0) -> None:
    """Steps of workers with nothing to do, in turn, until it has happened."""
    deadline = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        for source in sources:
            source.partitions()
            source.poll(100, 0.05)


def held(source: KafkaSource) -> list[int]:
    return sorted(partition.number for partition in source.partitions())


def take_up(source: KafkaSource, count: int = 2, offset: int = 0) -> Sequence[Partition]:
    """All partitions, read from `offset` on."""
    until(lambda: len(source.partitions()) == count, source)
    partitions = source.partitions()
    for partition in partitions:
        source.seek(partition, offset)
    return partitions


def drained(source: KafkaSource, count: int) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + 20
    while len(records) < count and time.monotonic() < deadline:
        records += source.poll(100, 0.2)
    return records


def test_nothing_is_read_before_the_store_has_said_from_where(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    write(kafka_broker, topic, 5)
    source = opened()
    until(lambda: len(source.partitions()) == 2, source)
    assert not source.poll(10, 1.0)
    first, second = sorted(source.partitions(), key=lambda partition: partition.number)
    source.seek(first, 3)
    records = drained(source, 2)
    assert [(record.partition, record.offset) for record in records] == [(first, 3), (first, 4)]
    assert records[0].original == Original(b"k", b"3", (("h", b"v"),), SINCE + 3.0)
    assert records[0].time == SINCE + 3.0
    assert str(uuid.UUID(first.topic_id)) == first.topic_id == second.topic_id


def test_a_partition_that_waited_while_others_were_read_goes_on(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    """As one does whose store has no room for it yet: what was fetched of it lies in the library, half read."""
    now = [0.0]
    for number in (0, 1):
        write(kafka_broker, topic, 50, partition=number)
    source = opened(clock=lambda: now[0])
    first, second = take_up(source)
    one, other = (first, second) if source.poll(10, 5.0)[0].partition == first else (second, first)
    source._sought.discard(TopicPartition(topic, one.number))
    now[0] += 2.0
    source.partitions()
    assert [record.offset for record in drained(source, 50) if record.partition == other] == list(range(50))
    source.seek(one, 10)
    assert [record.offset for record in drained(source, 40)] == list(range(10, 50))


def test_a_member_that_comes_takes_a_share_and_one_that_goes_gives_it_back(topic: str, opened: Opener) -> None:
    first, second = opened(), opened()
    take_up(first)
    until(lambda: len(held(first)) == len(held(second)) == 1, first, second)
    assert sorted(held(first) + held(second)) == [0, 1]
    second.close()
    until(lambda: held(first) == [0, 1], first)


def test_a_partition_moves_once_the_batch_in_hand_is_done_or_the_handover_over(topic: str, opened: Opener) -> None:
    now = [0.0]
    first, second = opened(clock=lambda: now[0], handover_seconds=60), opened()
    take_up(first)
    first.poll(10, 0.1)  # a batch is in hand from here on

    def works_on() -> None:
        now[0] += 1.5
        first.alive()
        second.partitions()
        second.poll(10, 0.1)

    for _ in range(30):
        works_on()
    assert held(second) == []
    now[0] += 60
    deadline = time.monotonic() + 20
    while not held(second) and time.monotonic() < deadline:
        works_on()
    (moved,) = held(second)
    assert held(first) == [number for number in (0, 1) if number != moved]


def test_a_batch_that_takes_long_costs_no_membership(topic: str, opened: Opener) -> None:
    source = opened(handover_seconds=1)
    take_up(source)
    source.poll(10, 0.1)
    for _ in range(40):  # 8 seconds: longer than a member may be silent
        time.sleep(0.2)
        source.alive()
    assert held(source) == [0, 1]


def test_who_was_silent_for_too_long_takes_everything_up_anew(topic: str, opened: Opener) -> None:
    source = opened(handover_seconds=1)
    take_up(source)
    source.poll(10, 0.1)
    time.sleep(8)
    assert held(source) == []
    until(lambda: held(source) == [0, 1], source)


def test_a_named_instance_keeps_its_partitions_over_a_restart(topic: str, opened: Opener) -> None:
    one, other = opened(instance="worker-0"), opened(instance="worker-1")
    until(lambda: len(held(one)) == len(held(other)) == 1, one, other)
    (mine,), (its,) = held(one), held(other)
    one.close()
    for _ in range(10):
        other.poll(10, 0.05)
        assert held(other) == [its]
    again = opened(instance="worker-0")
    until(lambda: held(again), again, other)
    assert held(again) == [mine]
    assert held(other) == [its]


def test_of_two_with_one_name_the_older_is_told(topic: str, opened: Opener) -> None:
    older, newer = opened(instance="worker-0"), opened(instance="worker-0")
    for partition in take_up(older):
        older.committed(partition, 0)
    until(lambda: held(newer) == [0, 1], newer)

    def goes_on() -> None:
        for partition in older.partitions():
            older.committed(partition, 1 + int(time.monotonic()))
        older.poll(10, 0.05)

    with pytest.raises(ConfigurationError, match=r"worker-0.*another worker has this name"):
        until(goes_on, newer)
    with pytest.raises(ConfigurationError, match="worker-0"):
        older.partitions()
    assert "worker-0" in older.waits_for
    assert held(newer) == [0, 1]


def test_what_is_committed_is_mirrored(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    write(kafka_broker, topic, 5)
    source = opened()
    partitions = take_up(source)
    first = next(partition for partition in partitions if partition.number == 0)
    drained(source, 5)
    source.committed(first, 3)
    source.partitions()
    assert source.lags[first] == 2
    source.committed(first, 5)
    source.close()
    with kafka_broker.admin() as admin:
        (offsets,) = admin.list_group_offsets([topic]).values()
    assert {known.partition: offset.offset for known, offset in offsets.items()} == {0: 5}


def test_a_partition_begins_where_its_topic_says(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    write(kafka_broker, topic, 10)
    starts: dict[Start, int] = {
        "earliest": 0,
        "latest": 10,
        datetime.fromtimestamp(SINCE + 4.5, UTC): 5,
        datetime.fromtimestamp(SINCE + 99, UTC): 10,
    }
    source = opened()
    take_up(source)
    partition = next(partition for partition in source.partitions() if partition.number == 0)
    for start, offset in starts.items():
        source.watch({topic: start}, read)
        bounds = source.bounds(partition)
        assert (bounds.first, bounds.end, bounds.start, bounds.succeeds) == (0, 10, offset, True)


def test_what_retention_took_is_told_by_the_bounds(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    write(kafka_broker, topic, 10)
    with kafka_broker.admin() as admin:
        admin.delete_records({TopicPartition(topic, 0): 6})
    source = opened()
    take_up(source, offset=2)
    until(lambda: held(source) == [1], source)
    until(lambda: held(source) == [0, 1], source)
    partition = next(partition for partition in source.partitions() if partition.number == 0)
    assert source.bounds(partition).first == 6
    source.seek(partition, 6)
    assert [record.offset for record in drained(source, 4)] == [6, 7, 8, 9]


def test_a_topic_made_anew_is_another_one(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    write(kafka_broker, topic, 3)
    source = opened()
    before = take_up(source)
    assert len(drained(source, 3)) == 3
    with kafka_broker.admin() as admin:
        admin.delete_topics([topic])
    until(lambda: not source.partitions(), source)
    assert topic in source.waits_for
    kafka_broker.create_topics({topic: 2})
    write(kafka_broker, topic, 20)
    after = take_up(source)
    assert not {partition.topic_id for partition in before} & {partition.topic_id for partition in after}
    records = drained(source, 20)
    assert [record.offset for record in records] == list(range(20))
    assert {record.partition.topic_id for record in records} == {after[0].topic_id}


@pytest.mark.parametrize("again", [3, 40])
def test_a_topic_made_anew_at_once_is_another_one(kafka_broker: KafkaServer, topic: str, opened: Opener, again: int) -> None:
    """Whether the new log is shorter than what was read of the old one, or longer."""
    write(kafka_broker, topic, 20)
    source = opened()
    (former, *_) = take_up(source)
    assert len(drained(source, 20)) == 20
    with kafka_broker.admin() as admin:
        admin.delete_topics([topic])
        admin.create_topics({topic: {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
    time.sleep(2.5)  # metadata is as young as that
    write(kafka_broker, topic, again)
    until(lambda: len(held(source)) == 2 and all(each.topic_id != former.topic_id for each in source.partitions()), source)
    take_up(source)
    assert [record.offset for record in drained(source, again)] == list(range(again))


def test_partitions_that_a_topic_gains_are_found(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    source = opened()
    take_up(source)
    with kafka_broker.admin() as admin:
        admin.create_partitions({topic: 3})
    until(lambda: held(source) == [0, 1, 2], source)


def test_topics_change_while_it_runs(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    source = opened()
    take_up(source)
    source.watch({topic: "earliest", f"{topic}-later": "earliest"}, read)
    until(lambda: source.waits_for, source)
    assert f"'{topic}-later' does not exist" in source.waits_for
    assert "--create" in source.waits_for
    kafka_broker.create_topics({f"{topic}-later": 1})
    until(lambda: len(source.partitions()) == 3, source)
    assert source.waits_for == ""
    source.watch({f"{topic}-later": "earliest"}, read)
    until(lambda: [partition.topic for partition in source.partitions()] == [f"{topic}-later"], source)
    source.watch({}, read)
    until(lambda: not source.partitions(), source)


def test_a_record_over_the_limit_is_a_dead_letter(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka_broker.bootstrap)
    producer.send(topic, b"x" * 1_001, partition=0)
    producer.send(topic, None, key=b"gone", partition=0)
    producer.close()
    source = opened(max_record_bytes=1_000)
    take_up(source)
    large, tombstone = drained(source, 2)
    (rejected,) = large.items
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "too_large"
    assert large.original is not None
    assert large.original.value == b"x" * 1_001
    assert tombstone.original is not None
    assert tombstone.original.value is None


def test_a_broker_that_restarts_is_waited_for(start_kafka: StartKafka) -> None:
    broker = start_kafka()
    broker.create_topics({"t": 1})
    write(broker, "t", 5)
    settings = KafkaSettings(brokers=(broker.bootstrap,), session_seconds=6)
    with closing(KafkaSource(Cluster(settings), {"t": "earliest"}, read)) as source:
        take_up(source, 1)
        assert len(drained(source, 5)) == 5
        broker.kill()
        until(lambda: source.waits_for == "the brokers", source)
        source.alive()
        broker.start()
        write(broker, "t", 5, first=5)
        records: list[Record] = []

        def more() -> bool:
            given = set(source.partitions())
            for partition in given - taken:  # also one that was lost meanwhile and given back
                source.seek(partition, 5 + len(records))
            taken.clear()
            taken.update(given)
            records.extend(source.poll(100, 0.2))
            return len(records) == 5

        taken = set(source.partitions())
        until(more, patience=60)
        assert [record.offset for record in records] == [5, 6, 7, 8, 9]
        until(lambda: source.waits_for == "", source)


def test_no_broker_is_said_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.adapters.kafka.connection.ANSWER_MS", 500)
    source = KafkaSource(Cluster(KafkaSettings(brokers=("127.0.0.1:9",))), {"t": "earliest"}, read)
    for _ in range(2):
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9.*kafka.brokers"):
            source.partitions()
        assert "127.0.0.1:9 (kafka.brokers)" in source.waits_for
        assert "see that they run" in source.waits_for
    source.close()
