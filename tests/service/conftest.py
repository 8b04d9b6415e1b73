"""A small summarizer for the worker's parts, a small calibrated reference for what decides, and traffic for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.summarizer import Summarizer
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.ports import Embedder
from service.quality import Gauge
from service.records import WHOLE, Commit, Pane, PaneKey, Partition, Pooled, Sample
from service.reference import Origin, Reference, References
from service.reference_rows import ReferenceRows, embed_rows
from service.settings import MonitorSettings
from service.watched import WatchedMonitor

DIMENSION = 6


@dataclass(frozen=True)
class SmallReference:
    """What folding needs of a reference, without its calibration."""

    summarizer: Summarizer
    fingerprint: str
    version: int = 1
    segment_values: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"locale": ("en", "de")})
    duplicate: float = 0.999
    gauge: Gauge | None = None


class MakeMonitor(Protocol):
    def __call__(self, name: str = ..., *, model: Embedder | None = ..., version: int | None = ..., **settings: Any) -> WatchedMonitor: ...


@pytest.fixture(scope="session")
def summarizer() -> Summarizer:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(200, DIMENSION)).astype(np.float32)
    return Summarizer.fit(rows[:120], rows[120:], rng=rng)


@pytest.fixture(scope="session")
def make_monitor(summarizer: Summarizer) -> MakeMonitor:
    """A monitor of vectors with one segment tag and panes of 8 samples or 60 s; `version=None` leaves out the reference."""

    def make(name: str = "chat", *, model: Embedder | None = None, version: int | None = 1, **settings: Any) -> WatchedMonitor:
        document = {
            "name": name,
            "embedder": {"input": "none", "dimension": DIMENSION},
            "segments": {"tags": ["locale"]},
            "detection": {"pane_samples": 8, "pane_seconds": 60.0},
            **settings,
        }
        chosen = model or VectorEmbedder(DIMENSION, normalize=False)
        reference = None if version is None else SmallReference(summarizer, chosen.fingerprint, version)
        return WatchedMonitor(MonitorSettings.model_validate(document), chosen, reference)

    return make


@pytest.fixture(scope="session")
def vector() -> Callable[[int], NDArray[np.float32]]:
    """The n-th vector of a fixed stream."""
    return lambda n: np.random.default_rng(n).normal(size=DIMENSION).astype(np.float32)


# --- what decides ----------------------------------------------------------------------------------------------------

TOPICS = np.random.default_rng(3).normal(size=(16, DIMENSION)) * 1.5
KNOWN, PANE_SAMPLES = 12, 16
PARTITION = Partition("ingest", "t1")


def draw(n: int, seed: int, *, topics: slice) -> NDArray[np.float32]:
    """(n, DIMENSION) vectors around some of the topics."""
    rng = np.random.default_rng(seed)
    centres = TOPICS[topics]
    return (centres[rng.integers(0, len(centres), n)] + 0.4 * rng.normal(size=(n, DIMENSION))).astype(np.float32)


@dataclass(frozen=True)
class World:
    """A monitor of vectors with a calibrated reference of twelve topics in three locales; four more topics are new to it."""

    settings: MonitorSettings
    embedder: VectorEmbedder
    rows: ReferenceRows
    references: References
    reference: Reference
    _renamed: dict[tuple[str, int], Reference] = field(default_factory=dict)

    def named(self, *, monitor: str = "chat", version: int = 1) -> Reference:
        """The reference as another monitor's, or another version; what it knows of its segments is learned once for all tests."""
        key = monitor, version
        if key not in self._renamed:
            self._renamed[key] = replace(self.reference, monitor=monitor, version=version)
        return self._renamed[key]

    @property
    def topics(self) -> NDArray[np.float64]:
        """(16, DIMENSION) the centres, the new ones last."""
        return TOPICS

    def ordinary(self, n: int, seed: int) -> NDArray[np.float32]:
        """Traffic like the reference."""
        return draw(n, seed, topics=slice(KNOWN))

    def new(self, n: int, seed: int) -> NDArray[np.float32]:
        """Traffic that the reference never held."""
        return draw(n, seed, topics=slice(KNOWN, None))

    def drifted(self, n: int, seed: int, share: float = 0.5) -> NDArray[np.float32]:
        """Ordinary traffic, a share of it new."""
        fresh = np.random.default_rng(seed).random(n) < share
        return np.where(fresh[:, None], self.new(n, seed + 1), self.ordinary(n, seed + 2))

    def panes(self, rows: NDArray[np.float32], *, after: int = 0, segment: str = WHOLE, version: int = 1) -> list[Pane]:
        """The rows as consecutive panes, one sample a second, from sequence number `after` + 1 on."""
        described = self.reference.summarizer.describe(rows)
        panes = []
        for number, start in enumerate(range(0, len(rows), PANE_SAMPLES), after + 1):
            at = slice(start, min(start + PANE_SAMPLES, len(rows)))
            first, last = (number - 1) * PANE_SAMPLES, (number - 1) * PANE_SAMPLES + at.stop - at.start - 1
            key = PaneKey(self.settings.name, segment, version, PARTITION, first)
            panes.append(Pane(key, last, 1_000.0 + first, 1_000.0 + last, self.reference.summarizer.summarize(described, at), number))
        return panes

    def log(self, store: SqliteStore, *, vectors: bool = False) -> Log:
        """A partition in the store; `vectors`: the payloads are the rows themselves, else texts."""
        return Log(store, self, vectors=vectors)


