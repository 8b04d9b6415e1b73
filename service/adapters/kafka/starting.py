"""Which topics there are to read, and from where on those that were never read before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from kafka import KafkaConsumer, TopicPartition

from service.adapters.kafka.connection import ANSWER_MS, committed, hidden, reaches_group, topic_id, unreadable
from service.records import Partition
from service.settings import MonitorSettings

Start: TypeAlias = Literal["earliest", "latest"] | datetime
"""Where a partition is read from that was never read before."""

ABSENT_AFTER = 4.0
"""Seconds after which a topic that is still not seen was not there at the first look: the metadata is younger than that."""

_FIRST, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def starts(monitors: Iterable[MonitorSettings], ingest_topic: str | None) -> dict[str, Start]:
    """Topic → where to begin. A topic of several monitors begins where the first of them wants it; ingest loses nothing."""
    found: dict[str, Start] = {}
    for monitor in monitors:
        if monitor.topic is not None:
            given = found.get(monitor.topic.name, monitor.topic.start)
            found[monitor.topic.name] = min(given, monitor.topic.start, key=_moment)
    return {**found, ingest_topic: "earliest"} if ingest_topic else found


class Beginnings:
    """Where partitions begin that the store has no offset of.

    `latest` passes over what a topic held when it was first looked at. A partition that was added later, or whose topic was not there
    then, is read whole: what came into it before its first reader saw it would else be lost, and counted nowhere.
    """

    def __init__(self) -> None:
        self._first_asked: dict[str, float] = {}
        self._found: dict[str, tuple[str | None, Collection[int]]] = {}
        """Topic → its id and its partitions at the first look."""

    def look(self, consumer: KafkaConsumer, topics: Mapping[str, Start], now: float) -> None:
        """At the topics that begin with what is `latest`, once each."""
        wanted = {topic for topic, start in topics.items() if start == "latest"}
        for topic in self._found.keys() - wanted:
            del self._found[topic]
        self._first_asked = {topic: self._first_asked.get(topic, now) for topic in wanted}
        fresh = wanted - self._found.keys()
        absent = set(unreadable(consumer, fresh))
        for topic in fresh - absent:
            self._found[topic] = (topic_id(consumer, topic), _known(consumer, topic))
        for topic in absent:
            waited = now - self._first_asked[topic] > ABSENT_AFTER
            if waited and reaches_group(consumer) and not hidden(consumer, topic):
                self._found[topic] = (None, ())

    def offset(self, consumer: KafkaConsumer, start: Start, partition: Partition, *, first: int, end: int) -> int:
        """Of the first record to read, where `first` is the first that is kept and `end` the next to be written."""
        if start == "earliest":
            return first
        if isinstance(start, datetime):
            place = TopicPartition(partition.topic, partition.number)
            milliseconds = max(0, int(1000 * _moment(start).timestamp()))
            found = consumer.offsets_for_times({place: milliseconds}, timeout_ms=ANSWER_MS)[place]
            return end if found is None else int(found.offset)
        identity, numbers = self._found.get(partition.topic, (partition.topic_id, (partition.number,)))
        return end if identity == partition.topic_id and partition.number in numbers else first


def _known(consumer: KafkaConsumer, topic: str) -> Collection[int]:
    """The partitions of the first look, which may have been that of a worker before: it has left an offset of each that it had."""
    numbers = set(consumer.partitions_for_topic(topic) or ())
    return committed(consumer, [TopicPartition(topic, number) for number in sorted(numbers)]) or numbers


def _moment(start: Start) -> datetime:
    if isinstance(start, datetime):
        return start if start.tzinfo else start.replace(tzinfo=UTC)
    return _FIRST if start == "earliest" else _NEVER
