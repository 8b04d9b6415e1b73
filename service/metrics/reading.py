"""What is asked for at each scrape: cheaply, of whoever leads alone where it belongs to the installation, and never in vain twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from service.errors import DriftgateError
from service.metrics.declared import Declaration, Kind, Role

Point: TypeAlias = tuple[Declaration, tuple[str, ...], float]
"""A metric, the values of its labels in order, and its value."""

Points: TypeAlias = Callable[[], Iterable[Point]]

SPARING = 20.0
"""An answer stands for so many times as long as it took: scrapes take a twentieth of a core at most."""

log = structlog.get_logger()


@dataclass(slots=True)
class Reading:
    """What can be asked for several metrics, and its last answer."""

    declarations: tuple[Declaration, ...]
    points: Points
    clock: Callable[[], float]
    _answer: list[Point] = field(default_factory=list)
    _until: float = float("-inf")

    @property
    def shared(self) -> bool:
        """Whether it is the leader's to tell."""
        return any(Role.LEADER in each.role for each in self.declarations)

    def answer(self) -> list[Point]:
        """A new one, unless the last one was dear and is young."""
        began = self.clock()
        if began >= self._until:
            self._answer = list(self.points())
            ended = self.clock()
            self._until = ended + SPARING * (ended - began)
        return self._answer

    def forget(self) -> None:
        """Who leads again asks anew."""
        self._answer, self._until = [], float("-inf")


class Readings(Collector):
    """All that is read. A store that does not answer takes the installation's figures away, and leaves those of the process."""

    def __init__(self, monitors: Callable[[], Iterable[str]], *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._monitors = monitors
        self._clock = clock
        self._own: list[Reading] = []
        self._shared: list[Reading] = []
        self.leads: Callable[[], bool] = lambda: True

    def add(self, points: Points, declarations: Sequence[Declaration]) -> None:
        """From now on these are asked for."""
        reading = Reading(tuple(declarations), points, self._clock)
        (self._shared if reading.shared else self._own).append(reading)

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering asks for nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        for reading in self._own:
            yield from self._families(reading, reading.answer())
        if not self.leads():
            for reading in self._shared:
                reading.forget()
            return
        for reading in self._shared:
            try:
                answer = reading.answer()
            except DriftgateError as error:  # the others would wait for the same store
                log.warning("metrics of the installation not read", reason=str(error))
                return
            yield from self._families(reading, answer)

    def _families(self, reading: Reading, answer: Sequence[Point]) -> Iterator[Metric]:
        found: dict[str, dict[tuple[str, ...], float]] = {
            each.name: dict.fromkeys(each.first(self._monitors()), 0.0) if each.known else {} for each in reading.declarations
        }
        for declaration, labels, value in answer:
            found[declaration.name][labels] = value
        for declaration in reading.declarations:
            if found[declaration.name]:
                yield _family(declaration, found[declaration.name])


def _family(declaration: Declaration, values: dict[tuple[str, ...], float]) -> Metric:
    make = CounterMetricFamily if declaration.kind is Kind.COUNTER else GaugeMetricFamily
    family = make(declaration.name, declaration.meaning, labels=declaration.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
