"""What a report is made of is read once, and says why where it is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSet, DataSets
from service.records import Sample
from service.report.material import Material
from service.report.parts import Missing
from tests.service.conftest import World
from tests.service.report.covering import add, material, send, unreferenced


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


def test_the_test_set_is_golden_and_challenge_together(world: World, store: SqliteStore, tmp_path: Path) -> None:
    add(world, tmp_path, "golden", 40, range(3))
    add(world, tmp_path, "challenge", 20, [3])
    found = material(world, store, tmp_path)
    golden, challenge, test = (found.embeddings(side) for side in ("golden", "challenge", "test"))
    assert golden is not None
    assert challenge is not None
    assert test is not None
    assert np.array_equal(np.concatenate([golden, challenge]), test)


def test_covers_are_made_once(world: World, store: SqliteStore, tmp_path: Path) -> None:
    steps: list[str] = []
    send(world, store, 64, range(3))
    add(world, tmp_path, "golden", 40, range(3))
    found = material(world, store, tmp_path)
    found.progress = lambda step, _: steps.append(step)
    assert found.cover("production", "test") is found.cover("production", "test")
    assert steps == ["production covered by test"]


def test_what_is_not_there_says_why(world: World, store: SqliteStore, tmp_path: Path) -> None:
    found = material(world, store, tmp_path)
    lacking = found.cover("production", "train")
    assert isinstance(lacking, Missing)
    assert lacking.what == "production"
    assert found.embeddings("test") is None


def test_other_sides_than_production_are_drawn_from(
    world: World, store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.report.material._MOST_HELD_AGAINST", 50)
    send(world, store, 64, range(3))
    found = material(world, store, tmp_path)
    assert len(found.drawn("production")) == 64
    assert len(found.drawn("reference")) == 50
    assert (np.diff(found.drawn("reference")) > 0).all()


def test_regions_are_of_the_reference_where_there_is_no_training_set(world: World, store: SqliteStore, tmp_path: Path) -> None:
    found = material(world, store, tmp_path)
    rows = found.embeddings("reference")
    assert found.regions is not None
    assert rows is not None
    assert found.region_of(rows).max() < len(found.regions)


def test_without_either_there_are_no_regions(world: World, store: SqliteStore, tmp_path: Path) -> None:
    found: Material = material(world, store, tmp_path)
    found.reference = None
    with pytest.raises(ValueError, match="neither a training set nor a reference"):
        found.region_of(np.zeros((1, 6), np.float32))


def test_without_a_reference_the_training_sets_model_counts(world: World, store: SqliteStore, tmp_path: Path) -> None:
    add(world, tmp_path, "golden", 40, range(3))
    samples = [Sample("chat", f"t{at}", 1_000.0, np.full(2, at, np.float32), label="x") for at in range(40)]
    DataSets(tmp_path).add("chat", "train", samples, VectorEmbedder(2, normalize=False), now=1.0)
    DataSets(tmp_path).add("chat", "challenge", samples, VectorEmbedder(2, normalize=False), now=1.0)
    found = unreferenced(world, store, tmp_path)
    golden = found.data_set("golden")
    assert isinstance(golden, Missing)
    assert "another model than the train set" in golden.why
    assert isinstance(found.data_set("challenge"), DataSet)
    send(world, store, 64, range(3))
    lacking = found.cover("production", "train")
    assert isinstance(lacking, Missing)
    assert "6 and 2 dimensions" in lacking.why


def test_kept_samples_of_an_earlier_model_are_left_out(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 64, range(3))
    found = unreferenced(world, store, tmp_path)
    kept = list(store.pool("chat"))
    earlier = [replace(row, embedding=row.embedding[:2]) for row in kept[:16]]
    found.store = cast("SqliteStore", SimpleNamespace(pool=lambda _: [*earlier, *kept[16:]]))
    rows = found.embeddings("production")
    assert rows is not None
    assert rows.shape == (48, kept[0].embedding.shape[0])
