"""Events in a real topic: read as CloudEvents, keyed by their cycle, acknowledged before they count as delivered."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from service.adapters.kafka import Cluster, KafkaEvents
from service.errors import DeliveryError
from service.records import OutboxItem
from service.settings import KafkaSettings
from tests.servers.fixtures import StartKafka
from tests.servers.kafka_server import KafkaServer

pytestmark = pytest.mark.server("kafka")

EVENT = {
    "specversion": "1.0",
    "id": "c1",
    "type": "io.driftgate.refresh.requested",
    "source": "/driftgate/monitors/support",
    "subject": "c1",
    "time": "2026-03-01T12:00:00Z",
    "datacontenttype": "application/json",
    "data": {"cycle": "c1", "note": "grüße"},
}


def item(key: str = "o1", kind: str = "refresh.requested", **changes: object) -> OutboxItem:
    return OutboxItem(key, kind, "events", {**EVENT, **changes}, created=1_772_366_400.0)


@pytest.fixture
def topic(kafka_broker: KafkaServer) -> str:
    name = f"events-{uuid.uuid4().hex[:12]}"
    kafka_broker.create_topics({name: 4})
    return name


@pytest.fixture
def cluster(kafka_broker: KafkaServer) -> Cluster:
    return Cluster(KafkaSettings(brokers=(kafka_broker.bootstrap,)))


@pytest.fixture
def events(cluster: Cluster, topic: str) -> Iterator[KafkaEvents]:
    with closing(KafkaEvents(cluster, topic)) as opened:
        yield opened


def written(broker: str, topic: str) -> list[Any]:
    """Every record of the topic."""
    from kafka import KafkaConsumer, TopicPartition

    with closing(KafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest", enable_auto_commit=False)) as consumer:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        missing = sum(consumer.end_offsets(partitions).values())
        found: list[Any] = []
        while len(found) < missing:
            found += [record for records in consumer.poll(timeout_ms=500).values() for record in records]
        return found


def test_an_event_is_read_by_the_library(kafka_broker: KafkaServer, topic: str, events: KafkaEvents) -> None:
    events.deliver(item(), now=2_000_000_000.0)

    (record,) = written(kafka_broker.bootstrap, topic)
    found = from_binary_event(KafkaMessage(dict(record.headers), record.key, record.value))
    assert (found.get_id(), found.get_type(), found.get_source(), found.get_subject()) == (
        "c1",
        "io.driftgate.refresh.requested",
        "/driftgate/monitors/support",
        "c1",
    )
    assert json.loads(record.value) == EVENT["data"]
    assert record.key == b"c1"
    headers = dict(record.headers)
    assert headers["content-type"] == b"application/json"
    assert headers["ce_specversion"] == b"1.0"


def test_events_of_a_cycle_share_a_partition_and_repetitions_are_the_same(
    kafka_broker: KafkaServer, topic: str, events: KafkaEvents
) -> None:
    for number, kind in enumerate(("refresh.requested", "refresh.verified", "refresh.promoted")):
        events.deliver(item(f"o{number}", kind, id=f"e{number}", type=f"io.driftgate.{kind}"), now=1.0)
    events.deliver(item("o2", "refresh.promoted", id="e2", type="io.driftgate.refresh.promoted"), now=9_000.0)

    records = sorted(written(kafka_broker.bootstrap, topic), key=lambda record: record.offset)
    assert len({record.partition for record in records}) == 1
    assert [dict(record.headers)["ce_id"] for record in records] == [b"e0", b"e1", b"e2", b"e2"]
    first, again = records[2:]
    assert (first.key, first.value, first.headers) == (again.key, again.value, again.headers)


def test_other_items_become_events(kafka_broker: KafkaServer, topic: str, events: KafkaEvents) -> None:
    events.deliver(OutboxItem("o9", "annotation.batch", "events", {"batch": "b1", "monitor": "support"}, created=1.0), now=1.0)
    (record,) = written(kafka_broker.bootstrap, topic)
    assert dict(record.headers)["ce_type"] == b"io.driftgate.annotation.batch"
    assert record.key == b"b1"


def test_a_topic_that_is_not_there_is_tried_again(cluster: Cluster) -> None:
    with closing(KafkaEvents(cluster, "nowhere", seconds=1.0)) as events, pytest.raises(DeliveryError, match="nowhere") as error:
        events.deliver(item(), now=1.0)
    assert error.value.retryable


def test_what_the_topic_does_not_take_is_not_tried_again(kafka_broker: KafkaServer, cluster: Cluster) -> None:
    topic = f"events-{uuid.uuid4().hex[:12]}"
    kafka_broker.create_topics({topic: 1}, configs={"max.message.bytes": "2000"})
    with closing(KafkaEvents(cluster, topic)) as events:
        with pytest.raises(DeliveryError, match=r"max\.message\.bytes") as error:
            events.deliver(item(data="x" * 5_000), now=1.0)
        assert not error.value.retryable
        events.deliver(item(), now=1.0)
    assert len(written(kafka_broker.bootstrap, topic)) == 1


def test_brokers_that_are_down_are_waited_for(start_kafka: StartKafka) -> None:
    broker = start_kafka()
    broker.create_topics({"events": 1})
    with closing(KafkaEvents(Cluster(KafkaSettings(brokers=(broker.bootstrap,))), "events", seconds=2.0)) as events:
        events.deliver(item(), now=1.0)
        broker.kill()
        with pytest.raises(DeliveryError) as error:
            events.deliver(item(), now=2.0)
        assert error.value.retryable
