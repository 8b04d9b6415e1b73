"""Backfills put together: a finite source, a store of its own, and the monitor as it stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from service.adapters.kafka import Cluster, RangeSource, stretches_between
from service.adapters.sqlite import Retention, SqliteStore
from service.app.installation import Installation
from service.backfill import Backfills, Parts, TopicSpan, carry_out, cut, held, plan
from service.controller import Controller
from service.decoding.kafka_records import KafkaDecoder
from service.errors import ConfigurationError, NotFoundError
from service.observe import Silent
from service.ports import Source, Store
from service.privacy.showing import entities
from service.records import Alarm, Backfill, BackfillState, Item, Original, Stretch
from service.records.erasure import Forgotten
from service.replay import MOST_LETTERS
from service.settings import KafkaSettings, S3Storage, Settings, TopicSettings
from service.worker import Worker


@dataclass(frozen=True, slots=True, eq=False)
class Backfilling:
    """A backfill that can be carried out, or carried on."""

    installation: Installation
    planned: Backfill
    source: Callable[[Sequence[Stretch]], Source]

    def run(self, progress: Callable[[Backfill], None] = lambda _: None) -> Backfill:
        """Reads on to the end; one that is done is returned as it is."""
        require_shared(self.installation.settings)
        backfills = Backfills(self.installation.settings.directory)
        with backfills.taken_up(self.planned) as backfill:
            if backfill.state is BackfillState.DONE:
                return backfill
            with _parts(self.installation, backfill, self.source(backfill.stretches)) as parts:
                return carry_out(backfill, parts, backfills, clock=time.time, progress=progress)


def backfill_topic(installation: Installation, monitor: str, span: TopicSpan) -> Backfilling:
    """Of a topic's time span, without what the monitor reads live."""
    kafka = installation.settings.kafka
    if kafka is None:
        raise ConfigurationError("kafka is missing: a topic is read from the brokers that this section names")
    cluster = Cluster(kafka, installation.settings.kafka_password)
    found = stretches_between(cluster, span.topic, span.partitions, since=span.since, until=span.until)
    topics = {kafka.ingest_topic, *([own.name] if (own := installation.effective(monitor).topic) else [])}
    stretches = cut(found, held(installation.store, installation.watched(monitor)) if span.topic in topics else {})
    planned = plan(
        monitor,
        f"topic {span.topic}",
        stretches,
        made_by=_made_by(installation, monitor),
        now=time.time(),
        since=span.since,
        until=span.until,
    )
    decode = _decoder(installation, monitor, span.topic, kafka)
    return Backfilling(installation, planned, lambda stretches: RangeSource(cluster, stretches, decode))


def require_shared(settings: Settings) -> None:
    """ConfigurationError where what a backfill keeps would go with this process, out of reach of others and of erasures."""
    if isinstance(settings.storage, S3Storage):
        raise ConfigurationError(
            "storage: a backfill keeps a store of its own below the directory, where others read it and erasures reach it; with type s3 no "
            "folder is shared: use `driftgate replay`, or an installation with storage of type directory"
        )


def backfill_files(installation: Installation, monitor: str, paths: Sequence[Path]) -> Backfilling:
    """Of files, read whole."""
    source = installation.files(monitor, paths)
    stretches = [Stretch(partition, 0, 0) for partition in source.partitions()]
    names = ", ".join(path.name for path in paths)
    planned = plan(monitor, names, stretches, made_by=_made_by(installation, monitor), now=time.time())
    return Backfilling(installation, planned, lambda _: source)


def backfill_alarms(installation: Installation, backfill: Backfill) -> Sequence[Alarm]:
    """What it found, in order."""
    path = Backfills(installation.settings.directory).store_path(backfill)
    with closing(SqliteStore(path)) as store:
        found = store.find(Alarm, monitor=backfill.monitor, limit=MOST_LETTERS)
    return sorted(found, key=lambda alarm: alarm.at_sequence)


@contextmanager
def _parts(installation: Installation, backfill: Backfill, source: Source) -> Iterator[Parts]:
    """The controller follows nothing up, and what it would send stays in the backfill's own outbox."""
    monitor = backfill.monitor
    with closing(source), closing(_store(installation, backfill)) as store:
        _refuse_forgotten(installation.store, store, monitor)
        reference = installation.references.load(monitor, backfill.reference)
        worker = Worker(source, store, {monitor: installation.watched(monitor)}, Silent())
        yield Parts(worker, Controller(installation.effective(monitor), reference, store, Silent()), source, store)


def _refuse_forgotten(known: Store, store: Store, monitor: str) -> None:
    """What was forgotten is not taken from history either."""
    there = store.forgotten()
    store.save(*(replace(each, version=1) for each in entities(known, Forgotten, monitor) if each.id not in there))


def _store(installation: Installation, backfill: Backfill) -> SqliteStore:
    limits, rows = installation.settings.pane_log, installation.effective(backfill.monitor).pool.rows
    panes = Retention(limits.retention_bytes, limits.retention_seconds)
    return SqliteStore(Backfills(installation.settings.directory).store_path(backfill), pool_rows={backfill.monitor: rows}, panes=panes)


def _made_by(installation: Installation, monitor: str) -> tuple[int, int]:
    """The reference in force and the version of what shapes the panes: another one makes another backfill."""
    version = installation.version(monitor)
    if version is None:
        raise NotFoundError(f"monitor {monitor} has no reference yet; `driftgate reference build` makes one")
    return version, installation.declared(monitor).shape


def _decoder(installation: Installation, monitor: str, topic: str, kafka: KafkaSettings) -> Callable[[str, Original], tuple[Item, ...]]:
    """Reads the topic as the monitor's own, with the paths that its `topic` declares; what is other monitors' is left away."""
    settings = [installation.effective(name) for name in installation.names]
    own = next(each for each in settings if each.name == monitor)
    if topic != kafka.ingest_topic:
        declared = own.topic.model_copy(update={"name": topic}) if own.topic else TopicSettings(name=topic)
        settings = [own.model_copy(update={"topic": declared})]
    return partial(_own_items, KafkaDecoder(settings, kafka.ingest_topic), monitor)


def _own_items(decoder: KafkaDecoder, monitor: str, topic: str, record: Original) -> tuple[Item, ...]:
    return tuple(item for item in decoder.decode(topic, record) if item.monitor == monitor)
