"""All roles in one process: ingest, worker, a controller per monitor, refresh, outbox, each in a loop of its own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import structlog

from service.controller import Controller
from service.health import Heartbeats
from service.outbox import Outbox
from service.refresher import Refresher
from service.watched import WatchedMonitor
from service.worker import Worker

_PAUSE, _LONGEST_PAUSE, _JOIN_SECONDS = 0.2, 30.0, 20.0

log = structlog.get_logger()


class Monitors(Protocol):
    """What serving asks of the installation."""

    @property
    def names(self) -> Sequence[str]:
        """The declared monitors."""

    def version(self, monitor: str) -> int | None:
        """The reference version in force."""

    def watched(self, monitor: str) -> WatchedMonitor:
        """What the worker needs, as of the version in force."""

    def controller_for(self, monitor: str) -> Controller | None:
        """A controller on the version in force."""

    def allot(self, *, now: float) -> int:
        """Shares the budget of false alarms; how many monitors were told."""


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

    def join(self) -> None:
        """Waits for the step under way."""
        self._thread.join(_JOIN_SECONDS)
        log.info("loop stopped", loop=self._name, clean=not self._thread.is_alive())

    def _run(self) -> None:
        pause = _PAUSE
        while not self._stop.is_set():
            self._heartbeats.beat(self._name)
            try:
                rest = 0.0 if self._step() else _PAUSE
                pause = _PAUSE
            except Exception:
                log.exception("step failed", loop=self._name, retry_seconds=pause)
                self._recover()
                rest, pause = pause, min(2 * pause, _LONGEST_PAUSE)
            self._stop.wait(rest)


class Engine:
    """The loops behind the API. A reference that comes into force, by whatever process, is taken up between two batches."""

    def __init__(
        self,
        monitors: Monitors,
        worker: Worker,
        refresher: Refresher,
        outbox: Outbox,
        heartbeats: Heartbeats,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._monitors = monitors
        self._worker = worker
        self._refresher = refresher
        self._outbox = outbox
        self._clock = clock
        self._stop = threading.Event()
        self._versions = {name: monitors.version(name) for name in monitors.names}
        self._controllers = {name: monitors.controller_for(name) for name in monitors.names}
        self._loops = [
            Loop("worker", self._work, heartbeats, self._stop, recover=worker.forget),
            *(Loop(f"controller {name}", partial(self._decide, name), heartbeats, self._stop) for name in monitors.names),
            Loop("budget", self._allot, heartbeats, self._stop),
            Loop("refresh", self._refresh, heartbeats, self._stop),
            Loop("outbox", self._send, heartbeats, self._stop),
        ]

    def controller(self, monitor: str) -> Controller | None:
        """Whoever decides the monitor's log, None before it has a reference."""
        return self._controllers.get(monitor)

    def start(self) -> None:
        """Starts every loop."""
        for loop in self._loops:
            loop.start()

    def close(self) -> None:
        """Stops in the order of the flow: no more samples, then decisions, then what follows from them; then checkpoints."""
        self._stop.set()
        for loop in self._loops:
            loop.join()
        for controller in self._controllers.values():
            if controller is not None:
                controller.checkpoint(now=self._clock())

    def _work(self) -> int:
        return self._worker.step(timeout=_PAUSE)

    def _decide(self, name: str) -> int:
        """Of one monitor, in a loop of its own: one whose reference is damaged fails and rests without holding up the others."""
        self._take_up(name)
        controller = self._controllers[name]
        return controller.step(now=self._clock()) if controller is not None else 0

    def _allot(self) -> int:
        return self._monitors.allot(now=self._clock())

    def _refresh(self) -> int:
        return self._refresher.step(now=self._clock())

    def _send(self) -> int:
        return self._outbox.step(self._clock())

    def _take_up(self, name: str) -> None:
        """A new reference: both who works with it are made before either is replaced, so that a bad one closes no panes."""
        version = self._monitors.version(name)
        if version != self._versions[name]:
            watched, former = self._monitors.watched(name), self._controllers[name]
            if former is not None:  # the new one inherits from the store
                former.checkpoint(now=self._clock())
            controller = self._monitors.controller_for(name)
            self._worker.replace(name, watched)
            self._controllers[name] = controller
            self._versions[name] = version
            log.info("reference in force", monitor=name, version=version)
