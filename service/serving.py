"""Loops that begin together and end in order: what every role is made of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from service.errors import DriftgateError
from service.health import Heartbeats
from service.patience import Patience

_PAUSE = 0.2
_LONGEST = 5.0
"""Seconds after which a step that fails is tried again at the latest: what it waits for may be back, and others wait for it."""

log = structlog.get_logger()


class Every:
    """A step that is taken again only after so many seconds, or, where it is dear, after fifty times as long as it took."""

    def __init__(self, seconds: float, step: Callable[[], int], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._step = step
        self._clock = clock
        self._next = float("-inf")

    def __call__(self) -> int:
        """0, so that the loop rests; what the step found is done."""
        began = self._clock()
        if began >= self._next:
            self._step()
            ended = self._clock()
            self._next = max(began + self._seconds, ended + 50 * (ended - began))
        return 0


class Loop:
    """A step that is repeated until told to stop; a step that found nothing to do rests, one that failed rests longer."""

    def __init__(
        self,
        name: str,
        step: Callable[[], int],
        heartbeats: Heartbeats,
        stop: threading.Event,
        *,
        recover: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._step = step
        self._recover = recover
        self._heartbeats = heartbeats
        self._stop = stop
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._heartbeats.beat(self._name)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Waits for the step under way, no longer than that."""
        self._thread.join(max(seconds, 0.0))
        log.info("loop stopped", loop=self._name, clean=not self._thread.is_alive())

    def _run(self) -> None:
        patience = Patience(shortest=_PAUSE, longest=_LONGEST)
        while not self._stop.is_set():
            self._heartbeats.beat(self._name)
            found = patience.attempt(self._step, loop=self._name)
            if patience.seconds:
                self._recover()
            self._stop.wait(patience.seconds or (0.0 if found else _PAUSE))


class Engine:
    """The loops of a process, in the order of its flow: that is how they end, so that what is in hand gets done."""

    def __init__(self, stop: threading.Event, loops: Sequence[Loop], endings: Sequence[Callable[[], None]] = (), *, grace: float) -> None:
        self._stop = stop
        self._loops = loops
        self._endings = endings
        self._grace = grace

    def start(self) -> None:
        """Starts every loop."""
        for loop in self._loops:
            loop.start()

    def close(self) -> None:
        """Lets every loop end its step within the grace; then the endings: what is held is given back."""
        self._stop.set()
        end = time.monotonic() + self._grace
        for loop in self._loops:
            loop.join(end - time.monotonic())
        for ending in self._endings:
            _end(ending)


def _end(ending: Callable[[], None]) -> None:
    """What can't be given back now is taken by others once its time is over."""
    try:
        ending()
    except DriftgateError as error:
        log.warning("not given back", reason=str(error))
