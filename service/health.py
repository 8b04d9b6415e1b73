"""Whether the program is alive (its loops turn) and ready (it can take and embed samples)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer

from service.errors import DriftgateError


class Heartbeats:
    """When each loop last turned: a loop that hangs makes the program not alive, so that it is restarted."""

    def __init__(self, *, limit: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._last: dict[str, float] = {}

    def beat(self, loop: str) -> None:
        """Called by a loop at every turn, also at one that found nothing to do; the first call enlists the loop."""
        self._last[loop] = self._clock()

    def turning(self) -> None:
        """As `beat`, from deep within a loop's step, by its own thread; other threads are no loops."""
        name = threading.current_thread().name
        if name in self._last:
            self.beat(name)

    def ages(self) -> Mapping[str, float]:
        """How many seconds ago each loop last turned."""
        now = self._clock()
        return {loop: now - last for loop, last in self._last.copy().items()}

    def silent(self) -> tuple[str, ...]:
        """The loops that have not turned for longer than the limit."""
        oldest = self._clock() - self._limit
        return tuple(sorted(loop for loop, last in self._last.copy().items() if last < oldest))


Condition = Callable[[], str]
"""Why something does not hold, '' where it does."""


class Prompt:
    """A condition whose answer may take long, told soon all the same: until then it does not hold. It is asked once at a time."""

    def __init__(self, name: str, condition: Condition, *, seconds: float = 1.0) -> None:
        self._name = name
        self._condition = condition
        self._seconds = seconds
        self._lock = threading.Lock()
        self._asked: Future[str] | None = None

    def __call__(self) -> str:
        """The answer of the question under way, or of a new one."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                threading.Thread(target=self._ask, args=(self._asked,), name=f"{self._name} probe", daemon=True).start()
            asked = self._asked
        try:
            return asked.result(self._seconds)
        except NoAnswer:
            return f"the {self._name} has not answered within {self._seconds:g} s: see what keeps it"

    def _ask(self, asked: Future[str]) -> None:
        try:
            asked.set_result(_reason(self._condition))
        finally:
            asked.cancel()  # after what nobody expected, so that it is asked anew


class Enduring:
    """Whether something has held for so long, as far as anybody has asked."""

    def __init__(self, holds: Callable[[], bool], seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._holds = holds
        self._seconds = seconds
        self._clock = clock
        self._since: float | None = None

    def __call__(self) -> bool:
        """False anew once it has not held."""
        now = self._clock()
        if not self._holds():
            self._since = None
            return False
        self._since = now if self._since is None else self._since
        return now - self._since >= self._seconds


def missing(conditions: Mapping[str, Condition]) -> Mapping[str, str]:
    """The names of the conditions that do not hold, with the reason; one that fails to answer does not hold."""
    asked = ((name, _reason(condition)) for name, condition in conditions.items())
    return {name: reason for name, reason in asked if reason}


def _reason(condition: Condition) -> str:
    try:
        return condition()
    except DriftgateError as error:
        return str(error)
