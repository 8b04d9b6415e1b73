"""What the worker costs from decoded arrays to committed panes, and whether its memory stays flat over a long stream."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.summarizer import Summarizer
from service.adapters.memory import ListSource
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.observe import Silent
from service.records import Partition, Record, Sample
from service.settings import MonitorSettings
from service.watched import WatchedMonitor
from service.worker import BATCH, Worker

DIMENSION, TOPICS = 384, 40
LOCALES = ("en", "de", "fr", "es", "it", "pt")
REFERENCE_ROWS = 4_000
SPEED_SAMPLES, WARM_UP = 40 * BATCH, 4 * BATCH
BAR = 50.0
"""Microseconds per sample, without an embedder, up to the committed decision: what the worker leaves is the controller's."""
FLAT = 1.1
"""Resident memory at the end of the stream over that after its first tenth."""


class Topics:
    """Unit vectors around a few dozen centres: a stand-in for sentence embeddings."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._centres = self._rng.normal(size=(TOPICS, DIMENSION)).astype(np.float32)

    def draw(self, count: int) -> NDArray[np.float32]:
        """(count, d) float32."""
        noise = self._rng.standard_normal((count, DIMENSION), np.float32)
        rows = self._centres[self._rng.integers(0, TOPICS, count)] + 1.5 * noise
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


LOG = Partition("benchmark", "1")


def drawn(topics: Topics, offsets: range) -> list[Record]:
    """Records of one sample each, 50 a second."""
    rows = zip(offsets, topics.draw(len(offsets)), strict=True)
    return [Record(LOG, n, n / 50, (Sample("bench", f"s{n}", n / 50, row, {"locale": LOCALES[n % len(LOCALES)]}),)) for n, row in rows]


class Stream:
    """A finite source whose records are drawn as they are polled."""

    def __init__(self, topics: Topics, samples: int) -> None:
        self._topics, self._samples = topics, samples
        self._next = 0

    def partitions(self) -> Sequence[Partition]:
        return [LOG]

    def seek(self, partition: Partition, offset: int) -> None:  # noqa: ARG002 - there is one
        self._next = offset

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:  # noqa: ARG002 - never empty before the end
        start, self._next = self._next, min(self._next + limit, self._samples)
        return drawn(self._topics, range(start, self._next))

    @property
    def ended(self) -> bool:
        return self._next == self._samples

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True)
class _Reference:
    summarizer: Summarizer
    fingerprint: str
    version: int = 1
    segment_values: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"locale": LOCALES})


def watched(topics: Topics) -> WatchedMonitor:
    """A monitor of vectors with one segment tag."""
    rows = topics.draw(REFERENCE_ROWS)
    half = REFERENCE_ROWS // 2
    embedder = VectorEmbedder(DIMENSION, normalize=False)
    document = {"name": "bench", "embedder": {"input": "none", "dimension": DIMENSION}, "segments": {"tags": ["locale"]}}
    summarizer = Summarizer.fit(rows[:half], rows[half:], rng=np.random.default_rng(1))
    return WatchedMonitor(MonitorSettings.model_validate(document), embedder, _Reference(summarizer, embedder.fingerprint))


def speed(samples: int = SPEED_SAMPLES) -> float:
    """Prints and returns microseconds of processor time per sample, the median over batches of 512 committed to a SQLite file."""
    topics, batches = Topics(0), list[tuple[float, float]]()
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "store.sqlite")
        worker = Worker(ListSource(drawn(topics, range(samples))), store, {"bench": watched(topics)}, Silent())
        while not worker.ended:
            processor, wall = time.process_time(), time.perf_counter()
            taken = worker.step(0.0)
            batches.append(((time.process_time() - processor) / taken, (time.perf_counter() - wall) / taken))
        store.close()
    busy, elapsed = (1e6 * float(np.median(column)) for column in zip(*batches[WARM_UP // BATCH :], strict=True))
    print(f"pipeline: {busy:.1f} µs of one core per sample, vectors of {DIMENSION} to committed panes (bar {BAR:g}); elapsed {elapsed:.1f}")
    return busy


def memory(samples: int = 1_000_000) -> float:
    """Prints and returns resident memory at the end of the stream over that after its first tenth."""
    topics = Topics(0)
    readings: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "store.sqlite")
        worker, taken = Worker(Stream(topics, samples), store, {"bench": watched(topics)}, Silent()), 0
        while not worker.ended:
            taken += worker.step(0.0)
            readings.append((taken, resident_bytes()))
        store.close()
    early = max(size for at, size in readings if at <= samples // 10)
    late = max(size for at, size in readings if at > samples - samples // 10)
    megabytes = " → ".join(f"{size / 2**20:.0f}" for size in (early, late))
    print(f"memory: {megabytes} MB resident over {samples:,} vectors; ratio {late / early:.3f} (bar {FLAT})")
    return late / early


def resident_bytes() -> int:
    """This process's, now; the peak where /proc is missing."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
