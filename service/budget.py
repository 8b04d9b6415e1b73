"""The budget of false alarms: how it is shared among streams, when it is shared anew, and what has been spent of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from service.records import Event

ALLOCATION = "allocation"
"""Kind of the event that retunes a monitor's streams."""

DAY = 86_400.0
WEEK = 7 * DAY
_MONDAY = 4 * DAY
"""The first Monday, in seconds since the epoch."""

KNOWN_SECONDS = 6 * 3_600.0
"""Log time over which a monitor's traffic must have been seen before it takes a share."""

MOST_WEEKS = 60
_LEAST_TRAFFIC = 1e-3
"""Share of the busiest stream's traffic that every stream is taken to have at least: one that is silent now may wake."""
_LEAST_RUN_LENGTH, _MOST_RUN_LENGTH = 500.0, 1e10


@dataclass(frozen=True, slots=True)
class Demand:
    """A stream that asks for a share."""

    monitor: str
    segment: str
    rate: float
    """Samples a second."""
    importance: float = 1.0
    supported: float = math.inf
    """Longest run length that its reference holds to."""
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """What a stream may cost: `share` of the budget, 0 outside of it; and the run length in samples that this comes to."""

    demand: Demand
    share: float
    run_length: float


def allocate(demands: Sequence[Demand], per_second: float) -> list[Share]:
    """Splits a budget of false alarms a second by traffic × importance, so that a sample of any stream risks a false alarm alike.

    The shares of those inside sum to one. A stream is outside when it runs in shadow, or when its reference can't support the run
    length that taking part would ask of it; it gets the run length that it would have inside.
    """
    least = _least(demands)
    weights = [max(demand.rate, least) * demand.importance for demand in demands]
    inside = _inside(demands, weights, per_second)
    total = sum(weights[at] for at in inside)
    shares = []
    for at, demand in enumerate(demands):
        together = total if at in inside else total + weights[at]
        run_length = min(max(together / (per_second * demand.importance), _LEAST_RUN_LENGTH), _MOST_RUN_LENGTH)
        shares.append(Share(demand, weights[at] / total if at in inside else 0.0, run_length))
    return shares


def _inside(demands: Sequence[Demand], weights: Sequence[float], per_second: float) -> set[int]:
    """Which of them the budget is for. The best supported come first: whoever fits beside them stays, and asks no more of them than
    of itself."""
    inside: set[int] = set()
    total = 0.0
    for at in sorted(range(len(demands)), key=lambda at: -demands[at].supported * demands[at].importance):
        demand, together = demands[at], total + weights[at]
        if weights[at] > 0 and not demand.shadow and demand.supported >= together / (per_second * demand.importance):
            inside.add(at)
            total = together
    return inside


def _least(demands: Iterable[Demand]) -> float:
    """Samples a second that every stream is taken to have."""
    return _LEAST_TRAFFIC * max((demand.rate for demand in demands), default=0.0)


# --- allocations ------------------------------------------------------------------------------------------------------


class Due(StrEnum):
    """Why the budget is shared anew."""

    FIRST = "the traffic is known"
    STREAMS = "streams came or went"
    INSIDE = "other streams have references for a share"
    TRAFFIC = "traffic changed more than twofold"
    BUDGET = "the budget or an importance changed"
    UNFINISHED = "the last allocation did not reach every monitor"


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one allocation says about a monitor, by segment; `round` is the same for all monitors that were allocated together."""

    round: str
    time: float
    reason: str
    run_lengths: Mapping[str, float]
    rates: Mapping[str, float]
    shares: Mapping[str, float]
    streams: int
    """How many streams, of all monitors, the round allocated."""
    terms: str
    """Budget, importances and mode that it was made under."""

    @classmethod
    def of(cls, event: Event) -> Allocation:
        """What an event of the kind `allocation` holds."""
        return cls(time=event.time, **event.body)

    def body(self) -> dict[str, Any]:
        """For the event; its time is the event's."""
        return {
            "round": self.round,
            "reason": self.reason,
            "run_lengths": dict(self.run_lengths),
            "rates": dict(self.rates),
            "shares": dict(self.shares),
            "streams": self.streams,
            "terms": self.terms,
        }


def due(standing: Mapping[str, Allocation | None], shares: Sequence[Share], terms: Mapping[str, str], now: float) -> Due | None:
    """Whether the monitors' streams need a new allocation: a named reason, None while all is well.

    At most once a day, but for streams that the last round knew nothing of. standing : the last allocation of each monitor that demands
    anything; shares : what an allocation would give now; terms : what each monitor's would be made under now.
    """
    given = [allocation for allocation in standing.values() if allocation is not None]
    if not given:
        return Due.FIRST if shares else None
    newest = max(given, key=lambda allocation: allocation.time)
    if newest.streams < len(shares):
        return Due.STREAMS
    if now - newest.time < DAY:
        return None
    if len({allocation.round for allocation in given}) > 1:
        return Due.UNFINISHED
    if any(allocation is not None and allocation.terms != terms[monitor] for monitor, allocation in standing.items()):
        return Due.BUDGET
    return Due.STREAMS if newest.streams != len(shares) else _moved(standing, shares)


def _moved(standing: Mapping[str, Allocation | None], shares: Sequence[Share]) -> Due | None:
    """What has changed in the streams since the last allocation."""
    given = {
        (monitor, segment): (each.rates[segment], each.shares[segment])
        for monitor, each in standing.items()
        if each
        for segment in each.rates
    }
    asked = {(share.demand.monitor, share.demand.segment): share for share in shares}
    if set(given) != set(asked):
        return Due.STREAMS
    if any((given[stream][1] > 0) != (share.share > 0) for stream, share in asked.items()):
        return Due.INSIDE
    least = _least(share.demand for share in shares)
    return Due.TRAFFIC if any(_twofold(given[stream][0], share.demand.rate, least) for stream, share in asked.items()) else None


def _twofold(before: float, now: float, least: float) -> bool:
    """Streams that hardly have traffic change all the time, and it matters to nobody."""
    low, high = sorted((max(before, least), max(now, least)))
    return high > 2 * low


# --- what is spent ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Exposure:
    """What a monitor's active streams could have cost: log time watched, samples, and the false alarms allowed for them."""

    seconds: float = 0.0
    samples: int = 0
    allowed: float = 0.0


@dataclass(slots=True)
class Exposures:
    """By week of log time, Monday to Sunday in UTC; the newest 60 are kept."""

    weeks: dict[int, Exposure] = field(default_factory=dict)

    def add(self, time: float, *, seconds: float = 0.0, samples: int = 0, allowed: float = 0.0) -> None:
        """Adds what was watched up to a log time."""
        week = week_of(time)
        spent = self.weeks.setdefault(week, Exposure())
        spent.seconds, spent.samples, spent.allowed = spent.seconds + seconds, spent.samples + samples, spent.allowed + allowed
        if len(self.weeks) > MOST_WEEKS:
            del self.weeks[min(self.weeks)]


def week_of(time: float) -> int:
    """The number of the week that a time falls into."""
    return int((time - _MONDAY) // WEEK)


def week_start(week: int) -> float:
    """The Monday, 00:00 UTC, that a week begins with."""
    return week * WEEK + _MONDAY
