"""From a topic's record to an entry of a partition, with the items that the decoder found in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from service.decoding.completing import completed
from service.records import KEPT_BYTES, Item, Original, Partition, Record, Rejected

Decode: TypeAlias = Callable[[str, Original], Sequence[Item]]
"""The items of a topic's record; it never raises."""


class Reading:
    """One decoder and one limit; immutable."""

    def __init__(self, decode: Decode, max_record_bytes: int) -> None:
        self._decode = decode
        self._max_record_bytes = max_record_bytes

    def record(self, partition: Partition, found: Any) -> Record:
        """`found` is the library's record."""
        seconds = max(found.timestamp, 0) / 1000
        headers = tuple((name, value or b"") for name, value in found.headers) if found.headers else ()
        original = Original(found.key, found.value, headers, seconds)
        items = completed(self._items(partition.topic, original), partition, found.offset, seconds)
        return Record(partition, found.offset, seconds, items, original)

    def _items(self, topic: str, original: Original) -> Sequence[Item]:
        value = original.value or b""
        if len(value) <= self._max_record_bytes:
            return self._decode(topic, original)
        message = f"a record of {len(value)} bytes; kafka.max_record_bytes takes {self._max_record_bytes}: send smaller ones or raise it"
        refused = Rejected("too_large", message, value[:KEPT_BYTES])
        return [
            replace(refused, monitor=name, index=i, original=b"" if i else refused.original) for i, name in enumerate(self._readers(topic))
        ]

    def _readers(self, topic: str) -> Sequence[str | None]:
        """Whoever loses a record of the topic; None where nobody can tell: as the decoder charges a record without a value."""
        refused = self._decode(topic, Original(None, None))
        return [item.monitor for item in refused if isinstance(item, Rejected)] or [None]
