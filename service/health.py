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


def missing(conditions: Mapping[str, Callable[[], bool]]) -> tuple[str, ...]:
    """The names of the conditions that do not hold; one that fails to answer does not hold."""
    return tuple(name for name, holds in conditions.items() if not _holds(holds))


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except DriftgateError:
        return False
