"""What kafka-python (3.0) leaves open, closed from outside.

A join that a changed topic or subscription began is forgotten once a poll ends before it does, and the member is silent for ever:
`joining` asks for it by name. One that ended between two polls is thrown away and begun anew, which makes every other member join
again: `carry` keeps it. What was fetched of a partition before it was paused may keep it from being fetched again: `seek` drops it.
One topic that may not be seen hides what changes in all others: `overlook` keeps it out of sight.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import MemberState
from kafka.util import WeakMethod


def joining(consumer: KafkaConsumer) -> bool:
    """Whether the group is being joined, or is about to be."""
    coordinator = consumer._coordinator
    under_way = bool(coordinator.rejoining or coordinator.need_rejoin())
    if under_way:
        coordinator.request_rejoin()
    return under_way


def join(consumer: KafkaConsumer, timeout_ms: int) -> None:
    """One round and no more: a poll would go on to the next, in which what has just been taken away goes to somebody else."""
    consumer._coordinator.ensure_active_group(timeout_ms=timeout_ms)


def carry(consumer: KafkaConsumer) -> KafkaConsumer:
    """The same consumer, whose next poll takes up the join that ended meanwhile."""
    coordinator = consumer._coordinator
    begin = coordinator._do_join_and_sync_async
    ended: dict[int, bytes] = {}
    """The generation that was joined → what it gives to this member."""

    async def join_or_take_up() -> bytes:
        unseen = ended.pop(coordinator._generation.generation_id, None)
        if unseen is not None and coordinator.state is MemberState.REBALANCING:  # stable once it was seen
            return unseen
        ended.clear()
        given: bytes = await begin()
        ended[coordinator._generation.generation_id] = given
        return given

    coordinator._do_join_and_sync_async = join_or_take_up
    return consumer


def seek(consumer: KafkaConsumer, partition: TopicPartition, offset: int) -> None:
    """The next record of the partition is this one, whatever was fetched of it before."""
    fetcher = consumer._fetcher
    for parked in (fetcher._paused_partition_records, fetcher._paused_completed_fetches):
        parked.pop(partition, None)
    in_hand = fetcher._next_partition_records
    if in_hand is not None and in_hand.topic_partition == partition:
        in_hand.drain()
        fetcher._next_partition_records = None
    consumer.seek(partition, offset)


def overlook(consumer: KafkaConsumer) -> KafkaConsumer:
    """The same consumer, which follows the topics that it may see."""
    metadata, follow = consumer._cluster, consumer._coordinator._handle_metadata_update
    metadata.remove_listener(WeakMethod(follow))
    metadata.add_listener(lambda cluster: follow(_Seen(cluster)))
    return consumer


class _Seen:
    """Metadata without what may not be seen."""

    unauthorized_topics: AbstractSet[str] = frozenset()

    def __init__(self, metadata: Any) -> None:
        self._metadata = metadata

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metadata, name)
