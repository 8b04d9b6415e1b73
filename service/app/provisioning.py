"""What an installation finds there in production, and a trial has to make: topics, the store's user, records of the monitored model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress

from service.adapters.kafka import Cluster, KafkaRecords, KafkaTopics
from service.adapters.redis_store import acl_file
from service.errors import ConfigurationError, UnavailableError
from service.settings import Settings


def make_topics(settings: Settings, *, partitions: int) -> Sequence[str]:
    """Those of the configuration that are not there: of its monitors and for ingest with so many partitions, for dead letters with one.
    Returns their names; none where Kafka is not configured."""
    if settings.kafka is None:
        return ()
    with closing(KafkaTopics(_cluster(settings))) as topics:
        return topics.create(_wanted(settings, partitions))


def redis_users(settings: Settings, password: str) -> str:
    """An ACL file for a Redis that only this installation uses."""
    if settings.redis is None or settings.redis.user is None:
        raise ConfigurationError("redis.user: an ACL file needs the name of a user")
    return acl_file(settings.redis.user, settings.redis.prefix, password)


@contextmanager
def topic_of(settings: Settings, monitor: str) -> Iterator[KafkaRecords]:
    """The topic that the monitor reads, to be written to. NotFoundError where the brokers have none of the name."""
    topic = settings.monitor(monitor).topic
    if topic is None or settings.kafka is None:
        raise ConfigurationError(f"monitor {monitor} reads no topic (monitors.topic.name, kafka.brokers); send over HTTP instead")
    cluster = _cluster(settings)
    with closing(KafkaTopics(cluster)) as topics, suppress(UnavailableError):  # who writes tries again by itself
        topics.find(topic.name, 0)
    with closing(KafkaRecords(cluster, topic.name)) as records:
        yield records


def _cluster(settings: Settings) -> Cluster:
    if settings.kafka is None:
        raise ConfigurationError("kafka is not configured")
    return Cluster(settings.kafka, settings.kafka_password)


def _wanted(settings: Settings, partitions: int) -> Mapping[str, int]:
    kafka = settings.kafka
    read = [monitor.topic.name for monitor in settings.monitors if monitor.topic]
    shared = [kafka.ingest_topic] if kafka and kafka.ingest_topic else []
    letters = {kafka.dead_letter_topic: 1} if kafka and kafka.dead_letter_topic else {}
    return dict.fromkeys([*read, *shared], partitions) | letters
