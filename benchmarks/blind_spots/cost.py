"""What a whole report costs on a large monitor, beside what a nearest-neighbour search alone would take."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import msgspec
import numpy as np

from benchmarks.figures import Figure, Progress
from benchmarks.public_sets import CACHE
from detectors.neighbours import nearest_rows
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets, Role
from service.explaining.nearby import NEIGHBOURS
from service.figures import describe_status
from service.ports import Embedded
from service.records import Commit, Decision, Judgement, Output, Partition, Payload, Pooled, Sample, Truths
from service.reference import Origin, References
from service.reference_rows import embed_rows
from service.report.kept import Kept
from service.report.making import SECTIONS, make
from service.report.material import Material
from service.report.material import Progress as Steps
from service.settings import MonitorSettings
from service.streams import MonitorStreams

DIMENSION, CLASSES = 384, 150
REFERENCE, TRAIN, GOLDEN, PRODUCTION, JUDGED = 100_000, 100_000, 5_000, 8_000, 5_000
PASSES, MOST_BYTES = 5.0, 2 * 10**9
MONITOR = "cost"

_WORDS, _OWN, _LONGEST = 6_000, 24, 12
"""Words in all, those that a class has for itself, and words of a text at most."""

_QUICK_PANES = 256
"""Of a null stream: thresholds hold to a few per cent, and the reference is made in minutes."""

_FOLDER = CACHE / "report_cost_1"
_STATUS = "status.json"
"""Written last."""

_NOW = 1_772_366_400.0
_LOCALES = ("en", "de", "fr", "es")


class Texts:
    """Made-up texts: a class's own words among common ones; their vectors add up to an embedding."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def draw(self, count: int, *, prefix: str, wrong: float = 0.0) -> list[Sample]:
        """A second apart; a share of the labels is another class's."""
        truth = self._rng.integers(0, CLASSES, count)
        label = np.where(self._rng.random(count) < wrong, self._rng.integers(0, CLASSES, count), truth)
        return [self._sample(f"{prefix}{n}", n, int(truth[n]), int(label[n])) for n in range(count)]

    def _sample(self, key: str, number: int, truth: int, label: int) -> Sample:
        length = int(self._rng.integers(5, _LONGEST + 1))
        own = truth * _OWN + self._rng.integers(0, _OWN, length)
        words = np.where(self._rng.random(length) < 0.6, own, self._rng.integers(CLASSES * _OWN, _WORDS, length))
        text = " ".join(f"w{word}" for word in words.tolist())
        segments = {"locale": _LOCALES[number % len(_LOCALES)]}
        return Sample(MONITOR, key, _NOW - 100_000 + number, text, segments, Output(name(truth)), name(label))


def name(number: int) -> str:
    """Of a class."""
    return f"class {number}"


class WordEmbedder:
    """A sentence embedder's stand-in: the sum of its words' vectors, those of a class's own near to each other."""

    fingerprint = "words-1"
    dimension = DIMENSION

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._vectors = rng.standard_normal((_WORDS, DIMENSION)).astype(np.float32)
        self._centres = rng.standard_normal((CLASSES, DIMENSION)).astype(np.float32)
        self._vectors[: CLASSES * _OWN] += np.repeat(self._centres, _OWN, axis=0)

    def check(self, payload: Payload) -> None:
        """Every text can be embedded."""

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        """(n, DIMENSION) on the unit sphere, with the logits of a linear head."""
        rows = np.stack([self._vectors[[int(word[1:]) for word in str(text).split()]].sum(0) for text in payloads])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return Embedded(rows, rows @ self._centres.T)

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one report, in seconds of one core."""

    whole: float
    sections: Mapping[str, float]
    one_pass: float
    clustering: float
    peak_bytes: int

    @property
    def passes(self) -> float:
        """The report without its clustering, in passes of golden over training."""
        return (self.whole - self.clustering) / self.one_pass


def run(progress: Progress) -> Sequence[Figure]:
    """Sets are made once, in another process: their memory is not the report's."""
    if not (_FOLDER / _STATUS).exists():
        progress("making the sets: some minutes, once")
        subprocess.run([sys.executable, "-m", __name__], check=True)
    found = measure(progress)
    return list(_figures(found))


def _figures(found: Cost) -> Iterator[Figure]:
    sizes = f"{REFERENCE:,} reference, {TRAIN:,} training, {GOLDEN:,} golden, {PRODUCTION:,} production rows of {DIMENSION}"
    yield Figure(f"a report over {sizes}, {CLASSES} classes, {JUDGED:,} labels", f"{found.whole:.1f} s of one core")
    yield Figure("one exact pass of golden over training", f"{found.one_pass:.1f} s")
    yield Figure("the clustering", f"{found.clustering:.1f} s")
    yield Figure("report without the clustering, in passes", f"{found.passes:.2f}", f"≤ {PASSES:g}", found.passes <= PASSES)
    for section, seconds in found.sections.items():
        yield Figure(f"of it {section}", f"{seconds:.1f} s, {seconds / found.one_pass:.2f} passes")
    peak = f"{found.peak_bytes / 10**9:.2f} GB"
    yield Figure("resident memory, at most", peak, f"< {MOST_BYTES / 10**9:g} GB", found.peak_bytes < MOST_BYTES)


