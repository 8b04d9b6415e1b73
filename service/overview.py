"""All monitors at a glance, the worst first: read in the background, so that a page of it costs the same for three and for a thousand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from service.declarations import Declared
from service.errors import DriftgateError
from service.policies import Policies
from service.ports import Store
from service.records import LEVELS, WHOLE, Alarm, AlarmState, Measured, Passage, Severity
from service.records.policies import Checked

log = structlog.get_logger()

STANDING = (AlarmState.OPEN, AlarmState.ACKNOWLEDGED)
"""The states of an alarm that is not over."""

_FRESH_SECONDS, _IDLE_SECONDS, _CHECKS_SECONDS = 2.0, 60.0, 60.0
_SHARE = 20.0
"""So many times as long as a look takes is rested before the next."""
_AT_ONCE = 0.1
"""Seconds that a request may take for a look of its own."""
_SPARK, _FEWEST = 36, 6
"""Passages of a line's small picture; fewer are shown by the minute."""
_LOOKED_AT = 200
"""Alarms of a monitor among which the worst is found."""

_ORDER = ("drifting", "blind", "silent", "untimed", "no reference", "warming up", "watching")
"""States, worst first, behind monitors with an open critical alarm."""


@dataclass(frozen=True, slots=True)
class Line:
    """A monitor as the fleet shows it."""

    monitor: str
    team: str
    state: str
    alarms: int
    """That are not over."""
    worst: Alarm | None
    effect: Measured | None
    segment: str
    """Where the effect is the largest that is sure."""
    evidence: float
    threshold: float
    samples: int
    last_time: float
    spark: tuple[float, ...]
    """Strongest evidence of the whole stream, by ten minutes, or as long as there are few by less."""
    checks: tuple[Checked, ...]

    @property
    def unmet(self) -> Sequence[Checked]:
        """What the policy asks for and the monitor has not."""
        return [check for check in self.checks if check.finding == "unmet"]

    @property
    def rank(self) -> tuple[float, ...]:
        """Small for what should be looked at first."""
        critical = self.worst is not None and self.worst.severity is Severity.CRITICAL
        place = _ORDER.index(self.state) if self.state in _ORDER else len(_ORDER)
        return (not critical, place, -(self.effect.low if self.effect and self.alarms else 0.0), -self.evidence / (self.threshold or 1.0))


@dataclass(slots=True)
class _Seen:
    """A monitor's line, and what it was made from."""

    mark: tuple[Any, ...]
    line: Line


@dataclass(slots=True)
class Glance:
    """All lines at a moment."""

    made: float = 0.0
    lines: Sequence[Line] = ()
    teams: Sequence[str] = ()


@dataclass(slots=True, eq=False)
class Overview:
    """Looks again while somebody asks; a monitor of which nothing has changed is not read twice."""

    store: Store
    declared: Callable[[], Mapping[str, Declared]]
    policies: Policies
    clock: Callable[[], float] = time.time
    _glance: Glance | None = None
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _checks: dict[str, tuple[Checked, ...]] = field(default_factory=dict)
    _checked: float = 0.0
    _asked: bool = True
    _took: float = 0.0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def glance(self) -> Glance:
        """As it was when it was last looked at; looked at now where that is quick."""
        self._asked, standing = True, self._glance
        if standing is None or (self._took < _AT_ONCE and self.clock() - standing.made >= _FRESH_SECONDS):
            return self.look()
        return standing

    def step(self) -> int:
        """A turn of the loop that keeps it fresh."""
        age = self.clock() - self._glance.made if self._glance else float("inf")
        if age >= (max(_FRESH_SECONDS, _SHARE * self._took) if self._asked else _IDLE_SECONDS):
            self._asked = False
            self.look()
        return 0

    def look(self) -> Glance:
        """Reads what has changed."""
        with self._turn:
            started, now = time.perf_counter(), self.clock()
            declared, standing = self.declared(), self._standing()
            if now - self._checked >= _CHECKS_SECONDS:
                self._checks, self._checked = {name: self._asked_of(name, now) for name in declared}, now
            lines = [self._line(name, known, standing.get(name, 0)) for name, known in declared.items()]
            self._seen = {line.monitor: self._seen[line.monitor] for line in lines}
            lines.sort(key=lambda line: (*line.rank, line.monitor))
            self._glance = Glance(now, lines, sorted({line.team for line in lines if line.team}))
            self._took = time.perf_counter() - started
            return self._glance

    def _asked_of(self, monitor: str, now: float) -> tuple[Checked, ...]:
        """Nothing of one whose artefacts can't be read: the others are shown all the same."""
        try:
            (found,) = self.policies.compliance([monitor], now=now)
        except DriftgateError as error:
            log.warning("policy not checked", monitor=monitor, reason=str(error))
            return ()
        return found.checks

    def _standing(self) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for (monitor, state), count in self.store.tally(Alarm).items():
            if state in STANDING:
                counts[monitor] = counts.get(monitor, 0) + count
        return counts

    def _line(self, name: str, known: Declared, alarms: int) -> Line:
        status = self.store.status(name)
        checks = self._checks.get(name, ())
        mark = (status.get("sequence"), status.get("reference_version"), known.version, known.reference, alarms, checks)
        seen = self._seen.get(name)
        if seen is None or seen.mark != mark:
            found = self.store.find(Alarm, monitor=name, states=STANDING, limit=_LOOKED_AT) if alarms else ()
            seen = self._seen[name] = _Seen(mark, _described(known, status, alarms, found, spark=self._spark(name), checks=checks))
        return seen.line

    def _spark(self, monitor: str) -> tuple[float, ...]:
        """By the coarsest level that shows a course."""
        passages: Sequence[Passage] = ()
        for seconds, _ in LEVELS[2::-1]:
            passages = self.store.timeline(monitor, WHOLE, seconds, limit=_SPARK)
            if len(passages) >= _FEWEST:
                break
        return tuple(passage.evidence for passage in passages)


def _described(
    known: Declared,
    status: Mapping[str, Any],
    alarms: int,
    found: Sequence[Alarm],
    *,
    spark: tuple[float, ...],
    checks: tuple[Checked, ...],
) -> Line:
    decided = status if known.reference is not None and status.get("reference_version") == known.reference else {}
    streams = decided.get("streams", ())
    whole: Mapping[str, Any] = next((stream for stream in streams if stream["segment"] == WHOLE), {})
    most = max(streams, key=_sure, default=None)
    return Line(
        monitor=known.settings.name,
        team=known.settings.team or "",
        state="no reference" if known.reference is None else str(decided.get("state", "warming up")),
        alarms=alarms,
        worst=_worst(found),
        effect=None if most is None or _sure(most) < 0 else Measured(**most["effect"]),
        segment="" if most is None else str(most["segment"]),
        evidence=float(whole.get("evidence") or 0.0),
        threshold=float(whole.get("threshold") or 0.0),
        samples=int(decided.get("samples", 0)),
        last_time=float(decided.get("last_time", 0.0)),
        spark=spark,
        checks=checks,
    )


def _sure(stream: Mapping[str, Any]) -> float:
    """Of its effect; below zero where that is not known."""
    low = stream["effect"]["low"]
    return -1.0 if low is None else float(low)


def _worst(alarms: Iterable[Alarm]) -> Alarm | None:
    return max(alarms, key=lambda alarm: (alarm.severity is Severity.CRITICAL, alarm.effect.low), default=None)
