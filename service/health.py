"""Whether the program is alive (its loops turn) and ready (it can take and embed samples)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

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

    def silent(self) -> tuple[str, ...]:
        """The loops that have not turned for longer than the limit."""
        oldest = self._clock() - self._limit
        return tuple(sorted(loop for loop, last in self._last.copy().items() if last < oldest))


Condition = Callable[[], str]
"""Why something does not hold, '' where it does."""


def missing(conditions: Mapping[str, Condition]) -> Mapping[str, str]:
    """The names of the conditions that do not hold, with the reason; one that fails to answer does not hold."""
    asked = ((name, _reason(condition)) for name, condition in conditions.items())
    return {name: reason for name, reason in asked if reason}


def _reason(condition: Condition) -> str:
    try:
        return condition()
    except DriftgateError as error:
        return str(error)
