"""What of the held-out sets was trained on, and how much of their accuracy stands on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from detectors.copies import FALSE_FLAGS
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets, Role
from service.records import Measured, Output, Sample
from service.report.leakage import leakage
from service.report.parts import Standing
from tests.service.conftest import World
from tests.service.report.covering import NOW, add, drawn, material


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


def rows(role: Role, n: int, seed: int) -> list[Sample]:
    """The model answers `topic 1` whatever it is asked."""
    found = enumerate(drawn(n, seed, range(12)))
    return [Sample("chat", f"{role}{i}", 1.0, row, {}, Output(label="topic 1"), label) for i, (row, label) in found]


def publish(world: World, folder: Path, role: Role, samples: Sequence[Sample]) -> None:
    DataSets(folder).add("chat", role, samples, world.embedder, now=NOW)


def test_without_training_or_a_test_nothing_is_known(world: World, store: SqliteStore, tmp_path: Path) -> None:
    section = leakage(material(world, store, tmp_path))
    assert (section.standing, section.urgency) == (Standing.UNKNOWN, 0.0)
    assert {missing.what for missing in section.missing} == {"train set", "golden set", "challenge set"}
    add(world, tmp_path, "train", 60, range(12))
    assert leakage(material(world, store, tmp_path)).standing is Standing.UNKNOWN


def test_sets_that_were_kept_apart(world: World, store: SqliteStore, tmp_path: Path) -> None:
    add(world, tmp_path, "train", 300, range(12), seed=2)
    add(world, tmp_path, "golden", 100, range(12), seed=3)
    section = leakage(material(world, store, tmp_path))
    assert section.standing is Standing.FINE
    assert section.todo == ""
    assert [missing.what for missing in section.missing] == ["challenge set"]


def test_rows_by_content_id_and_likeness_and_what_accuracy_is_without_them(world: World, store: SqliteStore, tmp_path: Path) -> None:
    train, golden = rows("train", 300, 2), rows("golden", 100, 3)
    near = np.asarray(train[7].payload, np.float32) + np.float32(0.001)
    golden[0] = Sample("chat", "golden0", 1.0, train[5].payload, {}, Output(label="topic 1"), "topic 1")
    golden[1] = Sample("chat", "golden1", 1.0, near, {}, Output(label="topic 1"), "topic 1")
    golden[2] = Sample("chat", "train9", 1.0, golden[2].payload, {}, Output(label="topic 1"), "topic 1")
    publish(world, tmp_path, "train", train)
    publish(world, tmp_path, "golden", golden)
    section = leakage(material(world, store, tmp_path))
    assert section.standing is Standing.ACT
    pairs = section.tables[1]
    found = {row[0]: row[1:3] for row in pairs.rows}
    assert found["golden0"] == ("train5", "content")
    assert found["golden1"] == ("train7", "near-copy")
    assert found["train9"] == ("train9", "id")
    figures = {figure.name: figure.value for figure in section.figures}
    leaked = [row[0] for row in pairs.rows]
    clean = [sample for sample in golden if sample.id not in leaked]
    right = np.mean([sample.label == "topic 1" for sample in clean])
    share = figures["golden rows that stand in training"]
    assert isinstance(share, Measured)
    assert share.estimate == pytest.approx((len(leaked) - FALSE_FLAGS * 100) / 100)
    assert 0 < share.low < share.estimate < share.high
    clean_accuracy = figures["accuracy on golden rows that did not leak"]
    assert isinstance(clean_accuracy, Measured)
    assert clean_accuracy.estimate == pytest.approx(right)
    assert clean_accuracy.low < right < clean_accuracy.high
    assert section.urgency == share.low
    assert section.todo.startswith("Remove the 2 rows of golden that stand in training by id or content from it, look at the ")
    assert "driftgate dataset check --monitor chat --json" in section.todo
    assert "of those that did not leak" in section.says


def test_what_is_flagged_by_chance_alone_is_no_leak(world: World, store: SqliteStore, tmp_path: Path) -> None:
    train, golden = rows("train", 300, 2), rows("golden", 300, 3)
    near = np.asarray(train[7].payload, np.float32) + np.float32(0.001)
    golden[1] = Sample("chat", "golden1", 1.0, near, {}, Output(label="topic 1"), "topic 1")
    publish(world, tmp_path, "train", train)
    publish(world, tmp_path, "golden", golden)
    section = leakage(material(world, store, tmp_path))
    share = next(figure.value for figure in section.figures if figure.name == "golden rows that stand in training")
    assert isinstance(share, Measured)
    assert share.low == pytest.approx(0.0, abs=1e-3)
    assert "Remove" not in section.todo
