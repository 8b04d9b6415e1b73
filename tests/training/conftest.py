"""A small model over numbers, samples of what it knows and of what is new, and everything that a training job needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from service.records import Sample
from service.settings import EmbedderSettings

DIMENSION = 8
KNOWN, NEW = ("alpha", "beta", "gamma"), "omega"
CENTRES = np.diag(np.full(DIMENSION, 3, np.float32))
_HEAD = '<ir_version: 10, opset_import: ["" : 20]>'


def samples(count: int, classes: Sequence[int], seed: int, *, names: Sequence[str] = (*KNOWN, NEW), first: str = "s") -> list[Sample]:
    """Around one corner of a cube for each class."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(classes, count)
    rows = (CENTRES[drawn] + 0.5 * rng.standard_normal((count, DIMENSION))).astype(np.float32)
    return [Sample("chat", f"{first}{at}", 0.0, row, {}, None, names[kind]) for at, (row, kind) in enumerate(zip(rows, drawn, strict=True))]


def write(path: Path, weights: NDArray[Any], bias: NDArray[Any], classes: Sequence[str]) -> Path:
    """A model whose embedding is its input, twice as long, and whose logits are linear in it once it has length 1."""
    model = onnx.parser.parse_model(
        f"""{_HEAD}
        agraph (float[n, {DIMENSION}] x) => (float[n, {DIMENSION}] embedding, float[n, {len(classes)}] logits)
        <float[{len(classes)}, {DIMENSION}] w, float[{len(classes)}] b, float[1] two> {{
            embedding = Mul(x, two)
            logits = Gemm<transB=1>(embedding, w, b)
        }}"""
    )
    arrays = {"w": weights, "b": bias, "two": np.array([2.0], np.float32)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(each, np.float32), name) for name, each in arrays.items())
    onnx.helper.set_model_props(model, {"classes": json.dumps(list(classes))})
    onnx.save(model, str(path))
    return path


@dataclass(frozen=True)
class Bench:
    """The model in force, which knows three classes, and the samples that a refresh trains on: also of a fourth."""

    settings: EmbedderSettings
    train: tuple[Sample, ...]
    fresh: frozenset[str]
    golden: tuple[Sample, ...]
    challenge: tuple[Sample, ...]


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Made once: nothing changes it."""
    path = write(tmp_path_factory.mktemp("old") / "old.onnx", 2 * CENTRES[:3] / 3, np.zeros(3, np.float32), KNOWN)
    brought = samples(40, [3], 2, first="new")
    return Bench(
        EmbedderSettings(model=path, input="tensor", normalize=False),
        (*samples(200, range(3), 1), *brought),
        frozenset(sample.id for sample in brought),
        tuple(samples(300, range(3), 3, first="g")),
        tuple(samples(100, [3], 4, first="c")),
    )
