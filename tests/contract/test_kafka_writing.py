"""What is written to Kafka: acknowledged, keyed, in bounded time; dead letters with the headers of Kafka Connect; TLS and SASL."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from service.adapters.kafka import Cluster, KafkaDeadLetters, KafkaSink, KafkaSource, KafkaTopics
from service.adapters.kafka.connection import topic_id
from service.decoding.envelope import CONTENT_TYPE
from service.errors import BacklogFullError, ConfigurationError, InputError, UnavailableError
from service.records import KEPT_BYTES, DeadLetter, Original, Partition, Rejected
from service.settings import KafkaSettings, SaslSettings, TlsSettings
from tests.servers.certificates import Certificate
from tests.servers.fixtures import StartKafka
from tests.servers.kafka_server import KafkaServer

pytestmark = pytest.mark.server("kafka")

NOW = int(time.time())

PLACE = Partition("samples", "1", 2)


@pytest.fixture
def topic(kafka_broker: KafkaServer) -> str:
    name = f"w-{uuid.uuid4().hex[:12]}"
    kafka_broker.create_topics({name: 3})
    return name


@pytest.fixture
def cluster(kafka_broker: KafkaServer) -> Cluster:
    return Cluster(KafkaSettings(brokers=(kafka_broker.bootstrap,)))


@pytest.fixture
def sink(cluster: Cluster, topic: str) -> Iterator[KafkaSink]:
    with closing(KafkaSink(cluster, topic)) as opened:
        yield opened


class Kept:
    """Blobs in memory."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def put(self, content: bytes) -> str | None:
        address = f"blob-{len(self.content)}"
        self.content[address] = content
        return address

    def get(self, address: str) -> bytes | None:
        return self.content.get(address)

    def discard(self, addresses: Collection[str]) -> None:
        raise NotImplementedError

    def collect(self, referred: object, *, now: float) -> int:  # noqa: ARG002 - keeps everything
        return 0


