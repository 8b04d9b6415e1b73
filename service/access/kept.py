"""A secret in a file that may be changed while it is asked for, as a mounted Kubernetes Secret is."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from service.errors import ConfigurationError

LOOK_SECONDS = 1.0
"""Between two looks at the file."""

log = structlog.get_logger()


class KeptSecret:
    """What the file holds now. One that can't be read or used leaves the one before in force, and the log says so.

    `read` says what it holds; ConfigurationError where that is none. For any thread.
    """

    def __init__(self, read: Callable[[], str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._value = read()
        self._next = clock() + LOOK_SECONDS
        self._problem = ""

    def __call__(self) -> str:
        """As it is, to within a second."""
        now = self._clock()
        if now >= self._next:
            self._next = now + LOOK_SECONDS
            self._look()
        return self._value

    def _look(self) -> None:
        try:
            self._value, self._problem = self._read(), ""
        except ConfigurationError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.warning("secret refused", reason=self._problem)
