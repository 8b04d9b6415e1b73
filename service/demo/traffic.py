"""`driftgate demo traffic`: the support chat as production sends it, hour after hour, until it drifts."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.demo.chats import Chats, Sent
from service.demo.messages import CALM, DRIFTED, Mix
from service.errors import DriftgateError

TICK = 0.25
"""Seconds between two batches."""
PATIENCE = 2.0
"""Seconds until a batch that was not taken is sent again."""
SAY_SECONDS = 30.0
"""Between two lines of how far it is."""


class Channel(Protocol):
    """Where messages go."""

    def send(self, messages: Sequence[Sent]) -> None:
        """Returns once they are taken. A retryable error asks for all of them again."""


@dataclass(frozen=True, slots=True)
class Course:
    """How much comes, and from when on it is of another kind."""

    rate: float
    """Messages a second."""
    drift_after: float = math.inf
    """Seconds of ordinary days."""
    count: float = math.inf
    """Messages after which the stream ends."""

    def drifts(self, elapsed: float) -> bool:
        return elapsed >= self.drift_after

    def mix(self, elapsed: float) -> Mix:
        return DRIFTED if self.drifts(elapsed) else CALM


@dataclass(frozen=True, slots=True)
class Report:
    """How far the stream is."""

    sent: int
    drifted: int
    elapsed: float
    trouble: str = ""
    """Why nothing is taken now."""


class Teller:
    """Says a line now and then, and at once what changes."""

    def __init__(self, course: Course, *, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._course = course
        self._say = say
        self._warn = warn
        self._told: Report | None = None
        self._trouble = ""

    def __call__(self, report: Report) -> None:
        if report.trouble:
            if report.trouble != self._trouble:
                self._warn(f"{report.trouble}; trying again")
        elif self._is_news(report):
            self._say(f"{report.sent:,} messages{self._phase(report)}")
            self._told = report
        self._trouble = report.trouble

    def _phase(self, report: Report) -> str:
        if report.drifted:
            return f", {report.drifted:,} since the drift"
        left = self._course.drift_after - report.elapsed
        return f", drift in {left:,.0f} s" if math.isfinite(left) else ""

    def _is_news(self, report: Report) -> bool:
        told = self._told
        return told is None or bool(self._trouble or (report.drifted and not told.drifted)) or report.elapsed - told.elapsed >= SAY_SECONDS


class Stream:
    """Sends what is due, batch after batch; what is not taken waits, and nobody catches up on the time that it took."""

    def __init__(self, chats: Chats, channel: Channel, course: Course, *, report: Callable[[Report], None]) -> None:
        self._chats = chats
        self._channel = channel
        self._course = course
        self._report = report
        self._due = 0.0
        self.sent = 0
        self.drifted = 0

    def run(self, *, clock: Callable[[], float], stop: threading.Event) -> Report:
        """Until it is stopped, or all is sent."""
        began = seen = clock()
        while not stop.is_set() and self.sent < self._course.count:
            now = clock()
            self._due += self._course.rate * min(now - seen, 4 * TICK)
            seen = now
            self._batch(now - began, stop)
            stop.wait(TICK)
        return Report(self.sent, self.drifted, clock() - began)

    def _batch(self, elapsed: float, stop: threading.Event) -> None:
        count = int(min(self._due, self._course.count - self.sent))
        if count == 0:
            return
        messages = self._chats.draw(count, mix=self._course.mix(elapsed))
        while not self._taken(messages, elapsed):
            if stop.wait(PATIENCE):
                return
        self._due -= count
        self.sent += count
        self.drifted += count if self._course.drifts(elapsed) else 0
        self._report(Report(self.sent, self.drifted, elapsed))

    def _taken(self, messages: Sequence[Sent], elapsed: float) -> bool:
        try:
            self._channel.send(messages)
        except DriftgateError as error:
            if not error.retryable:
                raise
            self._report(Report(self.sent, self.drifted, elapsed, str(error)))
            return False
        return True
