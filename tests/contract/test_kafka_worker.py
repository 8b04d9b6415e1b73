"""A worker on a real topic: what retention took is counted, a topic made anew waits for a person, and what was refused is sent again."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from kafka import KafkaProducer, TopicPartition

from service.adapters.kafka import Cluster, KafkaDeadLetters, KafkaSource, KafkaTopics
from service.adapters.onnx_embedder import load_embedder
from service.adapters.sqlite import SqliteStore
from service.decoding.kafka_records import KafkaDecoder
from service.errors import InputError, NotFoundError
from service.letters import Posted
from service.observe import Silent
from service.offsets import Offsets, readers
from service.ports import Sink
from service.records import DeadLetter, Position
from service.replaying import replay
from service.settings import EmbedderSettings, KafkaSettings, MonitorSettings, TopicSettings
from service.watched import WatchedMonitor
from service.worker import Worker
from tests.servers.kafka_server import KafkaServer

pytestmark = pytest.mark.server("kafka")


class Site:
    """A worker, its store and what people ask, over one topic of one partition."""

    def __init__(self, broker: KafkaServer, topic: str, *, letters: str | None = None) -> None:
        self.broker, self.topic = broker, topic
        settings = KafkaSettings(brokers=(broker.bootstrap,), group=topic, session_seconds=6)
        embedder = EmbedderSettings(input="none", dimension=3)
        monitor = MonitorSettings(name="chat", embedder=embedder, topic=TopicSettings(name=topic))
        cluster = Cluster(settings)
        self.store = SqliteStore(":memory:")
        self.topics = KafkaTopics(cluster)
        self.letters = KafkaDeadLetters(cluster, letters) if letters else None
        self.source = KafkaSource(cluster, {topic: "earliest"}, KafkaDecoder([monitor]).decode)
        progress = Posted(self.store, self.letters) if self.letters else self.store
        self.worker = Worker(self.source, progress, {"chat": WatchedMonitor(monitor, load_embedder(embedder))}, Silent())
        self.offsets = Offsets(self.store, self.topics, readers([monitor], settings))

    def write(self, *values: bytes) -> None:
        producer = KafkaProducer(bootstrap_servers=self.broker.bootstrap)
        for value in values:
            producer.send(self.topic, value, key=b"k", headers=[("trace", b"1")], partition=0)
        producer.close()

    def samples(self, first: int, count: int) -> None:
        self.write(*(json.dumps({"id": f"s{n}", "vector": [n, 1, 2]}).encode() for n in range(first, first + count)))

    def until(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not happened():
            assert time.monotonic() < deadline, "it never happened"
            self.worker.step(0.1)

    @property
    def taken(self) -> int:
        return self.store.samples_taken("chat")

    @property
    def position(self) -> Position:
        return next(position for position in self.store.positions() if not position.retired)

    def close(self) -> None:
        self.source.close()
        self.topics.close()
        if self.letters:
            self.letters.close()
        self.store.close()


@pytest.fixture
def site(kafka_broker: KafkaServer) -> Iterator[Site]:
    topic = f"k-{uuid.uuid4().hex[:12]}"
    kafka_broker.create_topics({topic: 1, f"{topic}-letters": 1})
    with closing(Site(kafka_broker, topic, letters=f"{topic}-letters")) as made:
        yield made


def nowhere() -> Sink:
    raise NotImplementedError


def test_what_retention_took_is_counted_and_the_rest_is_read(site: Site) -> None:
    site.samples(0, 10)
    with site.broker.admin() as admin:
        admin.delete_records({TopicPartition(site.topic, 0): 4})
    site.store.assign(site.topics.find(site.topic, 0), start=1)
    site.until(lambda: site.taken == 6)
    assert site.position.lost == 3
    assert site.position.offset == 10


def test_a_topic_made_anew_waits_for_a_person(site: Site) -> None:
    site.samples(0, 5)
    site.until(lambda: site.taken == 5)
    with site.broker.admin() as admin:
        admin.delete_topics([site.topic])
    site.until(lambda: site.source.waits_for)
    site.broker.create_topics({site.topic: 1})
    site.samples(5, 8)
    site.until(lambda: site.worker.stopped)
    assert "deleted and made anew" in next(iter(site.worker.stopped.values()))
    assert site.taken == 5
    with pytest.raises(InputError, match="the log holds offsets 0 to 8"):
        site.offsets.reset(site.topic, 0, "9", actor="ana", now=1.0)
    with pytest.raises(NotFoundError, match="none of number 3"):
        site.offsets.reset(site.topic, 3, "0", actor="ana", now=1.0)
    site.offsets.reset(site.topic, 0, "2", actor="ana", now=1.0)
    site.until(lambda: site.taken == 11)
    assert not site.worker.stopped
    (event,) = site.store.events("chat")
    assert (event.body["to"], event.actor) == (2, "ana")
    assert [place.lag for place in site.offsets.shown() if not place.position.retired] == [0]


def test_a_person_may_send_it_back_while_it_runs(site: Site) -> None:
    site.samples(0, 6)
    site.until(lambda: site.taken == 6)
    site.offsets.reset(site.topic, 0, "earliest", actor="ana", now=1.0)
    site.until(lambda: site.taken == 12)
    site.offsets.reset(site.topic, 0, "latest", actor="ana", now=2.0)
    site.samples(6, 1)
    site.until(lambda: site.taken == 13)
    assert site.position.offset == 7


def test_poison_stops_nothing_and_is_sent_again(site: Site) -> None:
    site.samples(0, 3)
    site.write(b"{broken", b'{"id": "short", "vector": [1]}', b'{"id": "none"}')
    site.samples(3, 3)
    site.until(lambda: site.position.offset == 9 if site.store.positions() else False)
    assert site.taken == 6
    found = site.store.dead_letters()
    assert len(found) == 3
    assert all(letter.sent and letter.original and letter.original.key == b"k" for letter in found)
    assert site.topics.bounds(site.topics.find(f"{site.topic}-letters", 0)).end == 3
    again: DeadLetter = site.store.dead_letter(found[0].id)
    assert replay(again, site.topics, nowhere, now=1.0) == site.topic
    site.until(lambda: site.position.offset == 10)
    assert len(site.store.dead_letters()) == 4
    assert site.topics.at(site.topics.find(site.topic, 0), time.time() + 3_600) == 10
    assert site.topics.at(site.topics.find(site.topic, 0), 0.0) == 0
