"""Steps that outlive their failures."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from service.errors import DriftgateError

LONGEST = 30.0
"""Seconds."""

log = structlog.get_logger()


class Patience:
    """After each failure the wait until the next attempt is twice as long, up to a bound; a success forgets them all."""

    def __init__(self, *, shortest: float, longest: float = LONGEST) -> None:
        self._shortest = shortest
        self._longest = longest
        self.seconds = 0.0
        """To wait now; 0 after a success."""
        self.reason = ""
        """What went wrong the last time."""

    def attempt(self, step: Callable[[], int], **facts: object) -> int:
        """What the step returns; 0 where it failed."""
        try:
            done = step()
        except Exception as error:
            self.seconds = min(max(2 * self.seconds, self._shortest), self._longest)
            self.reason = str(error) or type(error).__name__
            if isinstance(error, DriftgateError):
                log.warning("step failed", **facts, reason=self.reason, retry_seconds=self.seconds)
            else:
                log.exception("step failed", **facts, retry_seconds=self.seconds)
            return 0
        self.seconds, self.reason = 0.0, ""
        return done
