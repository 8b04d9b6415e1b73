"""Where the parts are put together: the only place that knows concrete classes."""

from __future__ import annotations

import fcntl
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import uvicorn
from prometheus_client import CollectorRegistry

from service.access import Access
from service.adapters.file_source import FileSource
from service.adapters.folder import FolderDestination as Folder
from service.adapters.log_source import LogSource
from service.adapters.onnx_embedder import load_embedder
from service.adapters.sqlite import Retention, SqliteLog, SqliteStore
from service.adapters.webhook import WebhookDestination as Webhook
from service.allotment import Allotment
from service.api import Service, create_app, listen, server_for
from service.controller import Controller
from service.datasets import DataSets
from service.decoding.envelope import decode
from service.decoding.options import SampleOptions
from service.errors import ArtefactError, ConfigurationError
from service.health import Heartbeats
from service.ingest import Check, Ingest
from service.metrics import Metrics, StoreFigures
from service.observe import Observer, Silent
from service.once import Once
from service.operations import Operations
from service.outbox import Outbox
from service.ports import Destination, Embedder, Store
from service.reference import References, effective_tolerance
from service.refresher import Refresher
from service.serving import Engine
from service.settings import FolderDestination, MonitorSettings, Settings, WebhookDestination, read_secret
from service.signatures import Secret
from service.standing import Standing
from service.watched import WatchedMonitor
from service.worker import Worker

__all__ = ["Installation", "Serving", "load_embedder", "open_log", "opened", "served"]

STORE, LOG, LOCK = "driftgate.sqlite", "ingest.sqlite", "serve.lock"


class Installation:
    """Everything that one configuration stands for: its state, its artefacts, and its monitors' embedders and references."""

    def __init__(self, settings: Settings, store: Store, observer: Observer | None = None) -> None:
        self.settings = settings
        self.store = store
        self.observer = observer or Silent()
        self.references = References(settings.directory / "references")
        self.data_sets = DataSets(settings.directory)
        self._allotment = Allotment(store, settings)
        self.standing = Standing(store, self.references, self.effective)
        self.load = Once(load_embedder, keep=len(settings.monitors) + 1)  # those in force, and one on its way in or out
        self.refresher = Refresher(store, self.references, self.data_sets, self, models=settings.directory / "models")

    def effective(self, monitor: str) -> MonitorSettings:
        """The monitor's settings with the model in force: a promoted one belongs to its reference version."""
        return _with_model(self.settings.monitor(monitor), *self.references.model(monitor))

    def embedder(self, monitor: str) -> Embedder:
        """The embedder in force, loaded and checked once."""
        return self.load(self.effective(monitor).embedder)

    def watched(self, monitor: str) -> WatchedMonitor:
        """What a worker needs of a monitor; without an accepted reference it only keeps samples."""
        reference = None if self.references.active(monitor) is None else self.references.load(monitor)
        return WatchedMonitor(self.effective(monitor), self.embedder(monitor), reference)

    def controller_for(self, monitor: str, *, following: bool = True) -> Controller | None:
        """Whoever decides the monitor's log; None before there is a reference. `following`: alarms open refresh cycles."""
        if self.references.active(monitor) is None:
            return None
        follower = self.refresher if following else None
        return Controller(self.effective(monitor), self.references.load(monitor), self.store, self.observer, follower=follower)

    def allot(self, *, now: float) -> int:
        """Shares the budget of false alarms anew where traffic or streams have changed."""
        return self._allotment.step(now=now)

    @property
    def names(self) -> Sequence[str]:
        """The declared monitors."""
        return [monitor.name for monitor in self.settings.monitors]

    def version(self, monitor: str) -> int | None:
        """The reference version in force."""
        return self.references.active(monitor)

    def bring_into_force(self, monitor: str, version: int) -> None:
        """Accepts a version, or goes back to it, once its embedder has shown to be the one that made it."""
        reference = self.references.load(monitor, version)
        manifest = reference.manifest
        settings = _with_model(self.settings.monitor(monitor), manifest["model"], tuple(manifest["classes"]))
        found = self.load(settings.embedder).fingerprint
        if found != manifest["fingerprint"]:
            raise ArtefactError(
                f"monitor {monitor}: reference {version} was made with another embedder ({manifest['fingerprint']}, now {found}); "
                "build a reference with this one or restore the other"
            )
        effective_tolerance(settings, reference.model)  # ConfigurationError if it can't decide
        self.references.activate(monitor, version)

    def files(self, monitor: str, paths: Sequence[Path]) -> FileSource:
        """The files as a source of the monitor's samples."""
        settings = self.settings.monitor(monitor)
        return FileSource(paths, monitor, SampleOptions.of(settings, self.embedder(monitor).check))

    def destinations(self) -> Mapping[str, Destination]:
        """Where outbox items go, by name."""
        return {d.name: _destination(d) for d in self.settings.destinations}

    def close(self) -> None:
        """Releases the store."""
        self.store.close()


