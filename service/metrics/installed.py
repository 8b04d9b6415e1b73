"""What the store holds besides monitors' figures and alarms: cycles, batches, what has yet to leave, how far partitions are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import Protocol

from service.cycles.due import Due, Freshness
from service.cycles.standing import PEOPLE, Standing
from service.metrics import inventory as the
from service.metrics.reading import Point
from service.pages import paged
from service.ports import Store
from service.records import AnnotationBatch, OutboxItem, Partition, RefreshCycle

MAX_ITEMS = 20_000
"""Of the outbox, and in each state, that one scrape counts; a queue that is longer reads as this."""
_PAGE = 1_000

_WAITING = ("pending", "dead")


def entities(store: Store, monitors: Callable[[], Iterable[str]]) -> Iterator[Point]:
    """How many cycles and batches are in each state."""
    declared = frozenset(monitors())
    for declaration, kind in ((the.CYCLES, RefreshCycle), (the.BATCHES, AnnotationBatch)):
        for labels, count in store.tally(kind).items():
            if labels[0] in declared:
                yield declaration, labels, float(count)


def outbox(store: Store, *, now: float) -> Iterator[Point]:
    """What has not left, by kind. What a silence holds back waits for no destination: it counts, and does not age."""
    counts, oldest = Counter[tuple[str, str]](), dict[tuple[str, str], float]()
    for item in chain.from_iterable(islice(_in_state(store, state), MAX_ITEMS) for state in _WAITING):
        labels = item.kind, item.state
        counts[labels] += 1
        if not item.held:
            oldest[labels] = min(oldest.get(labels, now), item.created)
    for labels, count in counts.items():
        yield the.OUTBOX, labels, float(count)
    for labels, created in oldest.items():
        yield the.OUTBOX_AGE, labels, now - created


def _in_state(store: Store, state: str) -> Iterator[OutboxItem]:
    """All of them: those that wait longest come last. One that leaves meanwhile ends no list, for it is looked up in every state."""
    return paged(partial(store.outbox, states=[state]), _PAGE)


def positions(store: Store) -> Iterator[Point]:
    """By topic: what the log let go of unread, and what waits for a person."""
    lost, stopped = Counter[str](), Counter[str]()
    for position in store.positions():
        lost[position.partition.topic] += position.lost
        stopped[position.partition.topic] += bool(position.stopped and not position.retired)
    for topic in lost:
        yield the.LOST, (topic,), float(lost[topic])
        yield the.STOPPED, (topic,), float(stopped[topic])


def cycles(standings: Iterable[Standing], *, now: float) -> Iterator[Point]:
    """Of the cycle that each monitor has open: where it is, for how long, and whether it is stuck."""
    for each in standings:
        of = each.cycle.monitor, each.cycle.state.value
        yield the.CYCLE_STATE, of, 1.0
        yield the.CYCLE_AGE, of, max(0.0, now - each.since)
        yield the.CYCLE_STUCK, of, float(each.stuck(now))
        yield the.APPROVAL, of[:1], float(each.awaited in PEOPLE)


class Occasions(Protocol):
    """What was found at the last look at the clock."""

    @property
    def found(self) -> Mapping[str, Sequence[Due]]:
        """Due, and not opened, by monitor."""

    @property
    def freshness(self) -> Mapping[str, Freshness]:
        """Of the test set, by monitor."""


def occasional(occasions: Occasions) -> Iterator[Point]:
    """What whoever leads has found at its last look."""
    for monitor, found in dict(occasions.found).items():
        for each in found[:1]:
            yield the.DUE, (monitor, each.trigger.value), 1.0
    for monitor, measured in dict(occasions.freshness).items():
        if math.isfinite(measured.share):
            yield the.FRESHNESS, (monitor,), measured.share


def lag(records: Mapping[Partition, int], reached: Mapping[Partition, float], *, now: float) -> Iterator[Point]:
    """How far a worker is behind, by topic: in records, and in seconds where it has taken any."""
    behind = Counter[str]()
    for partition, count in records.items():
        behind[partition.topic] += count
    for topic, count in behind.items():
        yield the.LAG, (topic,), float(count)
        waits = [reached[each] for each, records in records.items() if each.topic == topic and records and each in reached]
        yield the.LAG_SECONDS, (topic,), max((now - time for time in waits), default=0.0)
