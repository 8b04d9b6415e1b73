"""A finite Source: stretches of a topic's partitions, read without a group, so that nobody else's reading is touched."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka import TopicPartition
from kafka.errors import OffsetOutOfRangeError

from service.adapters.kafka.connection import ANSWER_MS, Cluster, topic_id
from service.adapters.kafka.reading import Decode, Reading
from service.adapters.kafka.setting_aside import SetAside
from service.errors import ArtefactError, ConfigurationError, UnavailableError
from service.ports import Bounds
from service.records import Partition, Record, Stretch

_MOST_FETCHED = 100_000
"""All that one answer of the brokers brings: at most a megabyte of each partition that was asked for."""

_PATIENCE = 60.0
"""Seconds of waiting for records after which reading on is left for another time."""


@dataclass(slots=True)
class _Course:
    """A partition on its way from a sought offset to its end."""

    end: int
    place: TopicPartition
    next: int | None = None
    """Of the record to come; None before it was sought."""
    time: float = 0.0
    """The running maximum of its records' times."""
    waiting: deque[Any] = field(default_factory=deque)

    @property
    def finished(self) -> bool:
        """Whether all of it has been given."""
        return self.next is not None and self.next >= self.end and not self.waiting

    @property
    def upcoming(self) -> float:
        """The time at which the next record counts."""
        return max(self.time, float(self.waiting[0].timestamp) / 1000)

    def take(self, messages: Sequence[Any], following: int | None) -> None:
        """What lies beyond the end is not taken; offsets without a record, of transactions or compaction, are passed over."""
        self.waiting.extend(message for message in messages if message.offset < self.end)
        self.next = max(self.next or 0, following or 0)


