"""What a cycle is about, fixed before anything is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.records import WHOLE, Alarm, Pooled, belongs


@dataclass(frozen=True, slots=True)
class Slice:
    """A stream from a moment on, under one reference version. `alarm`: the id of the one that told of it, '' without one."""

    monitor: str
    reference_version: int
    segment: str = WHOLE
    since: float = 0.0
    alarm: str = ""

    @classmethod
    def of(cls, alarm: Alarm) -> Slice:
        """The alarm's stream from its window on."""
        return cls(alarm.monitor, alarm.reference_version, alarm.segment, alarm.window_start, alarm.id)

    def holds(self, row: Pooled, segment_values: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether the row is of the slice's traffic."""
        return row.time >= self.since and self.could_hold(row, segment_values)

    def could_hold(self, row: Pooled, segment_values: Mapping[str, tuple[str, ...]]) -> bool:
        """The same, whenever it came: what the reserve kept of a rare mass may be older than the alarm's window."""
        return row.reference_version == self.reference_version and belongs(row.segments, self.segment, segment_values)
