"""`python -m benchmarks.throughput_process KIND ADDRESSES…`: one process of the throughput benchmark, which tells what it used as JSON.

It writes `ready` once it holds its partitions, and begins at a line on its standard input.
"""

from __future__ import annotations

import argparse
import logging
import select
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
import structlog
from kafka import KafkaConsumer, TopicPartition

from benchmarks.embedder import bare_session, run_feeds
from service.adapters.blobs import BlobDirectory
from service.adapters.kafka import Cluster, KafkaSource
from service.adapters.onnx_embedder import load_embedder
from service.adapters.onnx_embedder.graph import Graph
from service.adapters.onnx_embedder.text import TextFeeder
from service.adapters.pane_segments import PaneSegments
from service.adapters.redis_store import RedisStore, connect
from service.decoding.kafka_records import KafkaDecoder
from service.observe import Silent
from service.records import Commit, Original, Pane, Record
from service.reference import References
from service.settings import KafkaSettings, MonitorSettings, RedisSettings
from service.watched import Known, WatchedMonitor
from service.worker import BATCH, Worker

PATIENCE_SECONDS = 60.0
"""Without a record: something is wrong."""


@dataclass(frozen=True, slots=True)
class Used:
    """Samples after the warm-up, and the processor's seconds that they took: in all threads, in the main one, and there within polling
    and committing."""

    samples: int
    seconds: float
    main: float = 0.0
    polling: float = 0.0
    committing: float = 0.0


@dataclass(frozen=True, slots=True)
class Task:
    """What to read and where; `share` is how many partitions to wait for, with so many messages in them."""

    kafka: str
    redis: str
    folder: Path
    topic: str
    name: str
    """Of the group and of the keys."""
    share: int
    messages: int
    warm_up: int

    def monitor(self) -> MonitorSettings:
        """As the parent wrote it."""
        return MonitorSettings.model_validate_json((self.folder / f"{self.topic}.json").read_bytes())


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("task")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    task = msgspec.json.decode(given.task, type=Task, dec_hook=lambda kind, value: kind(value))
    print(msgspec.json.encode(asdict(KINDS[given.kind](task))).decode(), flush=True)


def bare(task: Task) -> Used:
    """Polls and parses, and nothing else."""
    decoder = KafkaDecoder([task.monitor()])
    consumer = KafkaConsumer(bootstrap_servers=[task.kafka], enable_auto_commit=False, metrics_enabled=False)
    with closing(consumer):
        partitions = [TopicPartition(task.topic, number) for number in range(task.share)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        started(lambda: None)
        return counted(task, partial(_parsed, consumer, decoder))


def _parsed(consumer: KafkaConsumer, decoder: KafkaDecoder) -> int:
    samples = 0
    for known, records in consumer.poll(timeout_ms=200, max_records=BATCH).items():
        for record in records:
            samples += len(decoder.decode(known.topic, Original(record.key, record.value, (), record.timestamp / 1000)))
    return samples


def work(task: Task) -> Used:
    """The worker over Kafka and Redis."""
    monitor = task.monitor()
    watched = WatchedMonitor(
        monitor, load_embedder(monitor.embedder), Known.of(References(task.folder / "references").load(monitor.name, 1))
    )
    with ExitStack() as stack:
        source, store = stack.enter_context(closing(_source(task, monitor))), _store(task, monitor, stack)
        worker = Worker(source, store, {monitor.name: watched}, Silent())
        while len(source.partitions()) < task.share:
            source.poll(1, 0.1)
        started(source.partitions)

        def begun() -> None:
            source.polling = store.committing = 0.0

        used = counted(task, partial(worker.step, 0.2), begun=begun)
        return replace(used, polling=source.polling, committing=store.committing)


def _source(task: Task, monitor: MonitorSettings) -> TimedSource:
    decoder, cluster = KafkaDecoder([monitor]), Cluster(KafkaSettings(brokers=(task.kafka,), group=task.name))
    return TimedSource(cluster, dict.fromkeys(decoder.topics, "earliest"), decoder.decode)


def _store(task: Task, monitor: MonitorSettings, stack: ExitStack) -> TimedStore:
    blobs = stack.enter_context(closing(BlobDirectory(task.folder / "blobs", cap_bytes=10**9)))
    server, rows = connect(RedisSettings(url=task.redis, prefix=task.name)), {monitor.name: monitor.pool.rows}
    store = TimedStore(server, blobs=blobs, archive=lambda state: PaneSegments(task.folder / "panes" / state), pool_rows=rows)
    return stack.enter_context(closing(store))


def runtime(task: Task) -> Used:
    """ONNX Runtime alone, on the batches that the worker makes of the topic, tokenised beforehand."""
    settings = task.monitor().embedder
    if settings.model is None:
        raise ValueError(f"monitor {task.topic} has no model to run")
    texts = [msgspec.json.decode(line)["text"] for line in (task.folder / f"{task.topic}.jsonl").read_bytes().splitlines()]
    feeder, session = TextFeeder(settings, Graph(settings.model, threads=1)), bare_session(settings.model, 1)
    chunks = iter([[batch.feed for batch in feeder.batches(texts[at : at + BATCH])] for at in range(0, len(texts), BATCH)])
    started(lambda: None)
    seconds, samples = 0.0, len(texts) - BATCH
    run_feeds(session, next(chunks))
    for feeds in chunks:
        before = time.process_time()
        run_feeds(session, feeds)
        seconds += time.process_time() - before
    return Used(samples, seconds)


def started(meanwhile: Callable[[], object]) -> None:
    """Waits for the parent's word."""
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0.2)[0]:
        meanwhile()


def counted(task: Task, step: Callable[[], int], *, begun: Callable[[], object] = lambda: None) -> Used:
    """Steps until all is read; the warm-up is left out."""
    taken, begins, ends = 0, (0, 0.0, 0.0), (0, 0.0, 0.0)
    patience = time.monotonic() + PATIENCE_SECONDS
    while taken < task.messages:
        found = step()
        if found:
            taken, patience = taken + found, time.monotonic() + PATIENCE_SECONDS
            ends = taken, time.process_time(), time.thread_time()
        elif time.monotonic() > patience:
            raise TimeoutError(f"{taken} of {task.messages} messages of {task.topic} came, and nothing for {PATIENCE_SECONDS:g} s")
        if not begins[0] and taken >= task.warm_up:
            begins = ends
            begun()
    return Used(ends[0] - begins[0], ends[1] - begins[1], ends[2] - begins[2])


class TimedSource(KafkaSource):
    """Counts the main thread's time of polls that brought something."""

    polling = 0.0

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        before = time.thread_time()
        records = super().poll(limit, timeout)
        if records:
            self.polling += time.thread_time() - before
        return records


class TimedStore(RedisStore):
    """Counts the main thread's time of commits."""

    committing = 0.0

    def commit(self, commit: Commit) -> Sequence[Pane]:
        before = time.thread_time()
        closed = super().commit(commit)
        self.committing += time.thread_time() - before
        return closed


KINDS: dict[str, Callable[[Task], Used]] = {"bare": bare, "work": work, "runtime": runtime}


if __name__ == "__main__":
    main()