class Log:
    """A partition that is committed in full panes, each with its samples in the pool."""

    def __init__(self, store: SqliteStore, world: World, *, vectors: bool) -> None:
        self.offset = 0
        self._store = store
        self._world = world
        self._vectors = vectors
        self._epoch = store.assign(PARTITION).epoch

    def add(self, rows: NDArray[np.float32], *, version: int = 1, losses: Mapping[str, int] | None = None) -> None:
        """The rows, a multiple of the pane's size, one sample a second; each pane lost so much."""
        panes = self._world.panes(rows, after=self.offset // PANE_SAMPLES, version=version)
        panes = [replace(pane, losses=losses or {}) for pane in panes]
        novelty = self._world.reference.summarizer.describe(rows).novelty.tolist()
        pooled = [self._pooled(n, row, new, version) for n, (row, new) in enumerate(zip(rows, novelty, strict=True), self.offset)]
        commit = Commit(
            PARTITION, self._epoch, self.offset, self.offset + len(rows), panes[-1].last_time,
            closed=tuple(panes), pooled=tuple(pooled), counts={"chat": len(rows)},
        )  # fmt: skip
        self._store.commit(commit)
        self.offset += len(rows)

    def lose(self, losses: Mapping[str, int]) -> None:
        """A pane that holds nothing else."""
        (shown,) = self._world.panes(np.zeros((1, DIMENSION), np.float32), after=self.offset // PANE_SAMPLES)
        pane = replace(shown, summary=self._world.reference.summarizer.empty(), losses=losses)
        end = self.offset + PANE_SAMPLES
        self._store.commit(Commit(PARTITION, self._epoch, self.offset, end, pane.last_time, closed=(pane,)))
        self.offset = end

    def _pooled(self, offset: int, row: NDArray[np.float32], novelty: float, version: int) -> Pooled:
        payload = row if self._vectors else f"text {offset}"
        return Pooled(
            "chat", f"s{offset}", 1_000.0 + offset, PARTITION, offset, payload, {"locale": "en"}, None, None,
            row.astype(np.float16), novelty, version,
        )  # fmt: skip


def monitor_settings(**changes: Any) -> MonitorSettings:
    """Of the calibrated monitor."""
    document = {
        "name": "chat",
        "embedder": {"input": "none", "dimension": DIMENSION},
        "segments": {"tags": ["locale"]},
        "detection": {"run_length": 2_000, "pane_samples": PANE_SAMPLES},
        **changes,
    }
    return MonitorSettings.model_validate(document)


def samples_of(rows: NDArray[np.float32], *, prefix: str = "r", locales: Sequence[str] = ("en",)) -> list[Sample]:
    """One sample per row, a second apart, the locales in turn."""
    return [Sample("chat", f"{prefix}{i}", 1_000.0 + i, row, {"locale": locales[i % len(locales)]}) for i, row in enumerate(rows)]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Fitted once; tests that publish or activate versions do so in a folder of their own."""
    settings, embedder = monitor_settings(), VectorEmbedder(DIMENSION, normalize=False)
    locales = ("en", "en", "de", "en", "en", "de", "en", "en", "de", "fr")
    rows = embed_rows(samples_of(draw(1_200, 1, topics=slice(KNOWN)), locales=locales), embedder)
    references = References(tmp_path_factory.mktemp("references"))
    reference = references.build(settings, rows, Origin(embedder.fingerprint, 1_000.0))
    return World(settings, embedder, rows, references, reference)
