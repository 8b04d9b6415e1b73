"""The Source over an embedded log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.decoding.completing import completed
from service.errors import InputError
from service.ports import Bounds, Log, LogEntry
from service.records import KEPT_BYTES, Item, Partition, Record, Rejected


class LogSource:
    """Reads a log from a sought offset on, without end; each entry is one item."""

    def __init__(self, log: Log, decode: Callable[[bytes], Item]) -> None:
        self._log = log
        self._decode = decode
        self._position = 0

    def partitions(self) -> Sequence[Partition]:
        return [self._log.partition]

    def seek(self, partition: Partition, offset: int) -> None:
        """The next `poll` starts at `offset`."""
        if partition != self._log.partition:
            raise ValueError(f"the log is partition {self._log.partition}, not {partition}")
        self._position = offset

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        """Up to `limit` records; empty after `timeout` seconds without one."""
        entries = self._log.read(self._position, limit)
        if not entries and self._log.wait(self._position, timeout):
            entries = self._log.read(self._position, limit)
        if entries:
            self._position = entries[-1].offset + 1
        return [Record(self._log.partition, entry.offset, entry.time, (self._item(entry),)) for entry in entries]

    def committed(self, partition: Partition, offset: int) -> None:  # noqa: ARG002 - a log is one partition
        """Leaves the backlog."""
        self._log.decided(offset)

    def bounds(self, partition: Partition) -> Bounds:  # noqa: ARG002 - all begin and end alike
        """Unknown: what lies outside is told by reading it."""
        return Bounds()

    def alive(self) -> None:
        """Nobody else gives the partitions out."""

    @property
    def ended(self) -> bool:
        """Never: more can always be appended."""
        return False

    def close(self) -> None:
        """Nothing to release: the log belongs to whoever opened it."""

    def _item(self, entry: LogEntry) -> Item:
        try:
            item = self._decode(entry.body)
        except InputError as error:
            return Rejected(error.reason, str(error), entry.body[:KEPT_BYTES])
        return completed((item,), self._log.partition, entry.offset, entry.time)[0]
