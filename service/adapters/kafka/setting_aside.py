"""Partitions whose next batch can't be had: they wait, told of, and the others go on.

kafka-python (3.0) raises such an error from the poll of all partitions, and keeps of the batch an iterator that ends at once: the poll
after it never returns. So no error of a single partition gets as far as that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError, KafkaError, OffsetOutOfRangeError
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.legacy_records import LegacyRecordBatch

from service.errors import DriftgateError, UnavailableError
from service.patience import Patience

AGAIN = 30.0
"""Seconds until such a batch is asked for again: a broker may send it whole, or a person may have changed what may be read."""

log = structlog.get_logger()


class SetAside:
    """What keeps each partition waiting. Made for one consumer, and part of its poll from then on."""

    def __init__(self, consumer: KafkaConsumer, clock: Callable[[], float], explain: Callable[[KafkaError], DriftgateError]) -> None:
        self._consumer = consumer
        self._clock = clock
        self._explain = explain
        self._waiting: dict[TopicPartition, tuple[float, str]] = {}
        fetcher = consumer._fetcher
        self._parse = fetcher._parse_fetched_data
        fetcher._parse_fetched_data = self._parsed
        fetcher.PartitionRecords = _reader(self._put)

    def waiting(self) -> set[TopicPartition]:
        """Those that are not to be fetched now."""
        now = self._clock()
        self._waiting = {known: (until, reason) for known, (until, reason) in self._waiting.items() if until > now}
        return set(self._waiting)

    def drop(self, partition: TopicPartition) -> None:
        """It is read from another offset, or by somebody else."""
        self._waiting.pop(partition, None)

    @property
    def reasons(self) -> list[str]:
        """For the person who runs driftgate."""
        return [reason for _, reason in self._waiting.values()]

    def _parsed(self, completed: Any) -> Any:
        try:
            return self._parse(completed)
        except OffsetOutOfRangeError:  # retention was faster: the partition is taken up anew
            raise
        except KafkaError as error:
            self._put(completed.topic_partition, completed.fetched_offset, str(self._explain(error)))
            return None

    def _put(self, partition: TopicPartition, offset: int, reason: str) -> None:
        place = f"partition {partition.partition} of {partition.topic} waits at offset {offset}"
        log.error("kafka.partition_waits", topic=partition.topic, partition=partition.partition, offset=offset, reason=f"{reason:.300}")
        self._consumer._subscription.pause(partition)
        self._waiting[partition] = (self._clock() + AGAIN, f"{place}: {reason:.300}")


def _reader(put: Callable[[TopicPartition, int, str], None]) -> type[Any]:
    """What the library unpacks a partition's records with, which ends where it would raise."""

    class Reader(Fetcher.PartitionRecords):  # type: ignore[misc]  # the library is not typed
        def _unpack_records(self, tp: TopicPartition, records: Any, *deserializers: object) -> Iterator[Any]:
            try:
                yield from super()._unpack_records(tp, _Batches(records), *deserializers)
            except KafkaError as error:
                put(tp, self.next_fetch_offset, f"its next batch can't be unpacked: {error!s:.200}")
                self.drain()

    return Reader


class _Batches:
    """The batches of an answer, of which nothing but the library's own errors comes."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        if batch is not None:
            batch.__class__ = _Batch if isinstance(batch, DefaultRecordBatch) else _OldBatch
        return batch


class _Batch(DefaultRecordBatch):  # type: ignore[misc]  # as above
    """Headers may have any bytes as names, as librdkafka writes them."""

    __slots__ = ()

    def __iter__(self) -> Any:
        return _opened(super().__iter__)

    def __next__(self: Any) -> Any:
        try:
            return DefaultRecordBatch.__next__(self)
        except KafkaError:
            if isinstance(self._buffer, _Escaping):
                raise
            self._buffer = _Escaping(self._buffer)
            return DefaultRecordBatch.__next__(self)


class _OldBatch(LegacyRecordBatch):  # type: ignore[misc]  # as above
    """Written before Kafka 0.11."""

    __slots__ = ()

    def __iter__(self) -> Any:
        unpack = super().__iter__
        return _opened(lambda: iter(list(unpack())))


def _opened(unpack: Callable[[], Any]) -> Any:
    """Each codec raises errors of its own."""
    patience, found = Patience(shortest=AGAIN), list[Any]()

    def attempt() -> int:
        try:
            found.append(unpack())
        except KafkaError as error:
            raise UnavailableError(str(error)) from error
        return len(found)

    if not patience.attempt(attempt):
        raise CorruptRecordError(patience.reason)
    return found[0]


class _Escaping(bytearray):
    """Bytes that are no UTF-8 are shown as they are written in Python: `\\\\xff`."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _Escaping(found) if isinstance(place, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 - the library asks for strict
        return super().decode(encoding, "backslashreplace")
