"""Small models on disk, a golden set that they answer, and an installation that knows both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from service.adapters.onnx_embedder import load_embedder
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSet, DataSets
from service.ports import Embedder
from service.records import WHOLE, Alarm, AlarmState, Family, Measured, Sample, Severity
from service.settings import EmbedderSettings, MonitorSettings
from service.switching.building import Switches

WIDTH = 8
CLASSES = ("account", "card", "loan", "rates", "travel")
CENTRES = np.random.default_rng(11).normal(size=(6, WIDTH)) * 2


def model_file(path: Path, centres: NDArray[np.floating], *, logits: str = "logits", classes: str = "") -> Path:
    """x → 2 x = embedding → logits by the nearest of the centres."""
    arrays = {"twice": np.eye(WIDTH) * 2, "head": centres.T / 2, "bias": -0.5 * (centres**2).sum(1)}
    nodes = [
        helper.make_node("MatMul", ["x", "twice"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "head"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], [logits]),
    ]
    declared = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in (("x", WIDTH), ("embedding", WIDTH), (logits, len(centres)))
    ]
    constants = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "model", declared[:1], declared[1:], constants), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    if classes:
        helper.set_model_props(model, {"classes": classes})
    onnx.save(model, path)
    return path


def rows(count: int, seed: int, *, known: int = 5) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Around the first `known` centres."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(0, known, count)
    return (CENTRES[topics] + 1.2 * rng.normal(size=(count, WIDTH))).astype(np.float32), topics


def samples(count: int, seed: int, *, prefix: str = "g", known: int = 5) -> list[Sample]:
    """Labelled."""
    names = (*CLASSES, "new")
    vectors, topics = rows(count, seed, known=known)
    return [
        Sample("chat", f"{prefix}{i}", float(i), vector, {}, None, names[topic])
        for i, (vector, topic) in enumerate(zip(vectors, topics.tolist(), strict=True))
    ]


@dataclass
class Site:
    """An installation: `folder` holds old.onnx, new.onnx (a class more, a little off) and bad.onnx (two classes swapped)."""

    folder: Path
    store: SqliteStore
    settings: MonitorSettings
    data_sets: DataSets
    reference: int | None = 1
    loaded: dict[EmbedderSettings, Embedder] = field(default_factory=dict)

    @property
    def switches(self) -> Switches:
        return Switches(self.store, self.data_sets, self)

    def effective(self, monitor: str) -> MonitorSettings:
        assert monitor == "chat"
        return self.settings

    def embedder(self, monitor: str) -> Embedder:
        return self.load(self.effective(monitor).embedder)

    def load(self, settings: EmbedderSettings) -> Embedder:
        if settings not in self.loaded:
            self.loaded[settings] = load_embedder(settings)
        return self.loaded[settings]

    def version(self, monitor: str) -> int | None:
        return self.reference if monitor == "chat" else None

    def golden(self, count: int = 1_500, seed: int = 1) -> DataSet:
        """Published with its three parts."""
        return self.data_sets.add("chat", "golden", samples(count, seed), self.embedder("chat"), now=1_000.0, classes=CLASSES)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("models"), np.random.default_rng(4)
    model_file(folder / "old.onnx", CENTRES[:5])
    moved = CENTRES + 0.25 * rng.normal(size=CENTRES.shape)
    model_file(folder / "new.onnx", moved[[5, 1, 0, 2, 3, 4]], classes='["new", "card", "account", "loan", "rates", "travel"]')
    model_file(folder / "bad.onnx", CENTRES[[1, 0, 2, 3, 4]])
    return folder


@pytest.fixture
def site(models: Path, tmp_path: Path) -> Site:
    settings = MonitorSettings.model_validate(
        {"name": "chat", "classes": CLASSES, "embedder": {"model": models / "old.onnx", "input": "tensor", "normalize": False}}
    )
    return Site(models, SqliteStore(tmp_path / "state.db"), settings, DataSets(tmp_path))


@pytest.fixture
def drifted() -> Callable[[int], list[Sample]]:
    """Rows of a class that the old model does not have, and of those it has."""
    return lambda count: samples(count, 77, prefix="d", known=6)


@pytest.fixture
def make_alarm() -> Callable[..., Alarm]:
    """An open alarm of this id."""

    def make(id: str, *, family: Family = Family.INPUT) -> Alarm:
        measured = Measured(0.2, 0.1, 0.3)
        return Alarm(
            id, "chat", WHOLE, family, 1, "new content", Severity.CRITICAL, AlarmState.OPEN, 10, 10, 1_000.0, 64, 900.0,
            measured, measured, "novelty", version=1,
        )  # fmt: skip

    return make
