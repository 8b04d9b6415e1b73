"""A monitor with drift under way over a real store, with small models, and everything that a refresh cycle needs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service import annotation
from service.adapters.sqlite import SqliteStore
from service.controller import Controller
from service.datasets import DataSets
from service.errors import ConfigurationError, EmbedderError, InputError
from service.notifying.routing import Consequences
from service.observe import Silent
from service.ports import Embedded
from service.promotion import Given, Promotion, Shelf
from service.records import (
    Alarm,
    AnnotationBatch,
    Label,
    Payload,
    RefreshCycle,
    Sample,
)
from service.reference import References
from service.refresher import Refresher
from service.settings import EmbedderSettings, MonitorSettings, Settings

if TYPE_CHECKING:
    from tests.service.conftest import Log, World


CLASSES = ("early", "late")


@dataclass(frozen=True)
class Nearest:
    """Embeds vectors as they are and answers by the class of the nearest topic that it knows."""

    fingerprint: str
    topics: NDArray[np.float64]
    late: NDArray[np.bool_]
    dimension: int = 6

    def check(self, payload: Payload) -> None:
        if not isinstance(payload, np.ndarray):
            raise InputError("type", "a vector is needed")

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        rows = np.stack([np.asarray(payload, np.float32) for payload in payloads])
        distance = ((rows[:, None] - self.topics[None]) ** 2).sum(2)
        logits = -np.stack([distance[:, ~self.late].min(1), distance[:, self.late].min(1)], axis=1)
        return Embedded(rows, logits.astype(np.float32))

    def close(self) -> None:
        """Nothing is open."""


def models(topics: NDArray[np.float64]) -> Mapping[str, Nearest]:
    """By file name: the old model knows twelve topics, the new one all sixteen; the third gets the new ones right and breaks others."""
    late = np.arange(16) >= 6
    flipped = late ^ (np.arange(16) == 0)
    old = Nearest("old", topics[:12], np.arange(12) >= 6)
    return {"old.onnx": old, "new.onnx": Nearest("new", topics, late), "bad.onnx": Nearest("bad", topics, flipped)}


@dataclass
class Site:
    """What the refresher asks of the installation."""

    settings: MonitorSettings
    references: References
    models: Mapping[str, Nearest]
    removed: bool = False

    def effective(self, monitor: str) -> MonitorSettings:
        if self.removed or monitor != "chat":
            raise ConfigurationError(f"no monitor {monitor!r}")
        model, classes = self.references.model(monitor)
        if not model:
            return self.settings
        embedder = self.settings.embedder.with_model(Path(model))
        return self.settings.model_copy(update={"embedder": embedder, "classes": classes})

    def embedder(self, monitor: str) -> Nearest:
        return self.load(self.effective(monitor).embedder)

    def load(self, settings: EmbedderSettings) -> Nearest:
        """By what is written in the file, as a model is kept under any name."""
        path = settings.model
        if path is None or not path.is_file():
            return self.models["old.onnx"]
        name = path.read_text()
        if name not in self.models:
            raise EmbedderError(f"{path}: not an ONNX model")
        return self.models[name]

    def inputs(self, settings: EmbedderSettings) -> Sequence[str]:  # noqa: ARG002 - the protocol's signature
        return ()

    def version(self, monitor: str) -> int | None:
        return self.references.active(monitor)

    def bring_into_force(self, monitor: str, version: int) -> None:
        self.references.activate(monitor, version)


class Bench:
    """A monitor with drift under way, and everything a cycle needs."""

    def __init__(self, world: World, store: SqliteStore, folder: Path, **options: Any) -> None:
        shutil.copytree(world.references._directory, folder / "references")
        embedder = {"model": "old.onnx", "input": "tensor"} if options.pop("tensors", True) else {"input": "none", "dimension": 6}
        document = {
            **world.settings.model_dump(exclude={"embedder"}),
            "embedder": embedder,
            "classes": CLASSES,
            "annotation": {"budget": 32, "destination": "vendor", "second_opinions": 0.0, **options.pop("annotation", {})},
            "selection": {"rounds": 1, "challenge": 8, "audit_share": 0.0, **options.pop("selection", {})},
            "refresh": {"after_samples": 200, "destination": "jobs", "margin": 0.03, **options.pop("refresh", {})},
            **options,
        }
        self.world, self.store, self.folder = world, store, folder
        self.models = models(world.topics)
        self.site = Site(MonitorSettings.model_validate(document), References(folder / "references"), self.models)
        self.data_sets = DataSets(folder)
        self.log: Log = world.log(store, vectors=embedder["input"] == "tensor")
        self.refresher = self.restarted()
        self.promotion = self.promoting()

    def restarted(self) -> Refresher:
        """Another process's refresher on the same state."""
        return Refresher(self.store, self.site.references, self.data_sets, self.site)

    def promoting(self) -> Promotion:
        """The same of what judges models."""
        shelf = Shelf(self.folder, address=lambda path: f"https://gate.example{path}")
        return Promotion(self.store, self.site.references, self.data_sets, self.site, shelf)

    def controller(self) -> Controller:
        reference = self.site.references.load("chat")
        follower = Consequences(self.store, Settings, self.refresher)
        return Controller(self.site.effective("chat"), reference, self.store, Silent(), follower=follower)

    def drift(self, rows: int = 960) -> Alarm:
        self.log.add(self.world.ordinary(320, 1))
        self.log.add(self.world.drifted(rows, 2, 0.4))
        deciding = self.controller()
        while deciding.step(now=3_000.0):
            pass
        return self.store.find(Alarm)[0]

    def write(self, statement: str) -> None:
        """Straight into the store."""
        with self.store._database.write() as connection:
            connection.execute(statement)

    def cycle(self) -> RefreshCycle:
        (cycle,) = self.store.find(RefreshCycle)
        return cycle

    def batch(self) -> AnnotationBatch:
        return self.store.get(AnnotationBatch, self.cycle().batch)

    def answer(self, *junk: str) -> None:
        """Every candidate of the batch, by its vector; some are no use."""
        batch = self.batch()
        ids = [item.id for item in batch.items if item.id not in junk]
        answers = zip(ids, self.truth(self.vectors(ids)), strict=True)
        labels = [Label("chat", batch.id, sample, label, 4_000.0, "ana") for sample, label in answers]
        labels += [Label("chat", batch.id, sample, None, 4_000.0, "ana", unusable=True) for sample in junk]
        annotation.take_back(self.store, labels, quota=1.0, now=4_001.0)

    def truth(self, rows: NDArray[np.float32]) -> list[str]:
        """What an annotator answers."""
        logits = self.models["new.onnx"].embed(list(rows)).logits
        assert logits is not None
        return [CLASSES[int(i)] for i in logits.argmax(1)]

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        kept = {sample.id: sample.payload for sample in self.data_sets.load("chat", "pool").samples}
        return np.stack([np.asarray(kept[sample], np.float32) for sample in ids])

    def vectors_of(self, ids: Iterable[str]) -> NDArray[np.float32]:
        """Of samples that were asked about in any round."""
        pools = [self.data_sets.load("chat", "pool", int(each["version"])) for each in self.data_sets.versions("chat", "pool")]
        kept = {sample.id: sample.payload for pool in pools for sample in pool.samples}
        return np.stack([np.asarray(kept[sample], np.float32) for sample in ids])

    def golden(self, rows: int = 1_100) -> None:
        vectors = self.world.ordinary(rows, 77)
        samples = [Sample("chat", f"g{i}", 1.0, v, label=t) for i, (v, t) in enumerate(zip(vectors, self.truth(vectors), strict=True))]
        self.data_sets.add("chat", "golden", samples, self.models["old.onnx"], now=1.0)

    def trained(self) -> RefreshCycle:
        """Up to the moment at which a new model is waited for."""
        self.golden()
        self.drift()
        self.answer()
        assert self.refresher.step(now=4_002.0) == 1
        return self.cycle()

    def model(self, name: str) -> Path:
        path = self.folder / name
        path.write_text(name)
        return path

    def registered(self, name: str, **given: Any) -> RefreshCycle:
        """A model that came back for the cycle."""
        model = Given(self.model(name), **{"version": "m2", "classes": CLASSES, **given})
        return self.promotion.register(self.cycle().id, model, actor="trainer", now=4_900.0)

    def judged(self, name: str, now: float = 5_000.0, **given: Any) -> RefreshCycle:
        """And all that follows by itself."""
        return self.promotion.go_on(self.registered(name, **given).id, now=now)


@pytest.fixture
def make_bench(world: World, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    with closing(SqliteStore(":memory:")) as store:
        yield lambda **options: Bench(world, store, tmp_path, **options)


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


@pytest.fixture
def refitted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """New versions take over what the first one learned: fitting is tested where it is written."""

    def fit(rows: NDArray[np.float32], **_: object) -> object:
        return replace(world.reference.model, held_out=np.ones(len(rows), np.bool_))

    monkeypatch.setattr("service.reference.fit_model", fit)


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, part: object, method: str) -> Iterator[None]:
    """The process ends where the part's method is called."""

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(part, method, die)
        with pytest.raises(KeyboardInterrupt):
            yield