def measure(progress: Progress) -> Cost:
    """One report from disk to the pages it is kept as; then the yardsticks, on the same rows."""
    with TemporaryDirectory() as folder, closing(SqliteStore(Path(folder) / "state.sqlite", pool_rows={MONITOR: PRODUCTION})) as store:
        progress("filling the store")
        fill(store)
        ends = [time.process_time()]
        material = _material(store, lambda step, done: progress(f"{step}: {done:.0%}"))
        report = make(material, told=lambda _: ends.append(time.process_time()))
        Kept(Path(folder), keep=1).add(report)
        whole = time.process_time() - ends[0]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        sections = dict(zip(SECTIONS, np.diff(ends).tolist(), strict=True))
        progress("the yardsticks")
        return Cost(whole, sections, _one_pass(), _clustering(store), peak)


def _material(store: SqliteStore, progress: Steps = lambda *_: None) -> Material:
    return Material(_settings(), store, References(_FOLDER / "references"), DataSets(_FOLDER), now=_NOW, progress=progress)


def _one_pass() -> float:
    golden, train = (DataSets(_FOLDER).load(MONITOR, role).embeddings for role in ("golden", "train"))
    seconds = []
    for _ in range(3):
        began = time.process_time()
        nearest_rows(golden, train, NEIGHBOURS)
        seconds.append(time.process_time() - began)
    return float(np.median(seconds))


def _clustering(store: SqliteStore) -> float:
    material = _material(store)
    train = material.embeddings("train")
    began = time.process_time()
    if train is not None:
        material.region_of(train[:1])
    return time.process_time() - began


def fill(store: SqliteStore) -> None:
    """Recent samples, the truth of some, and what was decided last."""
    samples = Texts(5).draw(PRODUCTION, prefix="p")
    rows = WordEmbedder().embed([sample.payload for sample in samples]).embedding.astype(np.float16)
    partition = Partition("cost", "1")
    epoch = store.assign(partition).epoch
    pooled = tuple(
        Pooled(MONITOR, s.id, s.time, partition, n, s.payload, s.segments, s.output, None, rows[n], 0.5, 1) for n, s in enumerate(samples)
    )
    store.commit(Commit(partition, epoch, 0, PRODUCTION, _NOW, pooled=pooled, counts={MONITOR: PRODUCTION}))
    store.decide(Decision(MONITOR, 0, 0, state=(_FOLDER / _STATUS).read_bytes()))
    rng = np.random.default_rng(6)
    store.judge(Truths(MONITOR, tuple(_judged(sample, rng) for sample in samples[:JUDGED]), JUDGED))


def _judged(sample: Sample, rng: np.random.Generator) -> Judgement:
    """An hour later; the model was wrong now and then."""
    truth, confidence, told = str(sample.label), float(rng.uniform(0.3, 1)), sample.time + 3_600
    answer = name(int(rng.integers(CLASSES))) if rng.random() < 0.15 else truth
    return Judgement(MONITOR, sample.id, answer, truth, confidence, sample.segments, int(rng.integers(20)), 1, sample.time, told)


# --- sets ------------------------------------------------------------------------------------------------------------


def _settings() -> MonitorSettings:
    classes = [name(number) for number in range(CLASSES)]
    document = {"name": MONITOR, "embedder": {"model": "words.onnx"}, "classes": classes, "segments": {"tags": ["locale"]}}
    return MonitorSettings.model_validate(document)


def prepare() -> None:
    """A reference and both sets, below the cache."""
    settings, embedder, references, sets = _settings(), WordEmbedder(), References(_FOLDER / "references"), DataSets(_FOLDER)
    classes = settings.classes
    if not references.versions(MONITOR):
        rows = embed_rows(Texts(1).draw(REFERENCE, prefix="r"), embedder, classes=classes)
        with patch("detectors.calibration._PANES", _QUICK_PANES):
            references.build(settings, rows, Origin(embedder.fingerprint, _NOW))
    sizes: Mapping[Role, tuple[int, int]] = {"train": (TRAIN, 2), "golden": (GOLDEN, 3)}
    for role, (count, seed) in sizes.items():
        if not sets.versions(MONITOR, role):
            sets.add(MONITOR, role, Texts(seed).draw(count, prefix=role, wrong=0.05), embedder, now=_NOW, classes=classes)
    status = describe_status(MonitorStreams(settings, references.load(MONITOR)))
    (_FOLDER / _STATUS).write_bytes(msgspec.json.encode(status))


if __name__ == "__main__":
    prepare()
