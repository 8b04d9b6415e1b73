"""How monitors stand, as their last decisions say: read again only where something was decided, so that a scrape costs what has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from service.declarations import Declared
from service.metrics import inventory as the
from service.metrics.declared import Declaration
from service.metrics.reading import Point
from service.ports import Store
from service.records import WHOLE, Regime
from service.settings import BudgetSettings

MAX_SEGMENTS = 20
"""With more segments than that, none of a monitor's has series of its own: `/v1/monitors/{monitor}` has them all."""

Status = Mapping[str, Any]


class Statuses:
    """Of whoever leads: the store's documents, kept from scrape to scrape. Another term of leading begins anew."""

    def __init__(
        self,
        store: Store,
        declared: Callable[[], Mapping[str, Declared]],
        budget: Callable[[], BudgetSettings],
        *,
        term: Callable[[], object],
        clock: Callable[[], float],
        overflow: Callable[[int], object] = lambda _: None,
    ) -> None:
        """term: changes with whoever leads. overflow: told of segments that get no series."""
        self._store = store
        self._declared = declared
        self._budget = budget
        self._term = term
        self._clock = clock
        self._overflow = overflow
        self._known: dict[str, Status] = {}
        self._stale: set[str] = set()
        self._left_out: dict[str, int] = {}
        self._read_in: object = None

    def decided(self, monitor: str) -> None:
        """Something new stands in the store."""
        self._stale.add(monitor)

    def points(self) -> Iterator[Point]:
        """Of every monitor whose reference in force has decided."""
        declared = self._declared()
        self._renew(declared)
        now, budget = self._clock(), self._budget()
        for monitor, status in self._known.items():
            if status and status.get("reference_version") == declared[monitor].reference:
                yield from told(monitor, status, now=now, per_second=budget.per_second)

    def _renew(self, declared: Mapping[str, Declared]) -> None:
        term = self._term()
        if term != self._read_in:
            self._known.clear()
            self._read_in = term
        stale, self._stale = self._stale, set()
        for gone in self._known.keys() - declared.keys():
            del self._known[gone]
        try:
            for monitor in declared:
                if monitor in stale or monitor not in self._known:
                    status = self._store.status(monitor)
                    self._known[monitor] = _lean(status)
                    self._leave_out(monitor, len(status.get("streams", ())) - len(self._known[monitor].get("streams", ())))
        except BaseException:
            self._stale |= stale
            raise

    def _leave_out(self, monitor: str, segments: int) -> None:
        more = segments - self._left_out.get(monitor, 0)
        if more > 0:
            self._overflow(more)
            self._left_out[monitor] = segments


def told(monitor: str, status: Status, *, now: float, per_second: float) -> Iterator[Point]:
    """What a status says. per_second: false alarms a second that the whole installation may raise."""
    own, feed, streams = (monitor,), status.get("feed") or {}, status.get("streams", ())
    yield the.LAST_DECISION, own, status["last_time"]
    yield the.LOSS, own, feed.get("lost_share", 0.0)
    yield the.BLIND, own, float(feed.get("blind", False))
    yield from _bounds((the.ERRORS, the.ERRORS_LOW, the.ERRORS_HIGH), own, (status.get("truth") or {}).get("error_rate"))
    until = (status.get("maintenance") or {}).get("until")
    yield the.MAINTENANCE, own, float(until is not None and until > now)
    for stream in streams:
        yield from _stream(monitor, stream)
    known = [stream for stream in streams if stream["regime"] == Regime.ACTIVE and stream["traffic_per_second"]]
    if known:
        reserved = sum(stream["traffic_per_second"] / stream["run_length"] for stream in known)
        yield the.BUDGET_RESERVED, own, reserved / per_second


DECLARED: tuple[Declaration, ...] = (
    *(the.LAST_DECISION, the.LOSS, the.BLIND, the.MAINTENANCE, the.EVIDENCE, the.THRESHOLD, the.EFFECT, the.EFFECT_LOW, the.EFFECT_HIGH),
    *(the.NOVEL, the.ACCURACY, the.ACCURACY_LOW, the.ACCURACY_HIGH, the.ERRORS, the.ERRORS_LOW, the.ERRORS_HIGH, the.BUDGET_RESERVED),
)
"""What `told` tells of."""


def _lean(status: Status) -> Status:
    """Without the streams that get no series."""
    streams = status.get("streams", ())
    if len(streams) <= MAX_SEGMENTS + 1:
        return status
    return {**status, "streams": [stream for stream in streams if stream["segment"] == WHOLE]}


def _stream(monitor: str, stream: Status) -> Iterator[Point]:
    """A status that an earlier driftgate wrote does not say which family its stream is of."""
    family = stream.get("family", "")
    of = (monitor, stream["segment"], family)
    yield the.EVIDENCE, of, stream["evidence"]
    yield the.THRESHOLD, of, stream["threshold"]
    if stream["segment"] != WHOLE:
        return
    yield from _bounds((the.EFFECT, the.EFFECT_LOW, the.EFFECT_HIGH), (monitor, family), stream["effect"])
    if stream["novel_share"] is not None:
        yield the.NOVEL, (monitor,), stream["novel_share"]["estimate"]
    if stream["accuracy"] is not None:
        yield from _bounds((the.ACCURACY, the.ACCURACY_LOW, the.ACCURACY_HIGH), (monitor,), stream["accuracy"]["window"])


def _bounds(
    declarations: tuple[Declaration, Declaration, Declaration], labels: tuple[str, ...], measured: Status | None
) -> Iterator[Point]:
    """An estimate with its interval; what is not a number is not known."""
    if measured is not None:
        for declaration, bound in zip(declarations, ("estimate", "low", "high"), strict=True):
            if measured[bound] is not None:
                yield declaration, labels, measured[bound]