class RangeSource:
    """Gives the partitions' records merged by time, as they would have come, whatever the brokers' answers bring together."""

    def __init__(self, cluster: Cluster, stretches: Sequence[Stretch], decode: Decode) -> None:
        self._cluster = cluster
        self._reading = Reading(decode, cluster.settings.max_record_bytes)
        self._stretches = {stretch.partition: stretch for stretch in stretches if stretch.first < stretch.end}
        self._courses = {p: _Course(stretch.end, TopicPartition(p.topic, p.number)) for p, stretch in self._stretches.items()}
        self._overtaken: set[Partition] = set()
        self._waited = 0.0
        self._consumer = cluster.consumer(group_id=None, auto_offset_reset="none")
        self._aside = SetAside(self._consumer, time.monotonic, cluster.explain)
        try:
            self._check_topics()
        except BaseException:
            self.close()
            raise

    def partitions(self) -> Sequence[Partition]:
        """Those with something to read; one that the topic's retention has overtaken is missing once."""
        given = [partition for partition in self._courses if partition not in self._overtaken]
        self._overtaken.clear()
        return given

    def bounds(self, partition: Partition) -> Bounds:
        """Of the stretch; what retention took of it is before the first."""
        stretch, place = self._stretches[partition], self._courses[partition].place
        with self._cluster.explained():
            kept = self._consumer.beginning_offsets([place], timeout_ms=ANSWER_MS)[place]
        return Bounds(first=min(max(stretch.first, kept), stretch.end), end=stretch.end, start=stretch.first)

    def seek(self, partition: Partition, offset: int) -> None:
        """The next `poll` of the partition starts at `offset`."""
        course = self._courses[partition]
        course.next, course.time = offset, 0.0
        course.waiting.clear()

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        """Up to `limit` records; none while a partition keeps the others waiting."""
        deadline = time.monotonic() + timeout
        while (missing := self._missing()) and (left := deadline - time.monotonic()) >= 0:
            self._fetch(missing, left)
        return self._merged(limit)

    def committed(self, partition: Partition, offset: int) -> None:
        """Nothing is told to the brokers: it is no reading of a group."""

    def alive(self) -> None:
        """Nobody gives the partitions out."""

    @property
    def ended(self) -> bool:
        """True once every stretch has given its last record."""
        return all(course.finished for course in self._courses.values())

    def close(self) -> None:
        """Lets go of the brokers."""
        self._consumer.close(autocommit=False)

    def _missing(self) -> list[_Course]:
        """Those that keep the others waiting: their next record, and so its time, is unknown."""
        return [course for course in self._courses.values() if course.next is not None and not course.finished and not course.waiting]

    def _fetch(self, wanted: Sequence[_Course], timeout: float) -> None:
        """Nothing is asked of those that have records waiting. (Pausing them would do, but a paused partition may never be resumed:
        the library keeps what it had fetched of it behind an exhausted one.)"""
        with self._cluster.explained():
            self._consumer.assign([course.place for course in wanted])
            for course in wanted:
                self._aside.drop(course.place)
                self._consumer.resume(course.place)
                self._consumer.seek(course.place, course.next)
            try:
                found = self._consumer.poll(int(1000 * timeout), max_records=_MOST_FETCHED)
            except OffsetOutOfRangeError as error:
                self._overtaken_at(error.args[0])
                return
            if self._aside.reasons:
                raise UnavailableError("; ".join(self._aside.reasons))
            self._waited = 0.0 if found else self._waited + timeout
            for course in wanted:
                course.take(found.get(course.place, ()), self._consumer.position(course.place, timeout_ms=ANSWER_MS))
        if self._waited > _PATIENCE and self._missing():
            raise UnavailableError(f"the brokers have given no record for {_PATIENCE:.0f} s; see that they run, and try again")

    def _overtaken_at(self, places: Collection[TopicPartition]) -> None:
        for partition, course in self._courses.items():
            if course.place in places:
                course.next = None
                self._overtaken.add(partition)

    def _merged(self, limit: int) -> Sequence[Record]:
        """The earliest ones, as long as every partition's next is known."""
        records: list[Record] = []
        known = not self._missing()
        ready = [(course.upcoming, n, partition) for n, (partition, course) in enumerate(self._courses.items()) if course.waiting]
        heapq.heapify(ready)
        while ready and known and len(records) < limit:
            moment, n, partition = heapq.heappop(ready)
            course = self._courses[partition]
            course.time = moment
            records.append(self._reading.record(partition, course.waiting.popleft()))
            if course.waiting:
                heapq.heappush(ready, (course.upcoming, n, partition))
            known = bool(course.waiting) or course.finished
        return records

    def _check_topics(self) -> None:
        for topic in {partition.topic for partition in self._stretches}:
            with self._cluster.explained():
                self._consumer.partitions_for_topic(topic)
            ids = {partition.topic_id for partition in self._stretches if partition.topic == topic}
            if ids != {topic_id(self._consumer, topic)}:
                raise ArtefactError(f"topic {topic} was deleted or made anew since the backfill began: begin another one")


def stretches_between(cluster: Cluster, topic: str, numbers: Sequence[int], *, since: float, until: float) -> Sequence[Stretch]:
    """From the first record at or after `since` to before the first at or after `until`, of each partition; all where none is named."""
    consumer = cluster.consumer(group_id=None)
    try:
        with cluster.explained():
            known = consumer.partitions_for_topic(topic)
            named = topic_id(consumer, topic)
            if not known or named is None:
                raise ConfigurationError(cluster.absent(topic))
            if absent := sorted(set(numbers) - set(known)):
                raise ConfigurationError(f"topic {topic} has partitions 0 to {max(known)}, none of number {absent[0]}")
            places = [TopicPartition(topic, number) for number in sorted(numbers or known)]
            ends = consumer.end_offsets(places, timeout_ms=ANSWER_MS)
            first, last = (_offsets(consumer, places, ends, moment) for moment in (since, until))
    finally:
        consumer.close(autocommit=False)
    return [Stretch(Partition(topic, named, place.partition), first[place], last[place]) for place in places]


def _offsets(
    consumer: Any, places: Sequence[TopicPartition], ends: Mapping[TopicPartition, int], moment: float
) -> Mapping[TopicPartition, int]:
    """Of each partition's first record at or after the moment; its end where there is none."""
    milliseconds = max(0, round(1000 * moment))
    found = consumer.offsets_for_times(dict.fromkeys(places, milliseconds), timeout_ms=ANSWER_MS)
    return {place: found[place].offset if found.get(place) else ends[place] for place in places}
