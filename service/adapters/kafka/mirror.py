"""The store's offsets shown to Kafka: nobody reads on from them, but lag tools and autoscalers measure by them."""

from __future__ import annotations

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from service.adapters.kafka.connection import position

EVERY = 1.0
"""Seconds between two mirrored states: a request each batch would cost more than it tells."""

FAREWELL_MS = 1_000

log = structlog.get_logger()


class OffsetMirror:
    """How far each partition is committed. What could not be shown (a rebalance is under way) is shown the next time."""

    def __init__(self) -> None:
        self.offsets: dict[TopicPartition, int] = {}
        self._given: dict[TopicPartition, int] = {}
        """What follows the last record that the worker was given."""
        self._shown: dict[TopicPartition, int] = {}
        self._due = 0.0

    def note(self, partition: TopicPartition, offset: int) -> None:
        """Everything before `offset` is in the store."""
        self.offsets[partition] = offset

    def give(self, partition: TopicPartition, offset: int) -> None:
        """The worker has been given everything before `offset`."""
        self._given[partition] = offset

    def follow(self, consumer: KafkaConsumer) -> None:
        """Past offsets without a record, which no worker is given: a transaction's end would look like a record that nobody reads."""
        for partition, given in self._given.items():
            behind = self.offsets.get(partition, -1)
            if behind >= given:
                self.offsets[partition] = max(behind, position(consumer, partition) or 0)

    def drop(self, partition: TopicPartition) -> None:
        """Somebody else's from now on."""
        self._given.pop(partition, None)
        self.offsets.pop(partition, None)
        self._shown.pop(partition, None)

    def show(self, consumer: KafkaConsumer, now: float, *, at_once: bool = False) -> None:
        """Sends what has changed, without waiting for the answer."""
        if now < self._due and not at_once:
            return
        self._due = now + EVERY
        changed = self._changed()
        if changed:
            consumer.commit_async(changed, callback=self._answered)
            self._shown.update({partition: position.offset for partition, position in changed.items()})

    def show_last(self, consumer: KafkaConsumer) -> None:
        """As a farewell, waiting for the answer: otherwise lag would be shown that there is none of."""
        changed = self._changed()
        if changed:
            consumer.commit(changed, timeout_ms=FAREWELL_MS)

    def _changed(self) -> dict[TopicPartition, OffsetAndMetadata]:
        return {
            partition: OffsetAndMetadata(offset, "", -1)
            for partition, offset in self.offsets.items()
            if self._shown.get(partition) != offset
        }

    def _answered(self, offsets: dict[TopicPartition, OffsetAndMetadata], answer: object) -> None:
        """Called within a later poll, on the consumer's own thread of work."""
        if isinstance(answer, KafkaError):
            log.debug("offsets not mirrored", reason=str(answer))
            for partition in offsets:
                self._shown.pop(partition, None)
