"""Kafka topics as a source of samples: a consumer group shares the partitions, the store says where each is read on.

Kafka's own committed offsets are a mirror for those who measure lag; nothing is ever read on from them. A partition that the group
moves goes to its new reader once the batch in hand is committed, or after `handover_seconds`; whatever its old reader commits after
that the store refuses. The brokers are connected to when partitions are first asked for, so that a process may start before them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import FencedInstanceIdError, KafkaError, LogTruncationError, OffsetOutOfRangeError

from service.adapters.kafka.connection import ANSWER_MS, Cluster, has_leader, reaches_group, topic_id, unreadable
from service.adapters.kafka.membership import Membership
from service.adapters.kafka.mirror import OffsetMirror
from service.adapters.kafka.reading import Decode, Reading
from service.adapters.kafka.remedies import carry, join, joining, overlook, seek
from service.adapters.kafka.setting_aside import SetAside
from service.adapters.kafka.starting import Beginnings, Start
from service.errors import DriftgateError
from service.ports import Bounds
from service.records import Partition, Record

ALIVE_EVERY = 1.0
"""Seconds between two signs of life."""

LEAST_SILENCE = 5.0
"""Seconds between two signs of life for which nobody is given up, beyond the wait of a rebalance: one slow sample may take them."""

JOIN_MS = 250
"""How long a sign of life waits for the group while it is joined."""

METADATA_MS = 2_000
"""After so long new partitions are seen."""

FETCH_BYTES = 4 * 2**20
"""Of a partition at once: a batch of vectors is to be of one partition, for each has a commit of its own."""

log = structlog.get_logger()


class KafkaSource:
    """The partitions that the group gives to this process. Its methods are for one thread; `watch` and the attributes for any."""

    def __init__(
        self, cluster: Cluster, topics: Mapping[str, Start], decode: Decode, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._mirror = OffsetMirror()
        self._beginnings = Beginnings()
        self._member: Membership | None = None
        self._fenced: DriftgateError | None = None
        self._held: dict[TopicPartition, Partition] = {}
        """As the worker was told."""
        self._sought: set[TopicPartition] = set()
        self._ends: dict[TopicPartition, int] = {}
        self._polled = float("-inf")
        self.watch(topics, decode)
        self.lags: Mapping[Partition, int] = {}
        """Records of each partition that are not yet in the store."""
        self.waits_for = "the brokers"
        """Why nothing, or not everything, is read; empty when all is well."""

    def watch(self, topics: Mapping[str, Start], decode: Decode) -> None:
        """The topics to read, and how; from the next batch on."""
        self._watched = (dict(topics), Reading(decode, self._cluster.settings.max_record_bytes))

    def partitions(self) -> Sequence[Partition]:
        """Those that the group gives to this process; one that left meanwhile is missing once, even if it came back."""
        if self._member is not None and self._member.outdated():
            self.close()
        with self._joined() as member:
            now = self._clock()
            if now - self._polled >= ALIVE_EVERY:
                self._beat(member.consumer)
            self._beginnings.look(member.consumer, self._watched[0], now)
            self._settle(member)
            self._mirror.follow(member.consumer)
            self._mirror.show(member.consumer, now)
            self._report(member)
        return tuple(self._held.values())

    def bounds(self, partition: Partition) -> Bounds:
        """Asks the brokers, once per partition taken up."""
        known = _plain(partition)
        with self._joined() as member:
            first = member.consumer.beginning_offsets([known], timeout_ms=ANSWER_MS)[known]
            end = member.consumer.end_offsets([known], timeout_ms=ANSWER_MS)[known]
            start = self._watched[0].get(known.topic, "earliest")
            begin = self._beginnings.offset(member.consumer, start, partition, first=first, end=end)
        self._ends[known] = end
        return Bounds(first, end, begin, succeeds=True)

    def seek(self, partition: Partition, offset: int) -> None:
        """The next `poll` of the partition starts at `offset`."""
        known = _plain(partition)
        with self._joined() as member:
            if known in member.consumer.assignment():
                seek(member.consumer, known, offset)
                member.aside.drop(known)
                self._mirror.give(known, offset)
                self._sought.add(known)

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        """Up to `limit` records of the partitions that were sought."""
        _, reading = self._watched
        records: list[Record] = []
        with self._joined() as member:
            for known, found in self._fetch(member, limit, timeout).items():
                partition = self._of(member, known)
                if partition is not None:
                    records.extend(reading.record(partition, each) for each in found)
                    self._mirror.give(known, found[-1].offset + 1)
        return records

    def committed(self, partition: Partition, offset: int) -> None:
        """Mirrored to Kafka; at once where the partition is about to go to somebody else."""
        known = _plain(partition)
        self._mirror.note(known, offset)
        if self._member is not None and known in self._member.left:
            with self._joined() as member:
                self._mirror.show(member.consumer, self._clock(), at_once=True)

    def alive(self) -> None:
        """Polls without taking anything, unless that would give away what the batch in hand is of: up to `handover_seconds`."""
        member, now = self._member, self._clock()
        if member is None or now - self._polled < ALIVE_EVERY:
            return
        if member.left and now - member.left_at < self._cluster.settings.handover_seconds:
            return
        try:
            self._beat(member.consumer)
        except KafkaError as error:  # the batch in hand needs no broker, and the next poll says it again
            log.warning("kafka.unreachable", reason=str(error))

    @property
    def ended(self) -> bool:
        """Never: more can always be written to a topic."""
        return False

    def close(self) -> None:
        """Mirrors the last offsets and leaves the group; a named instance stays a member until its session ends."""
        member, self._member = self._member, None
        if member is None:
            return
        for act in (self._mirror.show_last, _leave):
            try:
                act(member.consumer)
            except KafkaError as error:
                log.warning("kafka.close_failed", reason=str(error))

    @contextmanager
    def _joined(self) -> Iterator[Membership]:
        """The membership, of what is watched now; within it the library's errors become ours."""
        if self._fenced is not None:
            raise self._fenced
        if self._member is None:
            with _told(self):
                outdated, consumer = self._cluster.outdated(), overlook(carry(_member_of_group(self._cluster)))
            aside = SetAside(consumer, self._clock, self._cluster.explain)
            self._member = Membership(consumer, self._mirror, aside, self._clock, outdated)
            self._held.clear()
            self._sought.clear()
        member = self._member
        with _told(self), self._cluster.explained():
            try:
                member.follow(self._watched[0])
                yield member
            except FencedInstanceIdError as error:  # for good: whoever came with the same name would be fenced in turn
                self._fenced, self._member = self._cluster.explain(error), None
                with suppress(KafkaError):
                    _leave(member.consumer)
                raise

    def _beat(self, consumer: KafkaConsumer) -> None:
        """Tells the group that we live; joins it again where it asks for that. Nothing is fetched of what is paused."""
        consumer.pause(*consumer.assignment())
        self._polled = self._clock()
        if joining(consumer):
            join(consumer, JOIN_MS)
        else:
            consumer.poll(timeout_ms=0, max_records=1)

    def _settle(self, member: Membership) -> None:
        for known, partition in self._held.items():
            if _is_other(member.consumer, partition):
                self._give_up(member, known)
        given, left = member.consumer.assignment(), member.settle()
        for known in [known for known in self._held if known in left or known not in given]:
            del self._held[known]
            self._sought.discard(known)
            self._ends.pop(known, None)
            self._mirror.drop(known)
            member.aside.drop(known)
        for known in sorted(given - self._held.keys() - left):
            identity = topic_id(member.consumer, known.topic)
            if identity is not None and has_leader(member.consumer, known):
                self._held[known] = Partition(known.topic, identity, known.partition)

    def _fetch(self, member: Membership, limit: int, timeout: float) -> Mapping[TopicPartition, Sequence[Any]]:
        consumer = member.consumer
        consumer.resume(*((self._sought & consumer.assignment()) - member.left - member.aside.waiting()))
        self._polled = self._clock()
        joining(consumer)
        try:
            return dict(consumer.poll(timeout_ms=int(timeout * 1000), max_records=limit))
        except OffsetOutOfRangeError as error:  # the log has let go of it, or was cut: its bounds will say which
            lost = error.args[0]
        except LogTruncationError as error:
            lost = error.divergent_offsets
        for known in lost:
            self._give_up(member, known)
        return {}

    def _of(self, member: Membership, known: TopicPartition) -> Partition | None:
        """None where the topic was deleted and made anew under the same name: its records are another partition's."""
        partition = self._held.get(known)
        if partition is not None and known in self._sought and not _is_other(member.consumer, partition):
            return partition
        self._give_up(member, known)
        return None

    def _give_up(self, member: Membership, known: TopicPartition) -> None:
        """It is to be taken up anew."""
        member.leave(known)
        self._sought.discard(known)
        if known in member.consumer.assignment():
            member.consumer.pause(known)

    def _report(self, member: Membership) -> None:
        consumer, offsets = member.consumer, self._mirror.offsets
        ends = {known: consumer.highwater(known) or self._ends.get(known, 0) for known in self._held}
        self.lags = {partition: max(ends[known] - offsets[known], 0) for known, partition in self._held.items() if known in offsets}
        absent = [self._cluster.absent(topic) for topic in unreadable(consumer, self._watched[0])]
        aside = [f"{reason}; it is tried again, or read on behind it with `driftgate offsets reset`" for reason in member.aside.reasons]
        self.waits_for = "; ".join([*absent, *aside]) or ("" if reaches_group(consumer) else "the brokers")


