"""Which store, log and destinations a configuration stands for: the concrete classes behind the ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from service.adapters.folder import FolderDestination as Folder
from service.adapters.log_source import LogSource
from service.adapters.sqlite import Retention, SqliteLog, SqliteStore
from service.adapters.webhook import WebhookDestination as Webhook
from service.declarations import Declared
from service.decoding.envelope import decode
from service.letters import Posted
from service.ports import DeadLetterTopic, Destination, Progress, Sink, Source, Store
from service.records import Declaration
from service.settings import FolderDestination, Settings, WebhookDestination, read_secret
from service.signatures import Secret

STORE, LOG = "driftgate.sqlite", "ingest.sqlite"


def open_store(settings: Settings, pool_rows: Mapping[str, int]) -> Store:
    """The installation's own. `pool_rows` is looked up at every commit, so it may change."""
    limits = settings.pane_log
    panes = Retention(limits.retention_bytes, limits.retention_days * 86_400.0)
    return SqliteStore(settings.directory / STORE, pool_rows=pool_rows, panes=panes)


def passing_store(settings: Settings, pool_rows: Mapping[str, int]) -> Store:
    """One in memory that is forgotten afterwards; it knows the installation's declarations and nothing else."""
    limits = settings.pane_log
    store = SqliteStore(":memory:", pool_rows=pool_rows, panes=Retention(0, limits.retention_days * 86_400.0))
    if settings.redis is not None or (settings.directory / STORE).is_file():
        with closing(open_store(settings, pool_rows)) as own:
            store.save(*(replace(declaration, version=1) for declaration in own.find(Declaration, limit=10_000)))
    return store


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """Where a worker's samples come from, and its dead letters go besides the store."""

    source: Source
    follow: Callable[[Mapping[str, Declared]], object] = lambda _: None
    """Told of the declared monitors, whose topics are read."""
    letters: DeadLetterTopic | None = None

    def progress(self, store: Store) -> Progress:
        """Where the worker commits."""
        return store if self.letters is None else Posted(store, self.letters)


@dataclass(frozen=True, slots=True, eq=False)
class Logs:
    """What stands between ingest and workers; each side is opened by the process that needs it."""

    feed: Callable[[], Feed]
    sink: Callable[[], Sink]
    backlog: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """(bytes, entries) that were accepted and are not committed yet, where they are here."""


@contextmanager
def open_logs(settings: Settings) -> Iterator[Logs]:
    """The embedded log."""
    with closing(open_log(settings)) as log:
        yield Logs(lambda: Feed(LogSource(log, decode)), lambda: log, lambda: (log.backlog, log.entries))


def open_log(settings: Settings) -> SqliteLog:
    """The durable log behind HTTP ingest."""
    limits = settings.log
    return SqliteLog(settings.directory / LOG, backlog_bytes=limits.backlog_bytes, retention_bytes=limits.retention_bytes)


class Destinations(Mapping[str, Destination]):
    """Where outbox items go, by name, as the configuration says now."""

    def __init__(self, settings: Settings) -> None:
        self._declared: dict[str, WebhookDestination | FolderDestination] = {}
        self._open: dict[str, Destination] = {}
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """Takes up what was declared or changed, and lets go of what was not."""
        declared = {destination.name: destination for destination in settings.destinations}
        changed = {name: made for name, made in declared.items() if made != self._declared.get(name)}
        opened = {name: _destination(made) for name, made in changed.items()}  # all or none: a secret may be missing
        left = [self._open[name] for name in self._open if name not in declared or name in opened]
        self._open = {name: opened.get(name) or self._open[name] for name in declared}
        self._declared = declared
        for destination in left:
            destination.close()

    def __getitem__(self, name: str) -> Destination:
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)


def _destination(settings: WebhookDestination | FolderDestination) -> Destination:
    if isinstance(settings, FolderDestination):
        return Folder(settings.path)
    secret = Secret.parse(read_secret(settings))
    return Webhook(settings.url, secret, timeout=settings.timeout, allow_private=settings.allow_private)