@contextmanager
def opened(settings: Settings, *, observer: Observer | None = None, in_memory: bool = False) -> Iterator[Installation]:
    """The installation over the store in its directory, or (for replays) over one that is forgotten afterwards."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    pools, limits = {monitor.name: monitor.pool.rows for monitor in settings.monitors}, settings.pane_log
    panes = Retention(0 if in_memory else limits.retention_bytes, limits.retention_days * 86_400.0)
    store = SqliteStore(":memory:" if in_memory else settings.directory / STORE, pool_rows=pools, panes=panes)
    installation = Installation(settings, store, observer)
    try:
        yield installation
    finally:
        installation.close()


class Serving:
    """All roles running behind a listening socket."""

    def __init__(self, installation: Installation, server: uvicorn.Server, listening: socket.socket) -> None:
        self.installation = installation
        self._server = server
        self._socket = listening
        host, port = listening.getsockname()[:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run(self) -> None:
        """Answers requests until a signal or `stop`."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Ends `run`, from another thread."""
        self._server.should_exit = True


@contextmanager
def served(settings: Settings) -> Iterator[Serving]:
    """Starts every role; what was started stops in reverse."""
    access, registry = Access.of(settings), CollectorRegistry()
    metrics = Metrics(registry, [monitor.name for monitor in settings.monitors], version=version("driftgate"))
    with ExitStack() as stack:
        stack.enter_context(_alone(settings.directory))
        listening = stack.enter_context(closing(listen(settings.server.host, settings.server.port)))
        installation = stack.enter_context(opened(settings, observer=metrics))
        log = stack.enter_context(closing(open_log(settings)))
        engine, service = _assembled(installation, log, metrics, access, registry)
        stack.callback(engine.close)
        engine.start()
        yield Serving(installation, server_for(create_app(service)), listening)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Two that serve one directory would give the same offsets away twice; the lock goes with the process, however it ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                f"directory {directory}: another `driftgate serve` works in it; stop that one, or give this one a directory of its own"
            ) from error
        yield


def _assembled(
    installation: Installation, log: SqliteLog, metrics: Metrics, access: Access, registry: CollectorRegistry
) -> tuple[Engine, Service]:
    settings, heartbeats = installation.settings, Heartbeats()
    monitors = {name: installation.watched(name) for name in installation.names}
    for name, monitor in monitors.items():
        metrics.embedder(name, monitor.embedder.fingerprint)
    worker = Worker(LogSource(log, decode), installation.store, monitors, metrics, beat=partial(heartbeats.beat, "worker"))
    outbox = Outbox(installation.store, installation.destinations(), metrics, rng=np.random.default_rng())
    engine = Engine(installation, worker, installation.refresher, outbox, heartbeats)
    checks = {name: partial(_check, installation, name) for name in installation.names}
    service = Service(
        ingest=Ingest(log, settings.monitors, checks, observer=metrics, max_items=settings.server.max_items),
        store=installation.store,
        standing=installation.standing,
        actions=Operations(installation.store, installation.refresher, installation.effective, engine.controller),
        access=access,
        heartbeats=heartbeats,
        registry=registry,
        conditions=_conditions(installation),
        references={name: partial(_has_reference, installation, name) for name in installation.names},
        budget=settings.budget,
        max_body_bytes=settings.server.max_body_bytes,
        version=version("driftgate"),
    )
    registry.register(StoreFigures(installation.store, installation.names, clock=time.time, backlog=lambda: (log.backlog, log.entries)))
    return engine, service


def _conditions(installation: Installation) -> Mapping[str, Callable[[], bool]]:
    """What `/readyz` asks."""
    return {
        "store": partial(_answers, installation.store),
        "embedders": lambda: all(installation.embedder(name).dimension for name in installation.names),
    }


def _has_reference(installation: Installation, monitor: str) -> bool:
    return installation.version(monitor) is not None


def _answers(store: Store) -> bool:
    try:
        store.samples_taken("")
    except sqlite3.Error:
        return False
    return True


def _check(installation: Installation, monitor: str) -> Check:
    """Of the embedder in force at the moment of asking."""
    return installation.embedder(monitor).check


def open_log(settings: Settings) -> SqliteLog:
    """The durable log behind HTTP ingest."""
    limits = settings.log
    return SqliteLog(settings.directory / LOG, backlog_bytes=limits.backlog_bytes, retention_bytes=limits.retention_bytes)


def _destination(settings: WebhookDestination | FolderDestination) -> Destination:
    if isinstance(settings, FolderDestination):
        return Folder(settings.path)
    secret = Secret.parse(read_secret(settings))
    return Webhook(settings.url, secret, timeout=settings.timeout, allow_private=settings.allow_private)


def _with_model(settings: MonitorSettings, model: str, classes: tuple[str, ...]) -> MonitorSettings:
    """The settings with a promoted model; as they are without one."""
    if not model:
        return settings
    return settings.model_copy(update={"embedder": settings.embedder.with_model(Path(model)), "classes": classes})
