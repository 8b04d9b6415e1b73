"""The Kafka source where one record, partition, topic or model is bad: told of, and the others go on."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from kafka.producer.kafka import KafkaProducer as Producer
from pydantic import SecretStr

from service.adapters.kafka import Cluster, KafkaSource, Start
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.decoding.kafka_records import KafkaDecoder
from service.observe import Silent
from service.patience import Patience
from service.ports import Embedded
from service.records import Item, Original, Partition, Payload, Record
from service.settings import KafkaSettings, MonitorSettings, SaslSettings, TlsSettings
from service.watched import WatchedMonitor
from service.worker import Worker
from tests.servers.certificates import Certificate
from tests.servers.fixtures import StartKafka
from tests.servers.kafka_server import KafkaServer

pytestmark = pytest.mark.server("kafka")


def read(_topic: str, _record: Original) -> Sequence[Item]:
    return ()


class Reader:
    """A source taken through the steps of a worker whose store knows nothing: everything that came, by partition number."""

    def __init__(self, source: KafkaSource) -> None:
        self.source = source
        self.records: dict[int, list[Record]] = {}
        self._taken: set[Partition] = set()

    def step(self, timeout: float = 0.05) -> None:
        given = self.source.partitions()
        self._taken &= set(given)
        for partition in given:
            if partition not in self._taken:
                begin = self.source.bounds(partition).start
                self.source.seek(partition, begin)
                self.source.committed(partition, begin)
                self._taken.add(partition)
        for record in self.source.poll(100, timeout):
            self.records.setdefault(record.partition.number, []).append(record)
            self.source.committed(record.partition, record.offset + 1)

    def values(self, number: int) -> list[int]:
        return [int(record.original.value or b"") for record in self.records.get(number, []) if record.original]

    def until(self, happened: Callable[[], object], patience: float = 30.0) -> None:
        deadline = time.monotonic() + patience
        while not happened():
            assert time.monotonic() < deadline, [*map(self.values, sorted(self.records)), self.source.waits_for]
            self.step()


Opener = Callable[..., Reader]


@pytest.fixture
def topic(kafka_broker: KafkaServer) -> str:
    name = f"s-{uuid.uuid4().hex[:12]}"
    kafka_broker.create_topics({name: 2})
    return name


@pytest.fixture
def opened(kafka_broker: KafkaServer, topic: str) -> Iterator[Opener]:
    with ExitStack() as stack:

        def opener(start: Start = "earliest", *, clock: Callable[[], float] = time.monotonic, name: str = topic) -> Reader:
            settings = KafkaSettings(brokers=(kafka_broker.bootstrap,), group=topic, session_seconds=6)
            return Reader(stack.enter_context(closing(KafkaSource(Cluster(settings), {name: start}, read, clock=clock))))

        yield opener


def write(broker: KafkaServer, topic: str, values: range, *, partition: int = 0, **options: Any) -> None:
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap, **options)) as producer:
        for value in values:
            producer.send(topic, b"%-200d" % value, partition=partition)  # long enough to be compressed at all
        producer.flush()


class RawName(str):
    """A header's name as a client of another language writes it."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


