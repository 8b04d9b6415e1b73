"""Partitions whose next batch can't be had: they wait, told of, and the others go on.

kafka-python (3.0) raises such an error from the poll of all partitions, and keeps of the batch an iterator that ends at once: the poll
after it never returns. So no error of a single partition gets as far as that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import KafkaError, OffsetOutOfRangeError
from kafka.record.default_records import DefaultRecordBatch

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
            unpacked = super()._unpack_records(tp, _Batches(records), *deserializers)
            patience, found = Patience(shortest=AGAIN), list[Any]()

            def one() -> int:
                found[:] = _next(unpacked)
                return len(found)

            while patience.attempt(one, topic=tp.topic, partition=tp.partition, offset=self.next_fetch_offset):
                yield found[0]
            if patience.seconds:
                put(tp, self.next_fetch_offset, patience.reason)
                self.drain()

    return Reader


def _next(unpacked: Iterator[Any]) -> list[Any]:
    try:
        return list(islice(unpacked, 1))
    except KafkaError as error:
        raise UnavailableError(f"its next batch can't be unpacked: {error!s:.200}") from error


class _Batches:
    """The batches of an answer, whose headers may have any bytes as names, as librdkafka writes them."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        if isinstance(batch, DefaultRecordBatch):
            batch.__class__ = _Batch
        return batch


class _Batch(DefaultRecordBatch):  # type: ignore[misc]  # as above
    __slots__ = ()

    def __next__(self: Any) -> Any:
        try:
            return DefaultRecordBatch.__next__(self)
        except KafkaError:
            if isinstance(self._buffer, _Escaping):
                raise
            self._buffer = _Escaping(self._buffer)
            return DefaultRecordBatch.__next__(self)


class _Escaping(bytearray):
    """Bytes that are no UTF-8 are shown as they are written in Python: `\\\\xff`."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _Escaping(found) if isinstance(place, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 - the library asks for strict
        return super().decode(encoding, "backslashreplace")
