"""Whether the servers that are configured can hold what they are asked to, for `driftgate doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from service.adapters.kafka import Cluster
from service.adapters.redis_store import Gravity, examine
from service.app.parts import redis_server
from service.errors import DriftgateError
from service.settings import KafkaSettings, Settings

Said = tuple[str, str, str]
"""Level, what is the case, remedy."""

_LEVELS = {Gravity.REFUSED: "fail", Gravity.FAILING: "fail", Gravity.WEAK: "warn"}


def examine_redis(settings: Settings) -> Iterator[Said]:
    """Nothing where Redis is not configured."""
    if settings.redis is None:
        return
    try:
        with closing(redis_server(settings)) as server:
            troubles = examine(server)
    except DriftgateError as error:
        yield "fail", str(error), ""
        return
    for trouble in troubles:
        yield _LEVELS[trouble.gravity], trouble.says, trouble.remedy
    if not troubles:
        yield "ok", "holds exact state, and every answer is on its disk", ""


def examine_kafka(settings: Settings) -> Iterator[Said]:
    """Nothing where Kafka is not configured."""
    if settings.kafka is None:
        return
    try:
        cluster = Cluster(settings.kafka, settings.kafka_password)
        found = _partitions(cluster, _topics(settings.kafka, settings))
    except DriftgateError as error:
        yield "fail", str(error), ""
        return
    for topic, partitions in found.items():
        if not partitions:
            yield "fail", cluster.absent(topic), ""
    here = {topic: partitions for topic, partitions in found.items() if partitions}
    if here:
        yield "ok", f"{len(here)} topics: " + ", ".join(f"{topic} ({partitions} partitions)" for topic, partitions in here.items()), ""


def _partitions(cluster: Cluster, topics: list[str]) -> dict[str, int]:
    """Of each topic; 0 where there is none of the name."""
    with cluster.explained():
        consumer = cluster.consumer()
        try:
            return {topic: len(consumer.partitions_for_topic(topic) or ()) for topic in topics}
        finally:
            consumer.close(autocommit=False)


def _topics(kafka: KafkaSettings, settings: Settings) -> list[str]:
    own = [topic for topic in (kafka.ingest_topic, kafka.dead_letter_topic) if topic is not None]
    return list(dict.fromkeys([*(monitor.topic.name for monitor in settings.monitors if monitor.topic), *own]))
