"""What the consumer group gives to this process and takes away, as its listener is told while a poll waits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from service.adapters.kafka.mirror import OffsetMirror
from service.adapters.kafka.setting_aside import SetAside

log = structlog.get_logger()


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # the library is not typed
    """Partitions come paused, so that nothing is read of them before the store has said from where on.

    The library calls it on its own thread, but only while the one that polls is held within `poll` or `close`: nothing here runs at
    the same time as the source's own methods, and nothing here may wait. There is no need to: a partition that is taken away goes to
    nobody before this member joins again, and only its next poll does.
    """

    def __init__(
        self, consumer: KafkaConsumer, mirror: OffsetMirror, aside: SetAside, clock: Callable[[], float], outdated: Callable[[], bool]
    ) -> None:
        self.consumer = consumer
        self.aside = aside
        self.outdated = outdated
        """Whether the brokers are to be told another password by now."""
        self._mirror = mirror
        self._clock = clock
        self.left: set[TopicPartition] = set()
        """Taken away since the source was last asked for its partitions, even if given back."""
        self.left_at = 0.0
        """When the first of them was."""

    def follow(self, topics: Mapping[str, object]) -> None:
        """Subscribes to these topics, where they are not those of before."""
        if not topics and self.consumer.subscription():
            self.consumer.unsubscribe()
        elif topics and self.consumer.subscription() != topics.keys():
            self.consumer.subscribe(topics=sorted(topics), listener=self)

    def leave(self, partition: TopicPartition) -> None:
        """It is to be taken up anew."""
        if not self.left:
            self.left_at = self._clock()
        self.left.add(partition)

    def settle(self) -> set[TopicPartition]:
        """What has left, asked when nothing of it is worked on any more."""
        left, self.left = self.left, set()
        return left

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        for partition in assigned:
            self.consumer.pause(partition)
            self.consumer.seek(partition, 0)  # without any position the library would ask Kafka for one
        log.info("kafka.assigned", partitions=_shown(assigned))

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        for partition in revoked:
            self.leave(partition)
        try:
            self._mirror.show(self.consumer, self._clock(), at_once=True)  # while this member may still speak for them
        except KafkaError as error:
            log.warning("kafka.offsets_not_mirrored", reason=str(error))
        log.info("kafka.revoked", partitions=_shown(revoked))

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        for partition in lost:
            self.leave(partition)
        log.warning(
            "kafka.lost", partitions=_shown(lost), reason="the group had given this worker up; the store refuses what is not its own"
        )


def _shown(partitions: Collection[TopicPartition]) -> list[str]:
    return [f"{partition.topic}/{partition.partition}" for partition in sorted(partitions)]
