"""What the ledger of alarms holds."""

from __future__ import annotations

from dataclasses import dataclass

from service.records.alarms import Measured


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: an alarm opened, a verdict, a resolution, a hold-back, an allocation, a step of a cycle, a batch or the label scheme."""

    time: float
    monitor: str
    what: str
    says: str
    segment: str = ""
    alarm: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """Alarms of active streams by verdict, beside the false alarms that were allowed for; `outside`: advisory and shadow ones."""

    start: float
    seconds: float = 0.0
    samples: int = 0
    allowed: float = 0.0
    true: int = 0
    false: int = 0
    seasonal: int = 0
    unjudged: int = 0
    outside: int = 0

    @property
    def alarms(self) -> int:
        """Those that count against the budget."""
        return self.true + self.false + self.seasonal + self.unjudged

    @property
    def precision(self) -> float | None:
        """Share of true ones among those called true or false; None before there is a verdict."""
        judged = self.true + self.false
        return self.true / judged if judged else None


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """The measured rate of false alarms per `days` days of log time, with its exact 95 % interval, and what was allowed for.

    `unjudged` alarms may turn out false: `at_most` is the upper bound if all of them do.
    """

    days: float
    covered_days: float
    judged_false: int
    unjudged: int
    measured: Measured | None
    at_most: float | None
    allowed: float | None

    @property
    def verdict(self) -> str:
        """What can be said about the budget: a named answer."""
        if self.measured is None or self.allowed is None or self.at_most is None:
            return "nothing measured yet"
        if self.measured.low > self.allowed:
            return "over the budget"
        return "within the budget" if self.at_most <= self.allowed else "no sign of more than the budget"


@dataclass(frozen=True, slots=True)
class Proposal:
    """After the verdict *seasonal*: when it comes round (UTC), and how to build a reference that knows it."""

    alarm: str
    monitor: str
    days: tuple[str, ...]
    hours: tuple[int, ...]
    since: float
    until: float
    command: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """Weeks and entries oldest first."""

    weeks: tuple[Tally, ...]
    total: Tally
    false_alarms: FalseAlarms
    entries: tuple[Entry, ...]
    proposals: tuple[Proposal, ...]