def written(broker: str, topic: str) -> list[Any]:
    """Every record of the topic, partition by partition."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(partitions)
        missing = sum(consumer.end_offsets(partitions).values())
        found: list[Any] = []
        while len(found) < missing:
            for records in consumer.poll(timeout_ms=500).values():
                found.extend(records)
        return found
    finally:
        consumer.close()


def letter(original: Original | None, *, offset: int = 7, index: int = 0) -> DeadLetter:
    return DeadLetter(PLACE, offset, float(NOW), Rejected("json", "no JSON: line 1", b"{broken", index, "chat"), original)


def test_what_is_answered_is_in_the_topic(kafka_broker: KafkaServer, topic: str, sink: KafkaSink) -> None:
    now = time.time()
    sink.append([b"one", b"two", b"three"], now=now, keys=["a", "", "a"])
    found = {record.value: record for record in written(kafka_broker.bootstrap, topic)}
    assert set(found) == {b"one", b"two", b"three"}
    assert found[b"one"].partition == found[b"three"].partition
    assert found[b"one"].key == b"a"
    assert found[b"two"].key is None
    assert found[b"one"].headers == [("content-type", CONTENT_TYPE.encode())]
    assert found[b"one"].timestamp == int(now * 1000)


def test_many_threads_write_at_once(kafka_broker: KafkaServer, topic: str, sink: KafkaSink) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: sink.append([b"%d" % n], now=time.time(), keys=[str(n)]), range(200)))
    assert sorted(int(record.value) for record in written(kafka_broker.bootstrap, topic)) == list(range(200))


def test_an_item_that_no_topic_takes_is_refused(kafka_broker: KafkaServer, cluster: Cluster) -> None:
    topic = f"w-{uuid.uuid4().hex[:12]}"
    kafka_broker.create_topics({topic: 1}, configs={"max.message.bytes": "2000"})
    with closing(KafkaSink(cluster, topic)) as sink:
        with pytest.raises(InputError, match=r"max\.message\.bytes") as refused:
            sink.append([b"x" * 5_000], now=time.time())
        assert refused.value.reason == "too_large"
        sink.append([b"small"], now=time.time())
    assert [record.value for record in written(kafka_broker.bootstrap, topic)] == [b"small"]
    small = Cluster(KafkaSettings(brokers=(kafka_broker.bootstrap,), max_record_bytes=1_000))
    with closing(KafkaSink(small, topic)) as sink, pytest.raises(InputError, match="max_record_bytes"):
        sink.append([b"x" * 1_001], now=time.time())


def test_a_record_that_its_topic_takes_no_more_says_which_limit_to_raise(kafka_broker: KafkaServer, cluster: Cluster) -> None:
    topic = f"w-{uuid.uuid4().hex[:12]}"
    kafka_broker.create_topics({topic: 1}, configs={"max.message.bytes": "2000"})
    small = Cluster(KafkaSettings(brokers=(kafka_broker.bootstrap,), max_record_bytes=1_000))
    for brokers, size in ((cluster, 5_000), (small, 100_000)):
        with (
            closing(KafkaTopics(brokers)) as topics,
            pytest.raises(ConfigurationError, match=r"max\.message\.bytes.*kafka\.max_record_bytes"),
        ):
            topics.write(topic, Original(None, b"x" * size))


def test_a_topic_that_does_not_exist_is_asked_for_again_later(cluster: Cluster) -> None:
    with closing(KafkaSink(cluster, "nowhere", seconds=1.0)) as sink, pytest.raises(BacklogFullError, match="nowhere") as refused:
        sink.append([b"one"], now=time.time())
    assert refused.value.retry_after > 0


def test_dead_letters_keep_the_original_and_say_why(kafka_broker: KafkaServer, topic: str, cluster: Cluster) -> None:
    original = Original(b"key", b"{broken and longer", (("trace", b"1"), ("__connect.errors.stage", b"THEIRS")), NOW - 0.5)
    with closing(KafkaDeadLetters(cluster, topic)) as letters:
        assert not letters.send([letter(original), letter(None, offset=8), letter(Original(None, None), offset=9)])
    found = {dict(record.headers)["__connect.errors.offset"]: record for record in written(kafka_broker.bootstrap, topic)}
    first, headers = found[b"7"], dict(found[b"7"].headers)
    assert (first.key, first.value, first.timestamp) == (b"key", b"{broken and longer", 1000 * NOW - 500)
    assert headers["trace"] == b"1"
    assert [value for name, value in first.headers if name == "__connect.errors.stage"] == [b"THEIRS", b"DECODE"]  # the last one counts
    assert headers["__connect.errors.topic"] == b"samples"
    assert headers["__connect.errors.partition"] == b"2"
    assert headers["__connect.errors.connector.name"] == b"driftgate"
    assert headers["__connect.errors.exception.message"] == b"no JSON: line 1"
    assert headers["__driftgate.errors.id"].decode() == letter(original).id
    assert found[b"8"].value == b"{broken"
    assert found[b"9"].value == b""


def test_a_letter_of_another_time_is_taken_under_today(kafka_broker: KafkaServer, topic: str, cluster: Cluster) -> None:
    with closing(KafkaDeadLetters(cluster, topic)) as letters:
        assert not letters.send([letter(Original(b"k", b"of tomorrow", (), NOW + 90_000.0))])
    (record,) = written(kafka_broker.bootstrap, topic)
    assert record.timestamp < 1000 * (NOW + 3_600)
    assert dict(record.headers)["__driftgate.errors.original.timestamp"] == b"%d" % (1000 * (NOW + 90_000))


def test_an_original_too_large_for_the_topic_goes_to_a_blob(kafka_broker: KafkaServer, cluster: Cluster) -> None:
    topic = f"w-{uuid.uuid4().hex[:12]}"
    kafka_broker.create_topics({topic: 1}, configs={"max.message.bytes": str(KEPT_BYTES + 4_000)})
    blobs, large = Kept(), Original(b"k", b"x" * 200_000, (), float(NOW))
    with closing(KafkaDeadLetters(cluster, topic, blobs)) as letters:
        assert not letters.send([letter(Original(b"k", b"small")), letter(large, offset=8)])
    found = {record.value: dict(record.headers) for record in written(kafka_broker.bootstrap, topic)}
    assert b"small" in found
    headers = found[b"x" * KEPT_BYTES]
    assert headers["__driftgate.errors.original.bytes"] == b"200000"
    assert blobs.get(headers["__driftgate.errors.original.blob"].decode()) == large.value


def test_a_key_or_headers_too_large_for_the_topic_are_cut(kafka_broker: KafkaServer, topic: str, cluster: Cluster) -> None:
    key = Original(b"k" * 1_200_000, b"value", (("h", b"v"),), float(NOW))
    headers = Original(b"k", b"value", tuple((f"h{n}", b"v" * 500) for n in range(4_000)), float(NOW))
    with closing(KafkaDeadLetters(cluster, topic)) as letters:
        assert not letters.send([letter(key), letter(headers, offset=8)])
    of_key, of_headers = sorted(written(kafka_broker.bootstrap, topic), key=lambda record: dict(record.headers)["__connect.errors.offset"])
    assert (of_key.key, of_key.value, dict(of_key.headers)["h"]) == (b"k" * 1_000, b"value", b"v")
    assert dict(of_key.headers)["__driftgate.errors.original.key.bytes"] == b"1200000"
    assert (of_headers.key, of_headers.value) == (b"k", b"value")
    assert [name for name, _ in of_headers.headers if name.startswith("h")] == ["h0", "h1", "h2"]
    assert dict(of_headers.headers)["__driftgate.errors.original.headers"] == b"4000"


def test_letters_that_no_broker_takes_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.adapters.kafka.connection.ANSWER_MS", 300)
    nobody = Cluster(KafkaSettings(brokers=("127.0.0.1:9",)))
    sent = [letter(None), letter(None, offset=8)]
    with closing(KafkaDeadLetters(nobody, "letters")) as letters:
        assert letters.send(sent) == sent
    with closing(KafkaSink(nobody, "ingest")) as sink, pytest.raises(BacklogFullError, match=r"kafka\.brokers"):
        sink.append([b"one"], now=0.0)


def test_a_broker_that_goes_away_and_comes_back(start_kafka: StartKafka) -> None:
    broker = start_kafka()
    broker.create_topics({"t": 1})
    cluster = Cluster(KafkaSettings(brokers=(broker.bootstrap,)))
    with closing(KafkaSink(cluster, "t", seconds=2.0)) as sink, closing(KafkaDeadLetters(cluster, "t", seconds=2.0)) as letters:
        sink.append([b"before"], now=time.time())
        assert not letters.send([letter(None)])
        broker.kill()
        with pytest.raises(BacklogFullError):
            sink.append([b"meanwhile"], now=time.time())
        assert [left.offset for left in letters.send([letter(None, offset=8)])] == [8]
        broker.start()
        deadline = time.monotonic() + 60
        while not _taken(sink, b"after") and time.monotonic() < deadline:
            time.sleep(0.2)
        while letters.send([letter(None, offset=9)]) and time.monotonic() < deadline:
            time.sleep(0.2)
        values = [record.value for record in written(broker.bootstrap, "t")]
    assert b"before" in values
    assert b"after" in values


def _taken(sink: KafkaSink, body: bytes) -> bool:
    try:
        sink.append([body], now=time.time())
    except BacklogFullError:
        return False
    return True


@pytest.fixture
def secured(start_kafka: StartKafka, certificate: Certificate) -> KafkaServer:
    broker = start_kafka(users={"worker": "open sesame"}, certificate=certificate)
    broker.create_topics({"t": 1})
    return broker


def test_tls_and_passwords(secured: KafkaServer, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.adapters.kafka.connection.ANSWER_MS", 3_000)
    kept = tmp_path / "password"
    kept.write_text("open sesame\n", encoding="utf-8")
    tls = TlsSettings(ca_file=certificate.certificate)

    def cluster(sasl: SaslSettings | None, password: str = "", tls: TlsSettings | None = tls) -> Cluster:
        return Cluster(KafkaSettings(brokers=(secured.secured,), tls=tls, sasl=sasl), SecretStr(password))

    plain = cluster(SaslSettings(mechanism="PLAIN", user="worker"), "open sesame")
    scram = cluster(SaslSettings(mechanism="SCRAM-SHA-256", user="worker", password_file=kept))
    for good in (plain, scram):
        with closing(KafkaSink(good, "t")) as sink:
            sink.append([b"one"], now=time.time())
        with closing(good.consumer()) as consumer:
            consumer.partitions_for_topic("t")
            assert topic_id(consumer, "t")
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        wrong = cluster(SaslSettings(mechanism=mechanism, user="worker"), "guess")
        source = KafkaSource(wrong, {"t": "earliest"}, lambda _topic, _record: ())
        with pytest.raises((ConfigurationError, UnavailableError), match=r"refuse user 'worker'") as refused:
            source.partitions()
        assert source.waits_for == str(refused.value)
        assert "guess" not in source.waits_for
    for stranger in (cluster(None), cluster(None, tls=None)):
        source = KafkaSource(stranger, {"t": "earliest"}, lambda _topic, _record: ())
        with pytest.raises(UnavailableError, match=r"protocol of kafka\.tls and kafka\.sasl"):
            source.partitions()
        assert "protocol of kafka.tls and kafka.sasl" in source.waits_for
    nowhere = TlsSettings(ca_file=tmp_path / "missing.pem")
    with pytest.raises(ConfigurationError, match=r"kafka\.tls\.ca_file"):
        cluster(None, tls=nowhere)
    with pytest.raises(ConfigurationError, match="DRIFTGATE__KAFKA_PASSWORD"):
        cluster(SaslSettings(mechanism="PLAIN", user="worker"))
