"""Into the log: what has become known is told as counts, so that decisions stay a function of the log, and a replay decides the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from service.errors import ConflictError
from service.ports import Store
from service.records import WHOLE, Event, Judgement, stable_id
from service.truth.taking import rematch

TRUTH = "truth"
"""Kind of the event that tells how many of the labels that came were errors, stream by stream."""

MOST = 4_096
"""Labels that one event tells of."""

_BLOCKS = 16
"""Blocks that a stream's labels are told in: the order within one is not known to whoever reads the log."""

_LOOK, _PAUSE = 5.0, 60.0
"""Seconds between two looks, and between two events of a monitor: events stay for ever."""


def tell(store: Store, monitor: str, *, now: float) -> Event | None:
    """Writes what has become known into the monitor's log; returns the last event that it took, None where there was nothing to tell.

    A label that brought the answer with it may have overtaken its sample: the latest are matched first with what has come since.
    """
    told = None
    if store.untold(monitor, 1).judgements:
        rematch(store, monitor, store.judgements(monitor, limit=MOST))
    while (untold := store.untold(monitor, MOST)).judgements:
        body = {"until": untold.until, "versions": counted(untold.judgements)}
        event = Event(stable_id(TRUTH, monitor, untold.until), monitor, TRUTH, now, "driftgate", body=body)
        try:
            told = store.tell(event, after=untold.after, until=untold.until)
        except ConflictError:
            break  # somebody else is telling them
    return told


class Telling:
    """Tells what has become known of every monitor: at once, and from then on once a minute."""

    def __init__(self, store: Store, monitors: Callable[[], Iterable[str]]) -> None:
        self._store = store
        self._monitors = monitors
        self._looked = -math.inf
        self._told: dict[str, float] = {}

    def step(self, now: float) -> int:
        """A look at those whose time has come; returns of how many there was something to tell."""
        if now - self._looked < _LOOK:
            return 0
        self._looked, told = now, 0
        for monitor in self._monitors():
            if now - self._told.get(monitor, -math.inf) >= _PAUSE and tell(self._store, monitor, now=now):
                self._told[monitor] = now
                told += 1
        return told


def counted(judgements: Sequence[Judgement]) -> Mapping[str, Any]:
    """By reference version: each stream's labels, [how many, errors in each of up to 16 equal blocks], and what their delays were."""
    by_version: dict[int, list[Judgement]] = {}
    for judgement in judgements:
        by_version.setdefault(judgement.reference_version, []).append(judgement)
    return {str(version): {"streams": _streams(own), "delay": _delay(own)} for version, own in by_version.items()}


def blocks(told: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(labels, errors) of each block that `counted` made."""
    labels, *errors = told
    size = -(-labels // len(errors))
    for number, wrong in enumerate(errors):
        yield min(size, labels - number * size), wrong


def _streams(judgements: Iterable[Judgement]) -> Mapping[str, list[int]]:
    wrong: dict[str, list[bool]] = {}
    for judgement in judgements:
        for stream in (WHOLE, *judgement.streams):
            wrong.setdefault(stream, []).append(not judgement.right)
    return {stream: [len(own), *_sums(own)] for stream, own in sorted(wrong.items())}


def _sums(wrong: Sequence[bool]) -> Iterator[int]:
    size = -(-len(wrong) // _BLOCKS)
    for start in range(0, len(wrong), size):
        yield sum(wrong[start : start + size])


def _delay(judgements: Sequence[Judgement]) -> list[float]:
    """[median, 90 % quantile] of the seconds from a sample to its label."""
    delays = [max(judgement.told - judgement.time, 0.0) for judgement in judgements]
    return [round(float(value), 3) for value in np.quantile(delays, (0.5, 0.9))]
