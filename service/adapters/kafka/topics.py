"""What people ask of topics and do to them, outside any reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from kafka import KafkaConsumer, TopicPartition

from service.adapters.kafka.connection import ANSWER_MS, Cluster, topic_id
from service.adapters.kafka.writing import Message, Writer
from service.errors import NotFoundError
from service.ports import Bounds
from service.records import Original, Partition


class KafkaTopics:
    """Connects at the first question."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._consumer: KafkaConsumer | None = None

    def find(self, topic: str, number: int) -> Partition:
        """The partition as the topic's id names it now."""
        with self._asked() as consumer:
            known = sorted(consumer.partitions_for_topic(topic) or ())
            identity = topic_id(consumer, topic)
        if identity is None or not known:
            raise NotFoundError(self._cluster.absent(topic))
        if number not in known:
            raise NotFoundError(f"topic {topic} has partitions {known[0]} to {known[-1]}, none of number {number}")
        return Partition(topic, identity, number)

    def bounds(self, partition: Partition) -> Bounds:
        """What the topic holds of it."""
        place = TopicPartition(partition.topic, partition.number)
        with self._asked() as consumer:
            first = consumer.beginning_offsets([place], timeout_ms=ANSWER_MS)[place]
            return Bounds(first, consumer.end_offsets([place], timeout_ms=ANSWER_MS)[place], first)

    def at(self, partition: Partition, moment: float) -> int:
        """The first offset at or after the moment; the end where there is none."""
        place = TopicPartition(partition.topic, partition.number)
        with self._asked() as consumer:
            found = consumer.offsets_for_times({place: max(0, round(1000 * moment))}, timeout_ms=ANSWER_MS)[place]
            return int(consumer.end_offsets([place], timeout_ms=ANSWER_MS)[place] if found is None else found.offset)

    def write(self, topic: str, original: Original) -> None:
        """A record as it was, of today."""
        with closing(Writer(self._cluster)) as writer:
            (error,) = writer.write([Message(topic, original.value or b"", original.key, original.headers)])
        if error is not None:
            raise self._cluster.explain(error) from error

    def create(self, partitions: Mapping[str, int]) -> Sequence[str]:
        """Makes those topics (name → number of partitions) that are not there, as durable as the brokers' defaults; returns their names."""
        with self._cluster.admin() as admin:
            there = set(admin.list_topics())
            missing = {name: {"num_partitions": number} for name, number in partitions.items() if name not in there}
            if missing:
                admin.create_topics(missing, wait_for_metadata=True)
        return tuple(missing)

    def close(self) -> None:
        """Lets go of the brokers."""
        if self._consumer is not None:
            self._consumer.close(autocommit=False)

    @contextmanager
    def _asked(self) -> Iterator[KafkaConsumer]:
        self._consumer = self._consumer or self._cluster.consumer(group_id=None)
        with self._cluster.explained():
            yield self._consumer