def test_a_header_whose_name_is_no_text_hinders_nothing(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    with closing(KafkaProducer(bootstrap_servers=kafka_broker.bootstrap, linger_ms=500)) as producer:  # in the midst of a batch
        for value in range(10):
            headers = [("good", b"1"), (RawName("odd"), b"2")] if value == 5 else []
            producer.send(topic, b"%d" % value, partition=0, headers=headers)
        producer.flush()
    write(kafka_broker, topic, range(5), partition=1)
    reader = opened()
    reader.until(lambda: len(reader.values(0)) >= 10 and len(reader.values(1)) >= 5)
    assert reader.values(0) == list(range(10))
    original = reader.records[0][5].original
    assert original is not None
    assert original.headers == (("good", b"1"), ("\\xff\\xfe", b"2"))
    assert reader.source.waits_for == ""


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_every_codec_is_read(kafka_broker: KafkaServer, topic: str, opened: Opener, codec: str) -> None:
    write(kafka_broker, topic, range(50), compression_type=codec, linger_ms=50)
    reader = opened()
    reader.until(lambda: len(reader.values(0)) >= 50)
    assert reader.values(0) == list(range(50))


@pytest.mark.parametrize("failure", [RuntimeError("the frame is incomplete"), None])
def test_a_batch_that_cannot_be_unpacked_keeps_its_partition_waiting_and_no_other(
    kafka_broker: KafkaServer, topic: str, opened: Opener, monkeypatch: pytest.MonkeyPatch, failure: Exception | None
) -> None:
    now = [0.0]
    write(kafka_broker, topic, range(5))
    write(kafka_broker, topic, range(5, 10), compression_type="lz4")
    write(kafka_broker, topic, range(10, 15))
    write(kafka_broker, topic, range(20), partition=1)

    tried = 0

    def fails(*_: object) -> bool:
        nonlocal tried
        tried += 1
        if failure is not None:
            raise failure
        return False

    reader = opened(clock=lambda: now[0])
    with monkeypatch.context() as broken:
        if failure is None:
            broken.setattr("kafka.codec.has_lz4", fails)
        else:
            broken.setattr("kafka.record.default_records.lz4_decode", fails)
        reader.until(lambda: len(reader.values(0)) == 5 and len(reader.values(1)) == 20 and reader.source.waits_for)
        assert f"partition 0 of {topic} waits at offset 5" in reader.source.waits_for
        assert ("incomplete" if failure else "lz4") in reader.source.waits_for
        write(kafka_broker, topic, range(20, 25), partition=1)
        now[0] += 1
        reader.until(lambda: len(reader.values(1)) == 25)
        before = tried
        now[0] += 31  # it is tried again, and fails again, perhaps within a step
        reader.until(lambda: tried > before and reader.source.waits_for)
    now[0] += 31
    reader.until(lambda: len(reader.values(0)) == 15)
    assert reader.values(0) == list(range(15))
    reader.until(lambda: not reader.source.waits_for)


def test_latest_passes_over_nothing_that_came_after_the_first_look(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    write(kafka_broker, topic, range(50))
    reader = opened("latest")
    reader.until(lambda: len(reader.source.partitions()) == 2)
    reader.step()
    write(kafka_broker, topic, range(50, 60))
    reader.until(lambda: reader.values(0) == list(range(50, 60)))
    with kafka_broker.admin() as admin:
        admin.create_partitions({topic: 3})
    write(kafka_broker, topic, range(20), partition=2)
    reader.until(lambda: len(reader.values(2)) >= 20)
    assert reader.values(2) == list(range(20))


def test_latest_is_what_the_workers_before_found(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    """A partition that was added while no worker was there, beside those that one has left its offsets of."""
    write(kafka_broker, topic, range(50))
    reader = opened("latest")
    reader.until(lambda: len(reader.source.partitions()) == 2)
    reader.step()
    reader.source.close()
    with kafka_broker.admin() as admin:
        admin.create_partitions({topic: 3})
    write(kafka_broker, topic, range(20), partition=2)
    again = opened("latest")
    again.until(lambda: len(again.values(2)) >= 20)
    assert again.values(2) == list(range(20))
    assert again.values(0) == []


def test_a_topic_made_after_it_was_looked_for_is_read_whole(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    now = [0.0]
    later = f"{topic}-later"
    reader = opened("latest", clock=lambda: now[0], name=later)
    reader.until(lambda: later in reader.source.waits_for)
    now[0] += 5
    reader.step()
    kafka_broker.create_topics({later: 1})
    write(kafka_broker, later, range(20))
    now[0] += 5
    reader.until(lambda: len(reader.values(0)) >= 20)
    assert reader.values(0) == list(range(20))


def test_lag_counts_no_offsets_without_a_record(kafka_broker: KafkaServer, topic: str, opened: Opener) -> None:
    """The end of a transaction takes an offset of its own."""
    with closing(KafkaProducer(bootstrap_servers=kafka_broker.bootstrap, transactional_id=topic)) as producer:
        producer.init_transactions()
        for value in range(3):
            producer.begin_transaction()
            producer.send(topic, b"%d" % value, partition=0)
            producer.flush()
            producer.commit_transaction() if value != 1 else producer.abort_transaction()
    reader = opened()
    reader.until(lambda: reader.values(0) == [0, 2])
    partition = next(partition for partition in reader.source.partitions() if partition.number == 0)
    reader.until(lambda: reader.source.lags.get(partition) == 0)
    reader.source.close()
    with closing(KafkaConsumer(bootstrap_servers=kafka_broker.bootstrap, group_id=topic)) as consumer:
        assert consumer.committed(TopicPartition(topic, 0)) == 6


@pytest.fixture
def guarded(start_kafka: StartKafka, certificate: Certificate) -> KafkaServer:
    """Where `worker` may do nothing that nobody has allowed."""
    options = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    return start_kafka(options=options, users={"worker": "sesame"}, certificate=certificate)


def allow(broker: KafkaServer, kind: ResourceType, name: str, *operations: ACLOperation) -> None:
    pattern = ResourcePattern(kind, name)
    with broker.admin() as admin:
        admin.create_acls([ACL("User:worker", "*", operation, ACLPermissionType.ALLOW, pattern) for operation in operations])


def test_a_topic_that_may_not_be_read_hinders_no_other(guarded: KafkaServer, certificate: Certificate) -> None:
    guarded.create_topics({"good": 1, "hidden": 1, "closed": 1})
    allow(guarded, ResourceType.GROUP, "driftgate", ACLOperation.READ)
    allow(guarded, ResourceType.TOPIC, "good", ACLOperation.READ)
    allow(guarded, ResourceType.TOPIC, "closed", ACLOperation.DESCRIBE)
    for topic in ("good", "closed", "hidden"):
        write(guarded, topic, range(10))
    tls, sasl = TlsSettings(ca_file=certificate.certificate), SaslSettings(mechanism="PLAIN", user="worker")
    settings = KafkaSettings(brokers=(guarded.secured,), session_seconds=6, tls=tls, sasl=sasl)
    topics: dict[str, Start] = {"good": "earliest", "hidden": "earliest", "closed": "earliest", "absent": "earliest"}
    with closing(KafkaSource(Cluster(settings, SecretStr("sesame")), topics, read)) as source:
        reader = Reader(source)
        reader.until(lambda: len(reader.values(0)) == 10 and "closed" in source.waits_for)
        for topic in ("hidden", "closed", "absent"):
            assert topic in source.waits_for
        assert "good" not in source.waits_for
        with guarded.admin() as admin:
            admin.create_partitions({"good": 2})
        write(guarded, "good", range(10), partition=1)
        reader.until(lambda: len(reader.values(1)) == 10)
        allow(guarded, ResourceType.TOPIC, "hidden", ACLOperation.READ)
        reader.until(lambda: "hidden" not in source.waits_for and len(reader.values(0)) == 20)


class Slow(VectorEmbedder):
    """Far slower than a member of the group may be silent: four seconds for a batch."""

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        time.sleep(0.04 * len(payloads))
        return super().embed(payloads)


def test_two_workers_with_a_slow_model_get_on(kafka_broker: KafkaServer, topic: str, tmp_path: Any) -> None:
    rng = np.random.default_rng(3)
    with closing(Producer(bootstrap_servers=kafka_broker.bootstrap)) as producer:
        for number in range(600):
            body = {"id": f"s{number}", "vector": rng.normal(size=4).tolist()}
            producer.send(topic, json.dumps(body).encode(), partition=number % 2)
        producer.flush()
    document = {"name": "chat", "embedder": {"input": "none", "dimension": 4}, "topic": {"name": topic, "format": "json"}}
    monitor = WatchedMonitor(MonitorSettings.model_validate(document), Slow(4, normalize=False), None, 1)
    settings = KafkaSettings(brokers=(kafka_broker.bootstrap,), group=topic, session_seconds=6, handover_seconds=2)
    stop = threading.Event()
    with closing(SqliteStore(tmp_path / "state.sqlite")) as store:

        def work() -> None:
            with closing(KafkaSource(Cluster(settings), {topic: "earliest"}, KafkaDecoder([monitor.settings]).decode)) as source:
                worker, patience = Worker(source, store, {"chat": monitor}, Silent(), batch=100), Patience(shortest=0.2)
                while not stop.is_set():
                    patience.attempt(lambda: worker.step(0.2))
                    if patience.seconds:
                        worker.forget()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            deadline = time.monotonic() + 90
            while sum(position.offset for position in store.positions()) < 600:
                assert time.monotonic() < deadline, [(position.offset, position.epoch) for position in store.positions()]
                time.sleep(0.2)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert store.samples_taken("chat") == 600
        assert max(position.epoch for position in store.positions()) <= 6  # nobody was given up for lost again and again
