"""Where the parts are put together: the only place that knows concrete classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from service.adapters.file_source import FileSource
from service.adapters.folder import FolderDestination as Folder
from service.adapters.onnx_embedder import load_embedder
from service.adapters.sqlite import SqliteLog, SqliteStore
from service.adapters.webhook import WebhookDestination as Webhook
from service.controller import Controller, Follower
from service.datasets import DataSets
from service.decoding.options import SampleOptions
from service.observe import Observer, Silent
from service.ports import Destination, Embedder, Store
from service.reference import References
from service.refresher import Refresher
from service.settings import FolderDestination, MonitorSettings, Settings, WebhookDestination, read_secret
from service.signatures import Secret
from service.watched import WatchedMonitor

STORE, LOG = "driftgate.sqlite", "ingest.sqlite"


class Installation:
    """Everything that one configuration stands for: its state, its artefacts, and its monitors' embedders and references."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.references = References(settings.directory / "references")
        self.data_sets = DataSets(settings.directory)
        self.load = cache(load_embedder)
        self.refresher = Refresher(store, self.references, self.data_sets, self, models=settings.directory / "models")

    def effective(self, monitor: str) -> MonitorSettings:
        """The monitor's settings with the model in force: a promoted one belongs to its reference version."""
        settings = self.settings.monitor(monitor)
        model, classes = self.references.model(monitor)
        if not model:
            return settings
        tokenizer = settings.embedder.tokenizer or settings.embedder.model.with_name("tokenizer.json")
        embedder = settings.embedder.model_copy(update={"model": Path(model), "tokenizer": tokenizer})
        return settings.model_copy(update={"embedder": embedder, "classes": classes})

    def embedder(self, monitor: str) -> Embedder:
        """The embedder in force, loaded and checked once."""
        return self.load(self.effective(monitor).embedder)

    def watched(self, monitor: str) -> WatchedMonitor:
        """What a worker needs of a monitor; without an accepted reference it only keeps samples."""
        reference = None if self.references.active(monitor) is None else self.references.load(monitor)
        return WatchedMonitor(self.effective(monitor), self.embedder(monitor), reference)

    def controller(self, monitor: str, *, observer: Observer | None = None, follower: Follower | None = None) -> Controller | None:
        """Whoever decides the monitor's log; None before there is a reference."""
        if self.references.active(monitor) is None:
            return None
        reference = self.references.load(monitor)
        return Controller(self.settings.monitor(monitor), reference, self.store, observer or Silent(), follower=follower)

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
def opened(settings: Settings) -> Iterator[Installation]:
    """The installation over the store in its directory."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    installation = Installation(settings, SqliteStore(settings.directory / STORE, pool_rows=_pool_rows(settings)))
    try:
        yield installation
    finally:
        installation.close()


@contextmanager
def in_memory(settings: Settings) -> Iterator[Installation]:
    """The installation's references over a store that is forgotten afterwards: for replays."""
    installation = Installation(settings, SqliteStore(":memory:", pool_rows=_pool_rows(settings)))
    try:
        yield installation
    finally:
        installation.close()


def open_log(settings: Settings) -> SqliteLog:
    """The durable log behind HTTP ingest."""
    limits = settings.log
    return SqliteLog(settings.directory / LOG, backlog_bytes=limits.backlog_bytes, retention_bytes=limits.retention_bytes)


def _destination(settings: WebhookDestination | FolderDestination) -> Destination:
    if isinstance(settings, FolderDestination):
        return Folder(settings.path)
    secret = Secret.parse(read_secret(settings))
    return Webhook(settings.url, secret, timeout=settings.timeout, allow_private=settings.allow_private)


def _pool_rows(settings: Settings) -> Mapping[str, int]:
    return {monitor.name: monitor.pool.rows for monitor in settings.monitors}


def monitor_or_only(settings: Settings, name: str | None) -> MonitorSettings:
    """The named monitor; without a name the only one there is."""
    if name is None and len(settings.monitors) == 1:
        return settings.monitors[0]
    return settings.monitor(name or "")
