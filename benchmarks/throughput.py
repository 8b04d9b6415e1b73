"""The worker over a real Kafka and Redis, beside a bare kafka-python loop that only polls and parses the same messages.

Processes of their own take turns on the same topic, each with a group and keys of its own, so that what they share of the machine is
alike; figures are medians over `ROUNDS` turns. `THROUGHPUT_RUNS` sets how many, 3 by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from kafka import KafkaProducer

from benchmarks.embedder import mixed_texts
from benchmarks.figures import Figure, Progress
from benchmarks.real_servers import RedisWork, kafka_broker, redis_server
from benchmarks.synthetic import DIMENSION, LOCALES, PER_SECOND, Topics, samples
from benchmarks.throughput_process import Task, Used
from service.adapters.onnx_embedder import load_embedder
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.model_build import cached_minilm
from service.records import Sample
from service.reference import Origin, References
from service.reference_rows import embed_rows
from service.settings import MonitorSettings
from service.worker import BATCH
from tests.servers.kafka_server import KafkaServer
from tests.servers.redis_server import RedisServer

ROUNDS = int(os.environ.get("THROUGHPUT_RUNS", "3"))
MESSAGES, WARM_UP, PARTITIONS = 48_000, 8_000, 4
REFERENCE_ROWS, VECTORS = 4_000, 4_000
REFERENCE_TEXTS, TEXTS = 600, 4 * BATCH
ADDED, TOGETHER, RUNTIME = 30.0, 1.1, 0.95
"""Bars: microseconds of processor a sample that the worker adds; of two workers' over one's; of ONNX Runtime alone over MiniLM's worker."""

_numbers = count(1)


def run(progress: Progress) -> Sequence[Figure]:
    """Vectors of 384 numbers as JSON, one segment tag."""
    with TemporaryDirectory(prefix="driftgate-bench-") as folder, kafka_broker() as kafka, redis_server() as redis:
        bench = Bench(Path(folder), kafka, redis)
        progress("writing the topic")
        size = bench.vectors()
        bares, ones, pairs, works = list[Used](), list[Used](), list[Used](), list[RedisWork]()
        for number in range(ROUNDS):
            progress(f"round {number + 1} of {ROUNDS}")
            bares += bench.processes("bare", 1)
            looked = RedisWork.of(redis)
            ones += bench.processes("work", 1)
            works.append(RedisWork.of(redis).since(looked))
            pairs.append(together(bench.processes("work", 2)))
        figures = [
            Figure("a message", f"{size:,.0f} bytes, {DIMENSION} numbers"),
            *vector_figures(bares, ones, pairs),
            *redis_figures(works),
        ]
        return [*figures, *text_figures(bench, progress)]


def vector_figures(bares: Sequence[Used], ones: Sequence[Used], pairs: Sequence[Used]) -> Iterator[Figure]:
    """What the worker adds, and where."""
    bare, one, two = (np.array([microseconds(each) for each in runs]) for runs in (bares, ones, pairs))
    added, ratio = float(np.median(one - bare)), float(np.median(two / one))
    yield Figure("bare loop: poll and parse, one core's time a sample", f"{np.median(bare):.1f} µs")
    yield Figure("worker: the same, embedded, folded and committed", f"{np.median(one):.1f} µs")
    yield Figure("worker adds", f"{added:.1f} µs", f"≤ {ADDED:g} µs", added <= ADDED)
    yield Figure("… polling and parsing, over the bare loop's", f"{median(ones, 'polling') - median(bares, 'main'):.1f} µs")
    yield Figure(
        "… the client's own thread, over the bare loop's", f"{np.median(one - bare) - median(ones, 'main') + median(bares, 'main'):.1f} µs"
    )
    yield Figure("… committing", f"{median(ones, 'committing'):.1f} µs")
    rest = median(ones, "main") - median(ones, "polling") - median(ones, "committing")
    yield Figure("… embedding, folding, describing, the rest", f"{rest:.1f} µs")
    yield Figure("two workers' time a sample over one's", f"{ratio:.3f}", f"≤ {TOGETHER}", ratio <= TOGETHER)


def median(runs: Sequence[Used], kind: str) -> float:
    """Microseconds a sample of one part."""
    return float(np.median([1e6 * getattr(used, kind) / used.samples for used in runs]))


def text_figures(bench: Bench, progress: Progress) -> Iterator[Figure]:
    """With a sentence embedder on one thread nearly all of the time is the model's."""
    progress("MiniLM: the reference, and the topic")
    bench.texts()
    alone, whole = list[float](), list[float]()
    for number in range(ROUNDS):
        progress(f"MiniLM: round {number + 1} of {ROUNDS}")
        alone.append(microseconds(bench.process_of_texts("runtime")))
        whole.append(microseconds(bench.process_of_texts("work")))
    ratio = float(np.median(np.divide(alone, whole)))
    yield Figure("MiniLM, one thread: ONNX Runtime alone, batches made beforehand", f"{np.median(alone) / 1e3:.2f} ms a text")
    yield Figure("MiniLM, one thread: worker, from topic to commit", f"{np.median(whole) / 1e3:.2f} ms a text")
    yield Figure("MiniLM: share of ONNX Runtime's speed", f"{ratio:.3f}", f"≥ {RUNTIME}", ratio >= RUNTIME)


