"""A source in memory: for tests, the demo and programs that have their samples at hand."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import attrgetter

from service.ports import Bounds
from service.records import Partition, Record


class ListSource:
    """Records in memory. With `growing`, other threads may `push` more until somebody says `end`.

    `partitions` declares those that have no record yet; within a partition records come in the order of their offsets.
    """

    def __init__(self, records: Iterable[Record] = (), *, partitions: Iterable[Partition] = (), growing: bool = False) -> None:
        self._changed = threading.Condition()
        self._growing = True
        self._records: dict[Partition, list[Record]] = {partition: [] for partition in partitions}
        self._next: dict[Partition, int] = {}
        self.push(*records)
        self._growing = growing

    def push(self, *records: Record) -> None:
        """Appends records; ValueError for an offset that does not follow its partition's last, or after the end."""
        with self._changed:
            if not self._growing:
                raise ValueError("this source has ended")
            for record in records:
                kept = self._records.setdefault(record.partition, [])
                if kept and record.offset <= kept[-1].offset:
                    raise ValueError(f"offset {record.offset} of {record.partition} does not follow {kept[-1].offset}")
                kept.append(record)
            self._changed.notify_all()

    def end(self) -> None:
        """No more records will come."""
        with self._changed:
            self._growing = False
            self._changed.notify_all()

    def partitions(self) -> Sequence[Partition]:
        """Those that were declared or have had a record."""
        with self._changed:
            return tuple(self._records)

    def seek(self, partition: Partition, offset: int) -> None:
        """The next poll of the partition starts at `offset`."""
        with self._changed:
            self._next[partition] = offset

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        """Up to `limit` records, partition by partition; waits up to `timeout` seconds for the first."""
        with self._changed:
            self._changed.wait_for(lambda: not self._growing or self._left(), timeout)
            taken: list[Record] = []
            for partition, records in self._records.items():
                start = self._start(partition)
                found = records[start : start + limit - len(taken)]
                if found:
                    self._next[partition] = found[-1].offset + 1
                    taken += found
            return taken

    def committed(self, partition: Partition, offset: int) -> None:
        """Nothing is let go of."""

    def bounds(self, partition: Partition) -> Bounds:  # noqa: ARG002 - all begin and end alike
        """Unknown: what lies outside is told by reading it."""
        return Bounds()

    def alive(self) -> None:
        """Nobody else gives the partitions out."""

    @property
    def ended(self) -> bool:
        """True once the end was said and the last record given."""
        with self._changed:
            return not self._growing and not self._left()

    def close(self) -> None:
        """Nothing is held open."""

    def _left(self) -> bool:
        return any(self._start(partition) < len(records) for partition, records in self._records.items())

    def _start(self, partition: Partition) -> int:
        return bisect_left(self._records[partition], self._next.get(partition, 0), key=attrgetter("offset"))
