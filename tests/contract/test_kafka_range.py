"""Stretches of topics on a real broker: what is read of which partition, in which order, and what has gone meanwhile."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest
from kafka import KafkaProducer, TopicPartition

from service.adapters.kafka.connection import Cluster
from service.adapters.kafka.range_source import RangeSource, stretches_between
from service.decoding.kafka_records import KafkaDecoder
from service.errors import ArtefactError, ConfigurationError, UnavailableError
from service.records import Partition, Record, Sample, Stretch
from service.settings import KafkaSettings, MonitorSettings
from tests.servers.kafka_server import KafkaServer

pytestmark = pytest.mark.server("kafka")

T0 = 1_767_225_600.0


class Topic:
    """A topic of the test's own, and the brokers as a source sees them."""

    def __init__(self, server: KafkaServer, partitions: int) -> None:
        self.server, self.name = server, f"range-{uuid.uuid4().hex[:12]}"
        self.cluster = Cluster(KafkaSettings(brokers=(server.bootstrap,)))
        server.create_topics({self.name: partitions}, configs={"retention.ms": "-1"})  # the times below are long ago

    def write(self, partition: int, seconds: Sequence[float], **options: object) -> None:
        """One sample per time."""
        producer = KafkaProducer(bootstrap_servers=self.server.bootstrap, **options)
        if options:
            producer.init_transactions()
            producer.begin_transaction()
        for second in seconds:
            value = json.dumps({"id": f"{partition}-{second:g}", "text": "x"}).encode()
            producer.send(self.name, value, partition=partition, timestamp_ms=int(1000 * (T0 + second)))
        if options:
            producer.commit_transaction()
        producer.close()

    def drop(self, before: Mapping[int, int]) -> None:
        """As retention does."""
        with self.server.admin() as admin:
            admin.delete_records({TopicPartition(self.name, number): offset for number, offset in before.items()})

    def between(self, since: float, until: float, *numbers: int) -> Sequence[Stretch]:
        return stretches_between(self.cluster, self.name, numbers, since=T0 + since, until=T0 + until)

    @contextmanager
    def source(self, stretches: Sequence[Stretch], *, seek: bool = True) -> Iterator[RangeSource]:
        monitor = MonitorSettings.model_validate({"name": "m", "embedder": {"model": "m.onnx"}, "topic": {"name": self.name}})
        source = RangeSource(self.cluster, stretches, KafkaDecoder([monitor]).decode)
        try:
            for partition in source.partitions() if seek else ():
                source.seek(partition, source.bounds(partition).start)
            yield source
        finally:
            source.close()


def drained(source: RangeSource, limit: int = 100) -> list[Record]:
    records: list[Record] = []
    for _ in range(50):
        if source.ended:
            break
        records.extend(source.poll(limit, 1.0))
    assert source.ended
    return records


def ids(records: Sequence[Record]) -> list[str]:
    return [item.id for record in records for item in record.items if isinstance(item, Sample)]


@pytest.fixture
def topic(kafka_broker: KafkaServer) -> Topic:
    return Topic(kafka_broker, 2)


def test_a_span_of_time_is_read_merged_by_time(topic: Topic) -> None:
    topic.write(0, range(0, 2_000, 2))
    topic.write(1, range(1, 2_000, 4))
    stretches = topic.between(100, 1_900)
    assert [(s.first, s.end, s.left_out) for s in stretches] == [(50, 950, 0), (25, 475, 0)]
    with topic.source(stretches) as source:
        records = drained(source)
        assert not source.poll(10, 0.0)
    times = [record.time - T0 for record in records]
    assert times == sorted([*range(100, 1_900, 2), *range(101, 1_900, 4)])
    assert ids(records)[:3] == ["0-100", "1-101", "0-102"]