def redis_figures(works: Sequence[RedisWork]) -> Iterator[Figure]:
    """What one worker asks of the server."""
    received, commands, busy = (float(np.median([getattr(w, k) for w in works])) for k in ("received", "commands", "processor"))
    yield Figure(
        "Redis: a sample", f"{received / MESSAGES:,.0f} bytes in, {commands / MESSAGES:.4f} commands, {1e6 * busy / MESSAGES:.1f} µs"
    )


def microseconds(used: Used) -> float:
    """Of the processor, a sample."""
    return 1e6 * used.seconds / used.samples


def together(each: Sequence[Used]) -> Used:
    """Of several processes."""
    return Used(sum(used.samples for used in each), sum(used.seconds for used in each))


class Bench:
    """Servers, topics, and a folder with references and settings."""

    def __init__(self, folder: Path, kafka: KafkaServer, redis: RedisServer) -> None:
        self.folder = folder
        self._kafka = kafka
        self._task = Task(kafka.bootstrap, redis.url, folder, "vectors", "", PARTITIONS, MESSAGES, WARM_UP)

    def vectors(self) -> float:
        """Makes the reference and the topic; the mean size of a message."""
        topics, embedder = Topics(0), VectorEmbedder(DIMENSION, normalize=False)
        settings = self.declare("vectors", {"input": "none", "dimension": DIMENSION}, {"segments": {"tags": ["locale"]}})
        rows = embed_rows(samples(topics, range(REFERENCE_ROWS)), embedder)
        References(self.folder / "references").build(settings, rows, Origin(embedder.fingerprint, 0.0))
        written = [msgspec.json.encode([float(f"{x:.7g}") for x in row]) for row in topics.draw(VECTORS).tolist()]
        return self.write("vectors", PARTITIONS, (_message(n, written[n % VECTORS]) for n in range(MESSAGES)))

    def texts(self) -> None:
        """The same of sentences, beside the topic in a file."""
        model = cached_minilm(Path(".cache/models").resolve())
        detection = {"accept_supported": True, "run_length": 500}
        settings = self.declare("texts", {"model": str(model), "threads": 1}, {"detection": detection})
        embedder, texts = load_embedder(settings.embedder), mixed_texts(np.random.default_rng(0), REFERENCE_TEXTS + TEXTS)
        rows = embed_rows([Sample("texts", str(n), float(n), text) for n, text in enumerate(texts[:REFERENCE_TEXTS])], embedder)
        References(self.folder / "references").build(settings, rows, Origin(embedder.fingerprint, 0.0))
        messages = [msgspec.json.encode({"id": f"t{n}", "time": n, "text": text}) for n, text in enumerate(texts[REFERENCE_TEXTS:])]
        (self.folder / "texts.jsonl").write_bytes(b"\n".join(messages))
        self.write("texts", 1, messages)

    def declare(self, topic: str, embedder: dict[str, object], more: dict[str, object]) -> MonitorSettings:
        """A monitor of the topic's name, for the processes to find."""
        settings = MonitorSettings.model_validate({"name": topic, "embedder": embedder, "topic": {"name": topic}, **more})
        (self.folder / f"{topic}.json").write_text(settings.model_dump_json(), encoding="utf-8")
        return settings

    def write(self, topic: str, partitions: int, messages: Iterable[bytes]) -> float:
        """Spread evenly; the mean size."""
        self._kafka.create_topics({topic: partitions})
        producer = KafkaProducer(bootstrap_servers=[self._kafka.bootstrap], linger_ms=20, batch_size=400_000, max_request_size=2_000_000)
        size = sent = 0
        for number, message in enumerate(messages):
            producer.send(topic, message, partition=number % partitions)
            size, sent = size + len(message), sent + 1
        producer.flush()
        producer.close()
        return size / sent

    def processes(self, kind: str, number: int) -> list[Used]:
        """Runs so many at once, which share the topic of vectors."""
        share = replace(self._task, share=PARTITIONS // number, messages=MESSAGES // number, warm_up=WARM_UP // number)
        return self._run(kind, share, number)

    def process_of_texts(self, kind: str) -> Used:
        """Runs one over the texts."""
        return self._run(kind, replace(self._task, topic="texts", share=1, messages=TEXTS, warm_up=BATCH), 1)[0]

    def _run(self, kind: str, task: Task, number: int) -> list[Used]:
        task = replace(task, name=f"run-{next(_numbers)}")
        document = msgspec.json.encode(asdict(task), enc_hook=str).decode()
        with started([kind, document], number) as running:
            for process in running:
                _line(process)  # ready
            for process in running:
                _begin(process)
            return [msgspec.json.decode(_line(process), type=Used) for process in running]


@contextmanager
def started(arguments: Sequence[str], number: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of the benchmark, ended with the block."""
    command = [sys.executable, "-m", "benchmarks.throughput_process", *arguments]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError(f"a process of the benchmark ended with {process.wait()}; what it said stands above")
    return line


def _begin(process: subprocess.Popen[str]) -> None:
    if process.stdin:
        process.stdin.write("go\n")
        process.stdin.flush()


def _message(number: int, vector: bytes) -> bytes:
    locale = LOCALES[number % len(LOCALES)].encode()
    return b'{"id":"s%d","time":%.3f,"segments":{"locale":"%b"},"vector":%b}' % (number, number / PER_SECOND, locale, vector)
