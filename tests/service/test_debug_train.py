"""A set to train on from a pool with noisy labels: from which version, without what is tested on, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.datasets import DataSets, Role
from service.debug_train import DebugTrain, DebugTraining, DrawnRow, Failing, Wanted, document, failing_rows, failing_samples
from service.errors import ArtefactError, InputError, NotFoundError
from service.failures.rows import FailureRows
from service.records import Output, Sample

DIMENSION, TOPICS = 16, 4
EMBEDDER = VectorEmbedder(DIMENSION, normalize=False)


def rows(rng: np.random.Generator, topics: NDArray[np.int64], *, moved: bool) -> NDArray[np.float32]:
    found = 4 * np.eye(TOPICS, DIMENSION)[topics] + 0.7 * rng.standard_normal((len(topics), DIMENSION))
    found[:, -1] += 5 * moved
    return found.astype(np.float32)


def samples(prefix: str, vectors: NDArray[np.float32], labels: Sequence[str | None]) -> list[Sample]:
    return [
        Sample("chat", f"{prefix}-{at}", 1.0, vector, {}, None, label)
        for at, (vector, label) in enumerate(zip(vectors, labels, strict=True))
    ]


class Shop:
    """Golden, a pool of failing rows with three tenths of wrong labels, and failures."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(3)
        self.sets = DataSets(folder)
        golden, truth, failing = (rng.integers(0, TOPICS, size) for size in (200, 240, 20))
        self.golden = samples("golden", rows(rng, golden, moved=False), names(golden))
        wrong = np.where(rng.random(240) < 0.3, (truth + 1) % TOPICS, truth)
        self.pool = samples("pool", rows(rng, truth, moved=True), names(wrong))
        self.truth = dict(zip([sample.id for sample in self.pool], names(truth), strict=True))
        self.failing = failing_samples(samples("failure", rows(rng, failing, moved=True), names(failing)), EMBEDDER)
        self.add("golden", self.golden)
        self.add("pool", self.pool)

    def add(self, role: Role, added: Sequence[Sample]) -> None:
        self.sets.add("chat", role, added, EMBEDDER, now=1_772_366_400.0)

    def draw(self, count: int = 60, version: int | None = None, failing: Failing | None = None, sets: DataSets | None = None) -> DebugTrain:
        training = DebugTraining("chat", EMBEDDER.fingerprint, sets or self.sets, None)
        return training.draw(failing or self.failing, Wanted(count, version))


def names(topics: NDArray[np.int64]) -> list[str]:
    return [f"topic {topic}" for topic in topics]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_rows_come_with_the_class_believed_and_how_sure_it_is(shop: Shop) -> None:
    found = shop.draw()
    assert len(found.rows) == 60
    assert np.mean([row.label == shop.truth[row.sample.id] for row in found.rows]) > 0.95
    assert 0.1 < found.noise < 0.45
    assert set(found.noise_of) == {f"topic {topic}" for topic in range(TOPICS)}
    assert not found.notes
    assert len(shop.draw(1_000).rows) < 240
    assert "no more are surely" in shop.draw(1_000).notes[0]


def test_a_row_is_written_as_a_sample() -> None:
    row = DrawnRow(Sample("chat", "a", 0.5, "hello", {"locale": "de"}, None, "x"), "y", 0.812, 0.97)
    assert document(row) == {
        "id": "a",
        "time": "1970-01-01T00:00:00.500000Z",
        "text": "hello",
        "segments": {"locale": "de"},
        "label": "y",
        "weak_label": "x",
        "right": 0.812,
        "failing": 0.97,
        "why": "97% like the failures, 81% sure that its label was wrong",
    }
    kept = document(replace(row, label="x", sample=Sample("chat", "b", float("nan"), b"\x89PNG", {}, None, "x")))
    assert (kept["image"], kept["why"]) == ("iVBORw==", "97% like the failures, 81% sure of its label")
    assert "time" not in kept


def test_rows_close_to_those_models_are_judged_by_are_not_drawn(shop: Shop) -> None:
    """Whatever label they have."""
    shop.add("challenge", shop.pool[:100])
    found = shop.draw(1_000)
    assert found.held_back >= 100
    assert not {sample.id for sample in shop.pool[:100]} & {row.sample.id for row in found.rows}


def test_the_newest_pool_with_labels_is_taken(shop: Shop) -> None:
    """Batches for annotators are kept as pool sets, too."""
    shop.add("pool", [replace(sample, label=None) for sample in shop.pool[:20]])
    assert shop.draw().pool == 1
    with pytest.raises(InputError, match="set 2 has no row with a label"):
        shop.draw(version=2)


def test_rows_without_a_label_are_counted(shop: Shop) -> None:
    shop.add("pool", [replace(sample, label=sample.label if at % 2 else None) for at, sample in enumerate(shop.pool)])
    found = shop.draw()
    assert (found.labelled, found.unlabelled) == (120, 120)
    assert all(row.sample.label for row in found.rows)


def test_what_is_missing_is_said(shop: Shop, tmp_path: Path) -> None:
    bare = DataSets(tmp_path / "bare")
    with pytest.raises(NotFoundError, match="no pool set to draw from"):
        shop.draw(sets=bare)
    bare.add("chat", "pool", shop.pool, EMBEDDER, now=0.0)
    with pytest.raises(InputError, match="neither a golden set nor a reference"):
        shop.draw(sets=bare)
    shop.add("pool", [replace(sample, label="a") for sample in shop.pool])
    with pytest.raises(InputError, match="all labels name one class"):
        shop.draw()
    with pytest.raises(InputError, match="count"):
        shop.draw(0)
    with pytest.raises(NotFoundError, match="version 9"):
        shop.draw(version=9)


def test_labels_that_share_the_models_errors_are_not_trained_on(shop: Shop) -> None:
    """Its own answers are refused; another model's that is wrong in the same places, told."""
    others = {f"topic {topic}": f"topic {(topic + 1) % TOPICS}" for topic in range(TOPICS)}
    wrong = [replace(sample, label=others[shop.truth[sample.id]]) for sample in shop.pool]
    shop.add("pool", wrong)
    assert "may fail where the model does" in shop.draw().notes[0]
    shop.add("pool", [replace(sample, output=Output(sample.label)) for sample in wrong])
    with pytest.raises(InputError, match="where the model fails, 100% of the labels are its own answers"):
        shop.draw()


def test_a_set_of_another_model_is_refused(shop: Shop) -> None:
    training = DebugTraining("chat", "another", shop.sets, None)
    with pytest.raises(ArtefactError, match="pool set 1 was embedded by another model"):
        training.draw(shop.failing, Wanted(10))


def test_failures_need_a_right_class() -> None:
    with pytest.raises(InputError, match="failure sample f-1: no label"):
        failing_samples(samples("f", np.ones((2, DIMENSION), np.float32), ["a", None]), EMBEDDER)
    with pytest.raises(InputError, match="the file has none"):
        failing_samples([], EMBEDDER)


def test_of_known_failures_those_with_a_right_class_are_taken(shop: Shop) -> None:
    none = np.zeros(2)
    known = FailureRows(
        ("a", "b"), np.eye(2, DIMENSION, dtype=np.float32), ("x", None), ("y", "y"), ("", ""), none, none.astype(np.int64), none > 0
    )
    found = failing_rows(known)
    assert (found.labels, found.unnamed, found.embeddings.shape) == (("x",), 1, (1, DIMENSION))
    with pytest.raises(InputError, match=r"\(1 without one: `driftgate failure mark SAMPLE --label CLASS`\)"):
        shop.draw(failing=Failing(found.embeddings[:0], (), 1))
