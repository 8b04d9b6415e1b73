"""Steps that outlive their failures."""

from __future__ import annotations

from collections.abc import Callable

import structlog

LONGEST = 30.0
"""Seconds."""

log = structlog.get_logger()


class Patience:
    """After each failure the wait until the next attempt is twice as long, up to a bound; a success forgets them all."""

    def __init__(self, *, shortest: float) -> None:
        self._shortest = shortest
        self.seconds = 0.0
        """To wait now; 0 after a success."""
        self.reason = ""
        """What went wrong the last time."""

    def attempt(self, step: Callable[[], int], **facts: object) -> int:
        """What the step returns; 0 where it failed."""
        try:
            done = step()
        except Exception as error:
            self.seconds = min(max(2 * self.seconds, self._shortest), LONGEST)
            self.reason = str(error) or type(error).__name__
            log.exception("step failed", **facts, retry_seconds=self.seconds)
            return 0
        self.seconds, self.reason = 0.0, ""
        return done
