"""Requests that wait for their responses: bounded, committed with the offset, driven by the log's time alone."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import TypeAlias

from service.records import Waiting

WAITING = 10_000
"""How many samples of a partition may wait; beyond it the first to time out goes early."""

Key: TypeAlias = tuple[str, int]


def event_key(monitor: str, event_id: str) -> str:
    """One event may be routed to several monitors, each of which joins it by itself."""
    return f"{monitor}/{event_id}"


class Join:
    """The samples of one partition that wait. "First" is always by (expiry, event, index), so a restart changes nothing."""

    def __init__(self, waiting: Iterable[Waiting] = (), *, bound: int = WAITING) -> None:
        self._events: dict[str, dict[int, Waiting]] = {}
        self._queue: list[tuple[float, str, int]] = []
        self._bound = bound
        self._count = 0
        self._monitors: Counter[str] = Counter()
        self._stored: set[Key] = set()
        self._added: dict[Key, Waiting] = {}
        self._done: dict[Key, None] = {}
        for sample in waiting:
            self._insert(sample)
            self._stored.add((sample.event_id, sample.index))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Waiting]:
        for event in self._events.values():
            yield from event.values()

    @property
    def monitors(self) -> Collection[str]:
        """Of whose samples some wait."""
        return self._monitors.keys()

    def wait(self, sample: Waiting) -> Waiting | None:
        """Keeps a sample. Gives back the one that had to go for it: the same key's older one, or the first where the buffer is full."""
        displaced = self._events.get(sample.event_id, {}).get(sample.index)
        if displaced is None and self._count >= self._bound:
            displaced = self._first()
        if displaced is not None:
            self.remove(displaced)
        self._insert(sample)
        self._added[sample.event_id, sample.index] = sample
        return displaced

    def answer(self, event_id: str) -> list[Waiting]:
        """Gives back what waited for this event, in order of instance; empty if nothing did."""
        return self._removed(sorted(self._events.get(event_id, {}).values(), key=lambda sample: sample.index))

    def expired(self, time: float) -> list[Waiting]:
        """Gives back what the log's time has passed, first to expire first."""
        expired = []
        while (first := self._first()) is not None and first.expires < time:
            self.remove(first)
            expired.append(first)
        return expired

    def drain(self, monitor: str | None = None) -> list[Waiting]:
        """Gives back one monitor's waiting samples, or all of them."""
        return self._removed([sample for sample in self if monitor is None or sample.sample.monitor == monitor])

    def remove(self, sample: Waiting) -> None:
        """Takes one sample out."""
        key = (sample.event_id, sample.index)
        event = self._events[sample.event_id]
        del event[sample.index]
        if not event:
            del self._events[sample.event_id]
        self._count -= 1
        self._monitors[sample.sample.monitor] -= 1
        if not self._monitors[sample.sample.monitor]:
            del self._monitors[sample.sample.monitor]
        self._added.pop(key, None)
        if key in self._stored:
            self._done[key] = None

    def changes(self) -> tuple[tuple[Waiting, ...], tuple[Key, ...]]:
        """What the store has yet to learn since the last call: samples that wait now, keys that are done."""
        added, done = self._added, [key for key in self._done if key not in self._added]
        self._stored.difference_update(done)
        self._stored.update(added)
        self._added, self._done = {}, {}
        return tuple(added.values()), tuple(done)

    def _removed(self, samples: list[Waiting]) -> list[Waiting]:
        for sample in samples:
            self.remove(sample)
        return samples

    def _insert(self, sample: Waiting) -> None:
        self._events.setdefault(sample.event_id, {})[sample.index] = sample
        self._count += 1
        self._monitors[sample.sample.monitor] += 1
        if len(self._queue) > 2 * self._count + 64:  # answered samples leave their entry behind
            self._queue = [(waiting.expires, waiting.event_id, waiting.index) for waiting in self]
            heapq.heapify(self._queue)
        else:
            heapq.heappush(self._queue, (sample.expires, sample.event_id, sample.index))

    def _first(self) -> Waiting | None:
        """The first to expire; entries of samples that are gone are dropped on the way."""
        while self._queue:
            expires, event_id, index = self._queue[0]
            sample = self._events.get(event_id, {}).get(index)
            if sample is not None and sample.expires == expires:
                return sample
            heapq.heappop(self._queue)
        return None
