"""What happens in the roles, counted: the observer that Prometheus hears of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ParamSpec, TypeVar

from prometheus_client import CollectorRegistry

from service.alarms import Reason
from service.label_checks.events import CHECKED
from service.metrics import inventory as the
from service.metrics.declared import Role
from service.metrics.meters import UNKNOWN, Meters
from service.records import Alarm, Event, Pane, Partition, Record

P = ParamSpec("P")
T = TypeVar("T")


class Clocked:
    """The time that many small calls take together."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._spent = 0.0

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """The function, timed."""

        def timed(*args: P.args, **kwargs: P.kwargs) -> T:
            began = self._clock()
            try:
                return function(*args, **kwargs)
            finally:
                self._spent += self._clock() - began

        return timed

    def take(self) -> float:
        """Seconds since this was asked for last."""
        spent, self._spent = self._spent, 0.0
        return spent


class Metrics(Meters):
    """The observer of every role."""

    def __init__(
        self,
        registry: CollectorRegistry,
        monitors: Iterable[str],
        *,
        version: str,
        role: Role = Role.ALL,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(registry, monitors, role)
        self._embedders: dict[str, str] = {}
        self._last_panes: dict[str, float] = {}
        self._silent: dict[str, float] = {}
        self.decoding = Clocked()
        self.reached: dict[Partition, float] = {}
        """Log time of the last record that was taken of each partition."""
        self.decisions: list[Callable[[str], None]] = []
        """Told of each monitor that was decided."""
        self.steps: list[Callable[[Alarm], None]] = []
        """Told of each step of an alarm."""
        self._show_own(version, clock())

    def forget(self, monitor: str) -> None:
        """Its own series end, too."""
        self._embedders.pop(monitor, None)
        self._last_panes.pop(monitor, None)
        self._silent.pop(monitor, None)

    def lead_lost(self) -> None:
        """Another process looks now."""
        self._silent.clear()

    # --- ingest and truth that comes late -------------------------------------------------------------------------------

    def received(self, monitor: str, samples: int) -> None:
        self.count(the.RECEIVED, monitor, by=samples)

    def rejected(self, monitor: str, reason: str) -> None:
        self.count(the.REJECTED, monitor, reason)

    def labels(self, monitor: str, fates: Mapping[str, int], delays: Sequence[float]) -> None:
        for fate, count in fates.items():
            self.count(the.LABELS, monitor, fate, by=count)
        for delay in delays:
            self.count(the.LABEL_DELAY, monitor, by=delay)

    def requested(self, route: str, status: int, seconds: float) -> None:
        """A request was answered, by the template of its route; '' where it has none."""
        route = route or UNKNOWN
        self.count(the.REQUESTS, route, f"{status // 100}xx")
        self.count(the.REQUEST_SECONDS, route, by=seconds)

    def serves(self, routes: Iterable[str]) -> None:
        """The routes that there are: each begins at 0."""
        for route in routes:
            for status in the.STATUSES:
                self.count(the.REQUESTS, route, status, by=0.0)

    # --- workers --------------------------------------------------------------------------------------------------------

    def batch(self, records: Sequence[Record]) -> None:
        self.count(the.BATCH, by=len(records))
        for record in records:
            self.reached[record.partition] = record.time
        self.stage("decode", self.decoding.take())

    def stage(self, stage: str, seconds: float) -> None:
        self.count(the.STAGE_SECONDS, stage, by=seconds)

    def samples(self, monitor: str, taken: int, duplicates: int) -> None:
        self.count(the.TAKEN, monitor, by=taken)
        self.count(the.DUPLICATES, monitor, by=duplicates)

    def dead_letter(self, monitor: str | None, reason: str) -> None:
        self.count(the.DEAD_LETTERS, monitor or "", reason)

    def embedded(self, monitor: str, samples: int, seconds: float) -> None:
        self.count(the.EMBEDDED_SAMPLES, monitor, by=samples)
        self.count(the.EMBED_SECONDS, monitor, by=seconds)

    def embedding_failed(self, monitor: str) -> None:
        self.count(the.EMBED_ERRORS, monitor)

    def unanswered(self, monitor: str, reason: str, samples: int) -> None:
        self.count(the.UNANSWERED, monitor, reason, by=samples)

    def committed(self, closed: Sequence[Pane], seconds: float) -> None:
        self.stage("commit", seconds)
        for pane in closed:
            self.count(the.PANES, pane.key.monitor)
            self._last_panes[pane.key.monitor] = pane.last_time

    def embedder(self, monitor: str, fingerprint: str) -> None:
        """Names the embedder that the monitor uses from now on."""
        self._embedders[monitor] = fingerprint[:12]

    # --- controllers ----------------------------------------------------------------------------------------------------

    def decided(self, monitor: str, *, seconds: float, crossings: int = 0) -> None:
        self.stage("decide", seconds)
        self.count(the.CROSSINGS, monitor, by=crossings)
        for told in self.decisions:
            told(monitor)

    def alarm(self, alarm: Alarm) -> None:
        self.count(the.ALARM_STEPS, alarm.monitor, alarm.state.value, Reason(alarm.history[-1].reason).name.lower())
        for told in self.steps:
            told(alarm)

    def silent(self, monitor: str, seconds: float) -> None:
        self._silent[monitor] = seconds

    def delivery(self, kind: str, outcome: str, seconds: float = 0.0) -> None:
        self.count(the.DELIVERIES, kind, outcome)
        self.stage("deliver", seconds)

    def stored(self, operation: str, seconds: float, *, failed: bool) -> None:
        self.count(the.STORE_SECONDS, operation, by=seconds)
        if failed:
            self.count(the.STORE_ERRORS, operation)

    def recorded(self, event: Event) -> None:
        """An event went into a monitor's log: what the label checks found is counted by it."""
        if event.kind != CHECKED:
            return
        body, monitor = event.body, event.monitor
        for declaration, field in ((the.ANSWERS, "answers"), (the.DOUBTFUL, "wrong"), (the.ASKED_AGAIN, "asked_again")):
            self.count(declaration, monitor, by=float(body[field]))
        for outcome, rows in body.get("gold", {}).items():
            self.count(the.GOLD, monitor, outcome, by=rows)
        for purpose, outcomes in body.get("outcomes", {}).items():
            for outcome, rows in outcomes.items():
                self.count(the.CANDIDATES, monitor, outcome, by=rows)
                self.count(the.PURPOSES, purpose, outcome, by=rows)

    def _show_own(self, version: str, started: float) -> None:
        self.shows(the.BUILD, lambda: {(version,): 1.0})
        self.shows(the.STARTED, lambda: {(): started})
        self.shows(the.EMBEDDER, lambda: dict.fromkeys(self._embedders.copy().items(), 1.0))
        self.shows(the.LAST_PANE, lambda: _by_monitor(self._last_panes))
        self.shows(the.SILENT, lambda: _by_monitor(self._silent))


def _by_monitor(values: Mapping[str, float]) -> Mapping[tuple[str, ...], float]:
    return {(monitor,): value for monitor, value in dict(values).items()}
