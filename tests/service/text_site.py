"""A small text model whose words are known to decide, and a monitor with everything that a sample is explained by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from service import refresh
from service.adapters.onnx_embedder import load_embedder
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets
from service.explaining.samples import Samples
from service.ports import Embedder
from service.records import Candidate, Commit, Partition, Pooled, RefreshCycle, Sample
from service.reference import Origin, References
from service.reference_rows import embed_rows
from service.report.material import Material, Progress
from service.settings import EmbedderSettings, MonitorSettings

CLASSES = ("refund", "parcel", "weather")
TELLING = {"refund": ("refund", "money", "charged"), "parcel": ("parcel", "courier", "delivery"), "weather": ("rain", "sunny", "storm")}
FILLER = ("the", "my", "is", "please", "and", "a", "today", "still", "about", "with", "for", "it")
WORDS = ("[PAD]", "[UNK]", *(word for words in TELLING.values() for word in words), *FILLER, "alien")

_HEAD = '<ir_version: 10, opset_import: ["" : 20]>'
_GRAPH = """
    words = Gather(table, input_ids)
    mask = Cast<to = 1>(attention_mask)
    wide = Unsqueeze(mask, two)
    kept = Mul(words, wide)
    total = ReduceSum<keepdims = 0>(kept, one)
    count = ReduceSum<keepdims = 1>(mask, one)
    embedding = Div(total, count)
    logits = MatMul(embedding, head)
"""


def table() -> Any:
    """(words, 8): a telling word points along its class's axis, `alien` where nothing else does, the others hardly anywhere."""
    rows = 0.03 * np.random.default_rng(2).normal(size=(len(WORDS), 8)).astype(np.float32)
    for axis, name in enumerate(CLASSES):
        rows[[WORDS.index(word) for word in TELLING[name]], axis] += 1.0
    rows[WORDS.index("alien"), 7] += 3.0
    return rows


def write_model(folder: Path) -> Path:
    """The model with its tokenizer."""
    inputs, outputs = "int64[N, T] input_ids, int64[N, T] attention_mask", "float[N, 8] embedding, float[N, 3] logits"
    model = onnx.parser.parse_model(f"{_HEAD} g ({inputs}) => ({outputs}) {{ {_GRAPH} }}")
    constants = {"table": table(), "one": np.array([1]), "two": np.array([2]), "head": 10 * np.eye(8, 3, dtype=np.float32)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("explained-model"))


@pytest.fixture(scope="session")
def embedder(model: Path) -> Embedder:
    return load_embedder(EmbedderSettings(model=model, threads=1))


def messages(count: int, seed: int, *, prefix: str) -> list[Sample]:
    """Each with a telling word of its class among filler."""
    rng, made = np.random.default_rng(seed), []
    for i in range(count):
        name = CLASSES[i % 3]
        words = [*rng.choice(FILLER, 5), rng.choice(TELLING[name])]
        rng.shuffle(words)
        made.append(Sample("chat", f"{prefix}{i}", 1_000.0 + i, " ".join(words), {"locale": "en"}, None, name))
    return made


@dataclass(frozen=True)
class Site:
    """A monitor of texts: samples are explained from its store, reference and data sets."""

    settings: MonitorSettings
    store: SqliteStore
    references: References
    data_sets: DataSets
    model: Embedder

    @property
    def samples(self) -> Samples:
        return Samples(self.gather, lambda _: self.model)

    def gather(self, monitor: str, *, now: float, progress: Progress) -> Material:
        assert monitor == self.settings.name
        return Material(self.settings, self.store, self.references, self.data_sets, now=now, progress=progress)

    def keep(self, samples: Sequence[Sample], *, payloads: bool = True, version: int = 1) -> None:
        """Into the pool, embedded as the worker would."""
        partition = Partition("ingest", "t1")
        assigned = self.store.assign(partition)
        vectors = self.model.embed([sample.payload for sample in samples]).embedding.astype(np.float16)
        pooled = tuple(
            Pooled(s.monitor, s.id, s.time, partition, assigned.offset + i, s.payload if payloads else None, s.segments, s.output,
                   s.label, vector, 0.5, version)
            for i, (s, vector) in enumerate(zip(samples, vectors, strict=True))
        )  # fmt: skip
        end = assigned.offset + len(samples)
        self.store.commit(Commit(partition, assigned.epoch, assigned.offset, end, 2_000.0, pooled=pooled, counts={"chat": len(samples)}))


@dataclass
class Installed:
    """What is asked of an installation, answered by a site, and who opens refresh cycles for chosen candidates."""

    site: Site
    loaded: list[Path] = field(default_factory=list)
    """Further models that were asked for; each is the site's own."""

    def effective(self, monitor: str) -> MonitorSettings:
        assert monitor == "chat"
        return self.site.settings

    def embedder(self, monitor: str) -> Embedder:
        assert monitor == "chat"
        return self.site.model

    def load(self, settings: EmbedderSettings) -> Embedder:
        assert settings.model
        self.loaded.append(settings.model)
        return self.site.model

    def material(self, monitor: str, *, now: float) -> Material:
        return self.site.gather(monitor, now=now, progress=lambda *_: None)

    def send(self, monitor: str, opened_by: str, candidates: Sequence[Candidate], rows: Sequence[Pooled], *, now: float) -> RefreshCycle:
        assert {item.id for item in candidates} == {row.id for row in rows}
        return refresh.start(self.site.store, refresh.Opening(monitor, 1, opened_by), candidates, self.site.settings, now=now)


@pytest.fixture(scope="session")
def taught(model: Path, embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> tuple[MonitorSettings, Path]:
    """Settings, and a folder with a reference and a training and a golden set."""
    folder = tmp_path_factory.mktemp("explained")
    document = {"name": "chat", "embedder": {"model": str(model)}, "classes": CLASSES, "detection": {"run_length": 2_000}}
    settings = MonitorSettings.model_validate(document)
    rows = embed_rows(messages(600, 1, prefix="r"), embedder, classes=CLASSES)
    References(folder / "references").build(settings, rows, Origin(embedder.fingerprint, 1_000.0))
    sets = DataSets(folder)
    sets.add("chat", "train", messages(300, 2, prefix="t"), embedder, now=1.0, classes=CLASSES)
    sets.add("chat", "golden", messages(60, 3, prefix="g"), embedder, now=1.0, classes=CLASSES)
    return settings, folder


@pytest.fixture
def site(taught: tuple[MonitorSettings, Path], embedder: Embedder) -> Iterator[Site]:
    settings, folder = taught
    with closing(SqliteStore(":memory:")) as store:
        yield Site(settings, store, References(folder / "references"), DataSets(folder), embedder)