@contextmanager
def _told(source: KafkaSource) -> Iterator[None]:
    """What went wrong is what the source waits for, until it has looked again."""
    try:
        yield
    except DriftgateError as error:
        source.waits_for = str(error)
        raise


def _member_of_group(cluster: Cluster) -> KafkaConsumer:
    settings = cluster.settings
    session_ms = int(settings.session_seconds * 1000)
    return cluster.consumer(
        group_id=settings.group,
        group_instance_id=settings.instance,
        partition_assignment_strategy=[CooperativeStickyAssignor],
        auto_offset_reset="none",
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=min(3_000, session_ms // 3),
        max_poll_interval_ms=int(1000 * (settings.handover_seconds + max(settings.handover_seconds / 2, LEAST_SILENCE))),
        metadata_max_age_ms=METADATA_MS,
        max_partition_fetch_bytes=FETCH_BYTES,
        metrics_enabled=False,
    )


def _plain(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)


def _is_other(consumer: KafkaConsumer, partition: Partition) -> bool:
    """Whether its topic was deleted and made anew meanwhile."""
    return topic_id(consumer, partition.topic) not in (None, partition.topic_id)


def _leave(consumer: KafkaConsumer) -> None:
    consumer.close(autocommit=False, timeout_ms=ANSWER_MS // 2)
