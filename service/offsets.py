"""Where partitions are read on, as people see it and say it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from service.decoding.sample_json import time_of
from service.errors import ConflictError, InputError, NotFoundError, UnavailableError
from service.ledger import OFFSETS
from service.ports import Bounds, Store, Topics
from service.records import Event, Partition, Position, stable_id
from service.settings import KafkaSettings, MonitorSettings

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Place:
    """How far a partition is read, and how far it goes; `end` is None where nobody knows."""

    position: Position
    end: int | None
    absent: str = ""
    """`gone` where another topic has the name now, `not found` where none has that may be seen."""

    @property
    def lag(self) -> int | None:
        """Records that are not yet in the store."""
        return None if self.end is None else max(self.end - self.position.offset, 0)


def readers(monitors: Iterable[MonitorSettings], kafka: KafkaSettings | None) -> Callable[[str], Sequence[str]]:
    """Which monitors read a topic: those that name it; all of them read what came over HTTP."""
    named = [(monitor.name, monitor.topic.name if monitor.topic else None) for monitor in monitors]

    def of(topic: str) -> Sequence[str]:
        shared = kafka is None or topic == kafka.ingest_topic
        return [name for name, own in named if shared or own == topic]

    return of


class Offsets:
    """`topics` is None on the embedded log, whose bounds nobody need ask. `readers` tells the monitors that read a topic."""

    def __init__(self, store: Store, topics: Topics | None, readers: Callable[[str], Sequence[str]]) -> None:
        self._store = store
        self._topics = topics
        self._readers = readers
        self.silent = ""
        """Why the brokers gave no ends; they are asked until one question finds nobody."""

    def shown(self) -> Sequence[Place]:
        """Every partition that was ever read, by topic and number."""
        return [self._place(position) for position in self._store.positions()]

    def topics(self) -> Sequence[str]:
        """Those that are read, by name."""
        return sorted({position.partition.topic for position in self._store.positions() if not position.retired})

    def reset(self, topic: str, number: int, to: str, *, actor: str, now: float) -> Position:
        """Reads on at `to` (`earliest`, `latest`, an offset or a time); kept in the log of every monitor that reads the topic."""
        monitors = self._readers(topic)
        if not monitors:
            raise NotFoundError(f"no monitor reads topic {topic!r:.80}")
        partition = self._find(topic, number)
        offset = self._offset(partition, to)
        before = self._position(partition)
        body = {"partition": str(partition), "from": None if before is None else before.offset, "to": offset, "asked": to}
        self._store.reset(
            partition,
            offset,
            [
                Event(stable_id(OFFSETS, monitor, partition, now), monitor, OFFSETS, now, actor, str(partition), body)
                for monitor in monitors
            ],
        )
        found = self._position(partition)
        if found is None:
            raise ConflictError(f"partition {partition} was taken back meanwhile; look at it again")
        return found

    def _place(self, position: Position) -> Place:
        if self._topics is None or position.retired or self.silent:
            return Place(position, None)
        try:
            known = self._topics.find(position.partition.topic, position.partition.number)
            end = self._topics.bounds(known).end if known == position.partition else None
        except NotFoundError:
            return Place(position, None, "not found")
        except UnavailableError as error:
            self.silent = str(error)
            return Place(position, None)
        return Place(position, end, "gone" if end is None else "")

    def _find(self, topic: str, number: int) -> Partition:
        if self._topics is not None:
            return self._topics.find(topic, number)
        known = [position.partition for position in self._store.positions() if not position.retired]
        for partition in known:
            if (partition.topic, partition.number) == (topic, number):
                return partition
        raise NotFoundError(f"partition {number} of {topic!r:.80} was never read; there are: {', '.join(map(str, known)) or 'none'}")

    def _position(self, partition: Partition) -> Position | None:
        return next((position for position in self._store.positions() if position.partition == partition), None)

    def _offset(self, partition: Partition, to: str) -> int:
        if to.isascii() and to.isdigit():
            return self._within(partition, int(to))
        if self._topics is None:
            raise InputError("offset", f"--to {to!r:.60}: the embedded log takes an offset; `driftgate offsets show` has the present one")
        bounds = self._topics.bounds(partition)
        if to in {"earliest", "latest"}:
            return bounds.first if to == "earliest" else bounds.end
        if not _DATE.match(to):
            raise InputError("offset", f"--to {to!r:.60}: expected `earliest`, `latest`, an offset or a time like 2026-03-01T12:00:00Z")
        return self._topics.at(partition, time_of(to, math.nan, now=0.0, max_ahead=None))

    def _within(self, partition: Partition, offset: int) -> int:
        bounds = Bounds() if self._topics is None else self._topics.bounds(partition)
        if not bounds.first <= offset <= bounds.end:
            raise InputError(
                "offset", f"--to {offset}: the log holds offsets {bounds.first} to {bounds.end} of {partition}; choose one of them"
            )
        return offset
