"""The loops of one process: they outlive failures, take new references up, and one bad monitor does not stop the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from service.adapters.log_source import LogSource
from service.adapters.sqlite import SqliteLog, SqliteStore
from service.controller import Controller
from service.datasets import DataSets
from service.decoding import envelope
from service.errors import ArtefactError
from service.health import Heartbeats
from service.observe import Silent
from service.outbox import Outbox
from service.ports import Embedder
from service.records import Sample
from service.refresher import Refresher
from service.serving import Engine, Loop
from service.settings import EmbedderSettings, MonitorSettings
from service.watched import WatchedMonitor
from service.worker import Worker

if TYPE_CHECKING:
    from tests.service.conftest import World


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Failures are meant here; written out in colours, a traceback costs more than all that led to it."""
    with capture_logs():
        yield


def until(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + 20
    while not (found := look()):
        assert time.monotonic() < end, "waited for 20 s"
        time.sleep(0.01)
    return found


# --- a loop ----------------------------------------------------------------------------------------------------------


def test_a_loop_goes_on_after_a_failure_and_recovers_first() -> None:
    told: list[str] = []
    stop, heartbeats = threading.Event(), Heartbeats()

    def step() -> int:
        told.append("step")
        if len(told) == 1:
            raise ZeroDivisionError
        if len(told) > 4:
            stop.set()
        return 1

    loop = Loop("worker", step, heartbeats, stop, recover=lambda: told.append("recover"))
    loop.start()
    loop.join()
    assert told == ["step", "recover", "step", "step", "step"]
    assert heartbeats.silent() == ()


def test_a_loop_that_rests_stops_at_once() -> None:
    stop = threading.Event()
    loop = Loop("outbox", lambda: 0, Heartbeats(), stop)
    loop.start()
    stop.set()
    loop.join()
    assert not any(thread.name == "outbox" for thread in threading.enumerate())


# --- the engine ------------------------------------------------------------------------------------------------------


@dataclass
class Fleet:
    """Monitors that stand on the same small reference."""

    world: World
    store: SqliteStore
    versions: dict[str, int] = field(default_factory=lambda: {"broken": 1, "chat": 1})
    damaged: bool = False
    undecidable: bool = False
    failure: type[Exception] = ArtefactError

    @property
    def names(self) -> list[str]:
        return list(self.versions)

    def version(self, monitor: str) -> int:
        if self.damaged and monitor == "broken":
            raise self.failure("broken/current: damaged")
        return self.versions[monitor]

    def watched(self, monitor: str) -> WatchedMonitor:
        return WatchedMonitor(self.effective(monitor), self.world.embedder, self._reference(monitor))

    def controller_for(self, monitor: str) -> Controller:
        if self.undecidable:
            raise ArtefactError("the tolerance is below what the reference can resolve")
        return Controller(self.effective(monitor), self._reference(monitor), self.store, Silent())

    def allot(self, *, now: float) -> int:  # noqa: ARG002 - the protocol's
        return 0

    def effective(self, monitor: str) -> MonitorSettings:
        return self.world.settings.model_copy(update={"name": monitor})

    def embedder(self, monitor: str) -> Embedder:  # noqa: ARG002 - the protocol's
        return self.world.embedder

    def load(self, settings: EmbedderSettings) -> Embedder:  # noqa: ARG002 - the protocol's
        return self.world.embedder

    def _reference(self, monitor: str) -> Any:
        return self.world.named(monitor=monitor, version=self.versions[monitor])


@dataclass
class Running:
    fleet: Fleet
    engine: Engine
    log: SqliteLog
    store: SqliteStore

    def send(self, n: int, seed: int, *, monitor: str = "chat") -> None:
        rows = self.fleet.world.ordinary(n, seed)
        samples = [Sample(monitor, f"{monitor}-{seed}-{i}", float("nan"), row) for i, row in enumerate(rows)]
        self.log.append([envelope.encode(sample) for sample in samples], now=1_000.0 + seed)

    def decided(self, samples: int, *, monitor: str = "chat") -> Any:
        return until(lambda: found if (found := self.store.status(monitor)).get("samples") == samples else None)


@pytest.fixture
def running(world: World, tmp_path: Path) -> Iterator[Running]:
    store = SqliteStore(":memory:")
    with closing(SqliteLog(":memory:", backlog_bytes=10_000_000, retention_bytes=0)) as log, closing(store):
        fleet = Fleet(world, store)
        refresher = Refresher(store, world.references, DataSets(tmp_path), fleet, models=tmp_path)
        monitors = {name: fleet.watched(name) for name in fleet.names}
        worker = Worker(LogSource(log, envelope.decode), store, monitors, Silent())
        outbox = Outbox(store, {}, Silent(), rng=np.random.default_rng(0))
        engine = Engine(fleet, worker, refresher, outbox, Heartbeats(), clock=lambda: 5_000.0)
        engine.start()
        yield Running(fleet, engine, log, store)
        engine.close()


def test_what_is_sent_is_decided(running: Running) -> None:
    running.send(160, 1)
    status = running.decided(160)
    assert (status["state"], status["reference_version"], status["sequence"]) == ("watching", 1, 20)


def test_a_reference_that_comes_into_force_is_taken_up_by_worker_and_controller(running: Running) -> None:
    for seed in (1, 2):
        running.send(160, seed)
        running.decided(160 * seed)
    running.fleet.versions["chat"] = 2
    until(lambda: running.store.status("chat")["reference_version"] == 2)
    deciding = running.engine.controller("chat")
    assert deciding is not None
    assert deciding.streams.traffic.samples == pytest.approx(320, rel=0.01), "also what came since the last checkpoint"
    running.send(320, 3)
    status = running.decided(320)
    assert (status["reference_version"], status["other_versions"]) == (2, 0)
    assert deciding.streams.reference.version == 2


def test_a_reference_that_cannot_decide_closes_no_panes(running: Running) -> None:
    running.send(20, 1)
    until(lambda: running.store.samples_taken("chat") == 20)
    before = [pane.key for pane in running.store.open_panes("chat")]
    running.fleet.undecidable, running.fleet.versions["chat"] = True, 2
    time.sleep(0.5)  # turns of the controller's loop and of the worker's
    assert [pane.key for pane in running.store.open_panes("chat")] == before
    running.fleet.undecidable = False
    until(lambda: running.store.open_panes("chat") == [])


@pytest.mark.parametrize("failure", [ArtefactError, ZeroDivisionError])
def test_a_monitor_with_a_damaged_reference_does_not_hold_up_the_others(running: Running, failure: type[Exception]) -> None:
    running.fleet.failure, running.fleet.damaged = failure, True
    running.send(160, 1)
    running.decided(160)
    running.send(160, 2, monitor="broken")
    time.sleep(0.3)
    assert running.store.status("broken")["samples"] == 0
    running.fleet.damaged = False
    running.decided(160, monitor="broken")


def test_closing_leaves_a_checkpoint_of_everything_decided(running: Running) -> None:
    running.send(160, 1)
    running.decided(160)
    running.engine.close()
    decided, covered, _ = running.store.decided("chat")
    assert decided == covered == 20
