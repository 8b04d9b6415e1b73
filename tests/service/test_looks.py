"""What a look at golden rows leaves of them for the next."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.corrections import Correction, corrected
from service.datasets import DataSets, Part
from service.golden import Promise
from service.looks import attempt, record
from service.records import Sample

PROMISE = Promise(0.05, 0.1, 3)


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


@pytest.fixture
def sets(tmp_path: Path) -> DataSets:
    """Golden whose second version corrects a label of the first."""
    vectors = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    samples = [Sample("chat", f"g{i}", 1.0, vector, label="a") for i, vector in enumerate(vectors)]
    made = DataSets(tmp_path)
    first = made.add("chat", "golden", samples, VectorEmbedder(4, normalize=False), now=1.0)
    corrected(made, first, [Correction("g0", "a", "b", "file")], now=2.0)
    return made


@pytest.mark.parametrize(("version", "part", "use"), [(1, "verify", 2), (2, "verify", 3), (2, "calibrate", 2)])
def test_a_verdict_with_and_without_a_correction_counts_as_two(
    store: SqliteStore, sets: DataSets, version: int, part: Part, use: int
) -> None:
    golden = sets.load("chat", "golden", version)
    first = attempt(store, golden, sets, part, judged=("one",), promise=PROMISE)
    record(store, first, actor="ana", now=3.0)
    assert first.drawn.use == 1
    assert attempt(store, golden, sets, part, judged=("other",), promise=PROMISE).drawn.use == use
    assert attempt(store, golden, sets, part, judged=("one",), promise=PROMISE).drawn.use == 1