def test_batches_of_any_size_give_the_same_order_and_go_on_where_they_stopped(topic: Topic) -> None:
    topic.write(0, range(0, 40, 2))
    topic.write(1, range(1, 40, 4))
    with topic.source(topic.between(0, 100)) as source:
        whole = ids(drained(source))
        for partition in source.partitions():
            source.seek(partition, 0)
        assert ids(drained(source, 1)) == whole
    with topic.source(topic.between(0, 100)) as source:
        first = source.poll(7, 5.0)
        assert len(first) == 7
    following = {partition: max(r.offset for r in first if r.partition == partition) + 1 for partition in {r.partition for r in first}}
    with topic.source(topic.between(0, 100), seek=False) as source:
        for partition in source.partitions():
            source.seek(partition, following.get(partition, 0))
        assert ids(first) + ids(drained(source, 3)) == whole


def test_only_the_named_partitions_and_nothing_of_an_empty_span(topic: Topic) -> None:
    topic.write(0, range(10))
    topic.write(1, range(10))
    assert [s.partition.number for s in topic.between(0, 10, 1)] == [1]
    with topic.source(topic.between(50, 60)) as source:
        assert source.ended
        assert not source.partitions()


def test_offsets_that_transactions_take_keep_nobody_waiting(topic: Topic) -> None:
    topic.write(0, range(5), transactional_id=topic.name)
    topic.write(1, range(5))
    stretches = topic.between(0, 1e9)  # the end of a transaction has the time at which it is written
    while stretches[0].end == 0:
        stretches = topic.between(0, 1e9)
    assert stretches[0].end == 6
    with topic.source(stretches) as source:
        assert len(drained(source)) == 10


def test_nothing_comes_of_a_partition_before_it_is_sought(topic: Topic) -> None:
    topic.write(0, range(5))
    with topic.source(topic.between(0, 100), seek=False) as source:
        assert not source.poll(10, 0.2)
        assert not source.ended


def test_what_retention_took_is_told_by_the_bounds(topic: Topic) -> None:
    topic.write(0, range(100))
    stretches = topic.between(10, 90)
    topic.drop({0: 30})
    with topic.source(stretches, seek=False) as source:
        (partition,) = source.partitions()
        bounds = source.bounds(partition)
        assert (bounds.first, bounds.start, bounds.end) == (30, 10, 90)
        source.seek(partition, bounds.first)
        assert [record.offset for record in drained(source)] == list(range(30, 90))
    topic.drop({0: 95})
    with topic.source(stretches, seek=False) as source:
        assert source.bounds(partition).first == 90
        source.seek(partition, 90)
        assert source.ended


def test_retention_that_overtakes_makes_the_partition_be_taken_up_anew(topic: Topic) -> None:
    topic.write(0, range(100))
    topic.drop({0: 30})
    with topic.source(topic.between(0, 90)) as source:
        (partition,) = source._stretches
        source.seek(partition, 10)
        assert not source.poll(10, 2.0)
        assert not source.partitions()
        assert list(source.partitions()) == [partition]
        source.seek(partition, source.bounds(partition).first)
        assert [record.offset for record in drained(source)] == list(range(30, 90))


def test_an_unknown_topic_or_partition_says_what_there_is(topic: Topic) -> None:
    with pytest.raises(ConfigurationError, match="create it"):
        stretches_between(topic.cluster, "none", (), since=0, until=1)
    with pytest.raises(ConfigurationError, match="partitions 0 to 1, none of number 7"):
        topic.between(0, 1, 7)


def test_a_topic_made_anew_is_not_read_on(topic: Topic) -> None:
    old = Stretch(Partition(topic.name, str(uuid.uuid4())), 0, 5)
    with pytest.raises(ArtefactError, match="made anew"), topic.source([old]):
        pass


def test_a_batch_that_cannot_be_unpacked_is_told_and_asked_for_again(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    topic.write(0, range(10))
    with topic.source(topic.between(0, 100, 0)) as source:
        with monkeypatch.context() as broken:
            broken.setattr("kafka.record.default_records.DefaultRecordBatch.validate_crc", lambda _: False)
            for _ in range(2):
                with pytest.raises(UnavailableError, match=r"waits at offset 0: its next batch can't be unpacked.*crc"):
                    source.poll(10, 5.0)
        assert len(drained(source)) == 10
