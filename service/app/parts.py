"""Which store and log a configuration stands for: the concrete classes behind the ports."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from service.adapters.kafka import Cluster, Decode, KafkaDeadLetters, KafkaSink, KafkaSource, KafkaTopics, Start, starts
from service.adapters.log_source import LogSource
from service.adapters.redis_store import RedisStore, Server, connect
from service.adapters.sqlite import Retention, SqliteLog, SqliteStore
from service.app.files import LOG, STORE
from service.app.storage import Files, open_files
from service.decoding.envelope import decode
from service.decoding.kafka_records import KafkaDecoder
from service.errors import ConfigurationError, NotFoundError, UnavailableError
from service.letters import Posted
from service.ports import Blobs, BlobStore, DeadLetterTopic, Progress, Sink, Source, Store, Topics
from service.records import Declaration, Partition
from service.settings import MonitorSettings, Settings

P = ParamSpec("P")
T = TypeVar("T")


class Timed(Protocol):
    """Measures a function."""

    def __call__(self, function: Callable[P, T], /) -> Callable[P, T]: ...


def untimed(function: Callable[P, T], /) -> Callable[P, T]:
    """Nobody measures it."""
    return function


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The store, and what lies beside it."""

    store: Store
    files: Files
    probe: Callable[[], None] = lambda: None
    """Raises the reason why the store takes nothing now."""
    blobs: BlobStore | None = None
    shared: Server | None = None
    """What several processes keep their state in."""


def open_state(settings: Settings, pool_rows: Mapping[str, int]) -> State:
    """The installation's own. `pool_rows` is looked up at every commit, so it may change."""
    files, limits = open_files(settings), settings.pane_log
    if settings.redis is None:
        panes = Retention(limits.retention_bytes, limits.retention_seconds)
        file = SqliteStore(settings.directory / STORE, pool_rows=pool_rows, panes=panes)
        return State(file, files, partial(_all, partial(_ask, file), files.probe))
    blobs = files.blobs()
    server = redis_server(settings)
    shared = RedisStore(server, blobs=blobs, archive=files.archive, pool_rows=pool_rows)
    return State(shared, files, partial(_all, shared.probe, files.probe), blobs, server)


def redis_server(settings: Settings) -> Server:
    """As configured; nothing is asked of it yet."""
    if settings.redis is None:
        raise ConfigurationError("redis is not configured")
    password = settings.redis_password
    return connect(settings.redis, None if password is None else password.get_secret_value())


def _all(*probes: Callable[[], None]) -> None:
    for probe in probes:
        probe()


def _ask(store: SqliteStore) -> None:
    try:
        store.samples_taken("")
    except sqlite3.Error as error:
        raise UnavailableError(f"the store does not answer: {error}") from error


def passing_store(settings: Settings, pool_rows: Mapping[str, int]) -> Store:
    """One in memory that is forgotten afterwards; it knows the installation's declarations and nothing else."""
    store = SqliteStore(":memory:", pool_rows=pool_rows, panes=Retention(0, settings.pane_log.retention_seconds))
    if settings.redis is not None or (settings.directory / STORE).is_file():
        with closing(open_state(settings, pool_rows).store) as own:
            store.save(*(replace(declaration, version=1) for declaration in own.find(Declaration, limit=10_000)))
    return store


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """Where a worker's samples come from, and its dead letters go besides the store."""

    source: Source
    follow: Callable[[Sequence[MonitorSettings]], None] = lambda _: None
    """Told of the monitors whose topics are read, between two batches."""
    waits_for: Callable[[], str] = str
    """Why nothing, or not everything, can be read; '' when all is well."""
    lag: Callable[[], Mapping[Partition, int]] | None = None
    letters: DeadLetterTopic | None = None

    def progress(self, store: Store) -> Progress:
        """Where the worker commits."""
        return store if self.letters is None else Posted(store, self.letters)

    def close(self) -> None:
        """Leaves the group, so that others take over at once."""
        self.source.close()
        if self.letters is not None:
            self.letters.close()


@dataclass(frozen=True, slots=True, eq=False)
class Logs:
    """What stands between ingest and workers; each side is opened by the process that needs it."""

    feed: Callable[[Sequence[MonitorSettings], Blobs | None], Feed]
    sink: Callable[[], Sink]
    backlog: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """(bytes, entries) that were accepted and are not committed yet, where they are here."""
    keep: Callable[[bool], None] = lambda _: None
    """Whether what is decided may stay in the log."""


@contextmanager
def open_logs(settings: Settings, timed: Timed = untimed) -> Iterator[Logs]:
    """Kafka where it is configured, else the embedded log. `timed`: measures what it is given."""
    if settings.kafka is not None:
        with ExitStack() as stack:
            cluster = Cluster(settings.kafka, settings.kafka_password)
            yield Logs(partial(_kafka_feed, cluster, timed), partial(_kafka_sink, cluster, stack))
        return
    with closing(open_log(settings)) as log:

        def feed(*_: object) -> Feed:
            return Feed(LogSource(log, timed(decode)), lag=lambda: {log.partition: log.entries})

        yield Logs(feed, lambda: log, lambda: (log.backlog, log.entries), log.keep)


def _kafka_feed(cluster: Cluster, timed: Timed, monitors: Sequence[MonitorSettings], blobs: Blobs | None) -> Feed:
    settings = cluster.settings
    read = _Read(tuple(monitors), settings.ingest_topic, timed)
    source = KafkaSource(cluster, *read.topics())
    letters = KafkaDeadLetters(cluster, settings.dead_letter_topic, blobs) if settings.dead_letter_topic else None
    return Feed(source, partial(read.follow, source), lambda: source.waits_for, lambda: source.lags, letters)


class _Read:
    """Which topics the monitors read, and how."""

    def __init__(self, monitors: tuple[MonitorSettings, ...], ingest_topic: str | None, timed: Timed) -> None:
        self._monitors = monitors
        self._ingest_topic = ingest_topic
        self._timed = timed

    def topics(self) -> tuple[Mapping[str, Start], Decode]:
        """Where each begins, and what decodes its records."""
        decode = KafkaDecoder(self._monitors, self._ingest_topic).decode
        return starts(self._monitors, self._ingest_topic), self._timed(decode)

    def follow(self, source: KafkaSource, monitors: Sequence[MonitorSettings]) -> None:
        """Tells the source of monitors that have changed."""
        if tuple(monitors) != self._monitors:
            self._monitors = tuple(monitors)
            source.watch(*self.topics())


class _Nowhere:
    """The sink of an installation that takes nothing over HTTP."""

    def append(self, bodies: Sequence[bytes], *, now: float, keys: Sequence[str] = ()) -> object:  # noqa: ARG002 - the port's signature
        """Refused."""
        raise NotFoundError("this installation takes samples from its Kafka topics only (kafka.ingest_topic is null)")


def _kafka_sink(cluster: Cluster, stack: ExitStack) -> Sink:
    topic = cluster.settings.ingest_topic
    return _Nowhere() if topic is None else stack.enter_context(closing(KafkaSink(cluster, topic)))


@contextmanager
def open_topics(settings: Settings) -> Iterator[Topics | None]:
    """For what people ask of topics; None on the embedded log."""
    if settings.kafka is None:
        yield None
        return
    with closing(KafkaTopics(Cluster(settings.kafka, settings.kafka_password))) as topics:
        yield topics


def open_log(settings: Settings) -> SqliteLog:
    """The durable log behind HTTP ingest."""
    limits = settings.log
    return SqliteLog(settings.directory / LOG, backlog_bytes=limits.backlog_bytes, retention_bytes=limits.retention_bytes)
