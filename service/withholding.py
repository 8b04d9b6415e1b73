"""What a worker must not keep of what it took: samples that were forgotten meanwhile, and payloads where none may be stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from service.decoding.envelope import encode
from service.records import KEPT_BYTES, Original, Pooled, Reservation, Response, Sample, Waiting
from service.redaction import passed_original
from service.watched import WatchedMonitor


@dataclass(frozen=True, slots=True)
class Withholding:
    """By a worker's monitors, and by what it must refuse: (monitor, sample) → whether it was forgotten."""

    monitors: Mapping[str, WatchedMonitor]
    refuses: Callable[[str, str], bool]

    def pooled(self, rows: Iterable[Pooled]) -> tuple[Pooled, ...]:
        """Of rows on their way into pools."""
        return tuple(row for row in rows if not self.refuses(row.monitor, row.id))

    def reserved(self, reservations: Iterable[Reservation]) -> tuple[Reservation, ...]:
        """Of rows on their way into reserves."""
        return tuple(
            replace(each, rows=tuple(row for row in each.rows if not self.refuses(each.monitor, row.row.id))) for each in reservations
        )

    def waiting(self, samples: Iterable[Waiting]) -> tuple[Waiting, ...]:
        """Of samples that wait for a response: where payloads must not be stored, the embedding is what outlives a change of workers."""
        return tuple(
            each if self._keeps(each.sample.monitor) else replace(each, sample=replace(each.sample, payload=""))
            for each in samples
            if not self.refuses(each.sample.monitor, each.sample.id)
        )

    def content(self, item: Sample | Response) -> bytes:
        """What a dead letter holds of something that was decoded."""
        forgotten = isinstance(item, Sample) and self.refuses(item.monitor, item.id)
        return b"" if forgotten or not self._keeps(item.monitor) else encode(item)[:KEPT_BYTES]

    def record(self, original: Original | None, monitor: str | None) -> Original | None:
        """The record behind a dead letter."""
        return original and passed_original(original, monitor, {name: known.redaction for name, known in self.monitors.items()})

    def _keeps(self, monitor: str) -> bool:
        """Whether payloads may be stored; of a monitor that nobody knows, whether those of all may."""
        known = self.monitors.get(monitor)
        return known.redaction.keeps if known else all(each.redaction.keeps for each in self.monitors.values())
