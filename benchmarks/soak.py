"""A day of traffic, compressed: vectors through a topic, `driftgate worker` and `driftgate controller` over Redis, as fast as they go.

Log times spread over a day, so panes close, detectors are stored and old panes archived as they would be in one. Whoever writes the topic
keeps a bounded lead, so that retention takes nothing. `SOAK_RUNS` sets how many vectors, 400,000 by default; the whole is 5,000,000.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import yaml
from kafka import KafkaProducer

from benchmarks.figures import Figure, Progress
from benchmarks.real_servers import RedisWork, kafka_broker, processor_seconds, redis_server, redis_store
from benchmarks.synthetic import LOCALES, REFERENCE_ROWS, Topics
from service.ports import Store
from tests.servers.kafka_server import KafkaServer
from tests.servers.redis_server import RedisServer

SAMPLES = int(os.environ.get("SOAK_RUNS", "400_000"))
DIMENSION, PARTITIONS = 64, 4
CHUNK, LEAD = 10_000, 60_000
"""Messages between two looks; how far the topic may be ahead of the worker."""
DAY = 86_400.0
GROWTH, SLACK = 0.05, 4 * 2**20
"""Bar: how much memory may grow from the second fifth of the stream to the last, as a share and in bytes beside it."""
PATIENCE_SECONDS = 120.0
MONITOR = "soak"


@dataclass(slots=True)
class Peaks:
    """The largest readings in the second fifth of the stream and in the last."""

    early: int = 0
    late: int = 0

    def note(self, share: float, reading: int) -> None:
        """A reading after that share of the stream."""
        if 0.2 <= share < 0.4:
            self.early = max(self.early, reading)
        elif share >= 0.8:
            self.late = max(self.late, reading)

    def figure(self, name: str) -> Figure:
        """With its bar."""
        value = f"{self.early / 2**20:.1f} MB, then {self.late / 2**20:.1f} MB"
        flat = self.late <= self.early * (1 + GROWTH) + SLACK
        return Figure(f"memory of {name}, second and last fifth", value, f"grows by ≤ {GROWTH:.0%} and {SLACK / 2**20:.0f} MB", flat)


@dataclass(slots=True)
class Watch:
    """What is looked at between two chunks."""

    worker: subprocess.Popen[bytes]
    controller: subprocess.Popen[bytes]
    redis: RedisServer
    peaks: dict[str, Peaks] = field(default_factory=lambda: {name: Peaks() for name in ("the worker", "the controller", "Redis")})

    def look(self, share: float) -> None:
        """Notes how large everything is."""
        self.peaks["the worker"].note(share, resident(self.worker))
        self.peaks["the controller"].note(share, resident(self.controller))
        self.peaks["Redis"].note(share, RedisWork.of(self.redis).memory)


def run(progress: Progress) -> Sequence[Figure]:
    """One monitor with six slices."""
    with TemporaryDirectory(prefix="driftgate-bench-") as path, kafka_broker() as kafka, redis_server() as redis, ExitStack() as stack:
        folder = Path(path)
        config = configured(folder, kafka, redis)
        progress("building the reference")
        topics = Topics(0, dimension=DIMENSION)
        learn(folder, config, topics)
        kafka.create_topics({MONITOR: PARTITIONS}, configs={"retention.bytes": "200000000", "segment.bytes": "50000000"})
        worker, controller = (stack.enter_context(role(name, config, folder)) for name in ("worker", "controller"))
        store = stack.enter_context(redis_store(redis, folder, prefix="driftgate"))
        watch, before, started = Watch(worker, controller, redis), RedisWork.of(redis), time.perf_counter()
        write(kafka, topics, store, watch, progress)
        written = time.perf_counter()
        wait_for(store, watch, SAMPLES, progress)
        behind = time.perf_counter() - written
        wait_until_decided(store, watch)
        total = time.perf_counter() - started
        work = RedisWork.of(redis).since(before)
        return list(figures(watch, work, store, total=total, behind=behind))


def figures(watch: Watch, work: RedisWork, store: Store, *, total: float, behind: float) -> Iterator[Figure]:
    """At the end of the stream."""
    taken = store.samples_taken(MONITOR)
    yield Figure("vectors taken", f"{taken:,} of {SAMPLES:,}, {SAMPLES / total:,.0f} a second", "each once", taken == SAMPLES)
    yield Figure("lag after the last one was written, gone after", f"{behind:.1f} s", "it goes", True)
    for name, peaks in watch.peaks.items():
        yield peaks.figure(name)
    for name, process in (("worker", watch.worker), ("controller", watch.controller)):
        yield Figure(f"{name}: one core's time a sample, its start included", f"{1e6 * processor_seconds(process.pid) / SAMPLES:.1f} µs")
    per = f"{work.received / SAMPLES:,.0f} bytes in, {work.sent / SAMPLES:,.0f} bytes out, {1e6 * work.processor / SAMPLES:.1f} µs"
    yield Figure("Redis: a sample", per)


def configured(folder: Path, kafka: KafkaServer, redis: RedisServer) -> Path:
    """A configuration file as a user writes it."""
    embedder = {"input": "none", "dimension": DIMENSION}
    monitor = {"name": MONITOR, "embedder": embedder, "segments": {"tags": ["locale"]}, "topic": {"name": MONITOR, "start": "earliest"}}
    servers = {"kafka": {"brokers": [kafka.bootstrap]}, "redis": {"url": redis.url}, "server": {"port": 0}}
    path = folder / "driftgate.yaml"
    path.write_text(yaml.safe_dump({"directory": str(folder), **servers, "monitors": [monitor]}), encoding="utf-8")
    return path


def learn(folder: Path, config: Path, topics: Topics) -> None:
    """Builds the reference by the command."""
    rows = vectors(topics, REFERENCE_ROWS)
    history = folder / "history.jsonl"
    history.write_bytes(b"\n".join(message(number, row) for number, row in enumerate(rows)))
    build = ["reference", "build", "--config", str(config), "--monitor", MONITOR, "--input", str(history)]
    subprocess.run([driftgate(), *build], check=True, capture_output=True)


def write(kafka: KafkaServer, topics: Topics, store: Store, watch: Watch, progress: Progress) -> None:
    """Fills the topic, never far ahead of what is in the store."""
    producer = KafkaProducer(bootstrap_servers=[kafka.bootstrap], linger_ms=20, batch_size=200_000)
    first = time.time() - DAY
    for begins in range(0, SAMPLES, CHUNK):
        wait_for(store, watch, begins - LEAD, progress)
        for number, vector in enumerate(vectors(topics, min(CHUNK, SAMPLES - begins)), begins):
            at = int(1000 * (first + DAY * number / SAMPLES))
            producer.send(MONITOR, message(number, vector), partition=number % PARTITIONS, timestamp_ms=at)
        watch.look(begins / SAMPLES)
    producer.flush()
    producer.close()


def wait_for(store: Store, watch: Watch, samples: int, progress: Progress) -> None:
    """Until so many are in the store."""
    patience, last = time.monotonic() + PATIENCE_SECONDS, -1
    while (taken := store.samples_taken(MONITOR)) < samples:
        progress(f"{taken:,} of {SAMPLES:,} vectors")
        watch.look(taken / SAMPLES)
        if taken > last:
            patience, last = time.monotonic() + PATIENCE_SECONDS, taken
        if time.monotonic() > patience:
            raise TimeoutError(f"{taken:,} vectors are taken, and no other for {PATIENCE_SECONDS:g} s")
        time.sleep(0.1)


def wait_until_decided(store: Store, watch: Watch) -> None:
    """Until the controller has decided every pane."""
    patience = time.monotonic() + PATIENCE_SECONDS
    while store.undecided():
        watch.look(1.0)
        if time.monotonic() > patience:
            raise TimeoutError(f"panes are undecided after {PATIENCE_SECONDS:g} s: decided up to {store.decided(MONITOR)[0]:,}")
        time.sleep(0.1)


@contextmanager
def role(name: str, config: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own, ended with the block."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([driftgate(), name, "--config", str(config)], stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def driftgate() -> str:
    """The command of this environment."""
    return str(Path(sys.executable).with_name("driftgate"))


def resident(process: subprocess.Popen[bytes]) -> int:
    """Bytes of memory that it holds; 0 once it has ended."""
    statm = Path(f"/proc/{process.pid}/statm").read_text().split()
    return int(statm[1]) * os.sysconf("SC_PAGE_SIZE")


def vectors(topics: Topics, count: int) -> list[bytes]:
    """As JSON, five decimals each."""
    return [msgspec.json.encode(row) for row in np.round(topics.draw(count).astype(np.float64), 5).tolist()]


def message(number: int, vector: bytes) -> bytes:
    """Without a time: the log's is taken."""
    return b'{"id":"s%d","segments":{"locale":"%b"},"vector":%b}' % (number, LOCALES[number % len(LOCALES)].encode(), vector)
