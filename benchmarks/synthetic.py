"""A monitor of made-up vectors with everything behind it that a real one has: reference, segments, store, worker, controller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.controller import Controller
from service.observe import Silent
from service.ports import Bounds, Source
from service.records import Partition, Record, Sample
from service.reference import Origin, References
from service.reference_rows import embed_rows
from service.settings import MonitorSettings
from service.watched import WatchedMonitor
from service.worker import BATCH, Worker

DIMENSION, TOPICS = 384, 40
LOCALES = ("en", "de", "fr", "es", "it", "pt")
REFERENCE_ROWS = 4_000
PER_SECOND = 50

_LOG = Partition("benchmark", "1")


class Topics:
    """Unit vectors around a few dozen centres: a stand-in for sentence embeddings."""

    def __init__(self, seed: int, *, dimension: int = DIMENSION) -> None:
        self._rng = np.random.default_rng(seed)
        self._centres = self._rng.normal(size=(TOPICS, dimension)).astype(np.float32)

    def draw(self, count: int) -> NDArray[np.float32]:
        """(count, d) float32."""
        noise = self._rng.standard_normal((count, self._centres.shape[1]), np.float32)
        rows = self._centres[self._rng.integers(0, TOPICS, count)] + 1.5 * noise
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def samples(topics: Topics, numbers: range) -> list[Sample]:
    """Each with one segment tag."""
    rows = zip(numbers, topics.draw(len(numbers)), strict=True)
    return [Sample("bench", f"s{n}", n / PER_SECOND, row, {"locale": LOCALES[n % len(LOCALES)]}) for n, row in rows]


class Stream:
    """A finite source whose next batch is drawn ahead of the poll by `draw`, so that drawing can be left out of what is measured."""

    def __init__(self, topics: Topics, length: int) -> None:
        self._topics, self._length = topics, length
        self._next = 0
        self._drawn: list[Record] = []

    def draw(self) -> None:
        """Makes the next batch."""
        numbers = range(self._next, min(self._next + BATCH, self._length))
        self._drawn = [Record(_LOG, n, sample.time, (sample,)) for n, sample in zip(numbers, samples(self._topics, numbers), strict=True)]

    def partitions(self) -> Sequence[Partition]:
        return [_LOG]

    def bounds(self, partition: Partition) -> Bounds:  # noqa: ARG002 - there is one
        return Bounds(end=self._length)

    def seek(self, partition: Partition, offset: int) -> None:  # noqa: ARG002 - there is one
        self._next = offset

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:  # noqa: ARG002 - a whole batch, and never empty before the end
        records, self._drawn = self._drawn, []
        self._next += len(records)
        return records

    def committed(self, partition: Partition, offset: int) -> None:
        """Nothing is kept for a second reading."""

    def alive(self) -> None:
        """Nobody else waits for these records."""

    @property
    def ended(self) -> bool:
        return self._next == self._length

    def close(self) -> None:
        """Nothing is held open."""


@contextmanager
def roles(topics: Topics, source: Source) -> Iterator[tuple[Worker, Controller]]:
    """Worker and controller over a SQLite file, with a reference that has a slice for each segment."""
    document = {"name": "bench", "embedder": {"input": "none", "dimension": DIMENSION}, "segments": {"tags": ["locale"]}}
    settings, embedder = MonitorSettings.model_validate(document), VectorEmbedder(DIMENSION, normalize=False)
    with TemporaryDirectory() as folder:
        rows = embed_rows(samples(topics, range(REFERENCE_ROWS)), embedder)
        reference = References(Path(folder)).build(settings, rows, Origin(embedder.fingerprint, 0.0))
        store = SqliteStore(Path(folder) / "store.sqlite", pool_rows={"bench": settings.pool.rows})
        worker = Worker(source, store, {"bench": WatchedMonitor(settings, embedder, reference)}, Silent())
        try:
            yield worker, Controller(settings, reference, store, Silent())
        finally:
            store.close()


def decide(controller: Controller) -> None:
    """All that has come, by the log's time."""
    while controller.step(now=controller.streams.traffic.last):
        pass
