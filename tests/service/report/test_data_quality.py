"""The section says of every set and of the traffic what `driftgate dataset check` says of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from service.adapters.sqlite import SqliteStore
from service.checking import KINDS
from service.datasets import DataSets
from service.records import Sample
from service.report.data_quality import data_quality
from service.report.parts import Standing
from tests.service.conftest import World
from tests.service.report.covering import NOW, add, drawn, material, send

TOPICS = range(12)


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


def test_nothing_to_look_at_is_said(world: World, store: SqliteStore, tmp_path: Path) -> None:
    section = data_quality(material(world, store, tmp_path))
    assert (section.standing, section.urgency, section.figures) == (Standing.UNKNOWN, 0.0, ())
    assert [missing.what for missing in section.missing] == ["train set", "golden set", "challenge set", "production"]


@pytest.mark.long
def test_good_sets_and_traffic_pass(world: World, store: SqliteStore, tmp_path: Path) -> None:
    add(world, tmp_path, "train", 300, TOPICS, seed=2)
    add(world, tmp_path, "golden", 320, TOPICS, seed=3)
    send(world, store, 64, TOPICS)
    section = data_quality(material(world, store, tmp_path))
    assert section.standing is Standing.FINE
    assert section.says.startswith("All ")
    assert section.todo == ""
    (profile,) = section.tables
    assert [row[:2] for row in profile.rows] == [("train", 300), ("golden", 320), ("production", 64)]
    assert {figure.name: figure.value for figure in section.figures}["traffic that is blank or garbled"] == 0.0


def test_what_is_wrong_comes_first(world: World, store: SqliteStore, tmp_path: Path) -> None:
    rows = drawn(200, 2, TOPICS)
    samples = [Sample("chat", f"t{i}", 1.0, row, {"locale": "en"}, None, label) for i, (row, label) in enumerate(rows)]
    again = [Sample("chat", f"u{i}", 1.0, samples[i].payload, {"locale": "en"}, None, "topic x") for i in range(50)]
    blank = Sample("chat", "b", 1.0, np.zeros(6, np.float32), {}, None, "topic 1")
    DataSets(tmp_path).add("chat", "train", [*samples, *again, blank], world.embedder, now=NOW)
    section = data_quality(material(world, store, tmp_path))
    assert section.standing is Standing.ACT
    assert section.todo.startswith("train: decide which label is right")
    assert section.urgency == pytest.approx(100 / 251)
    beyond = section.tables[0]
    assert [row[2] for row in beyond.rows][:2] == [KINDS["contradicted"].title, KINDS["repeated"].title]
    assert "t0: topic" in str(beyond.rows[0][4])


def test_a_scheme_that_labels_do_not_keep_to(world: World, store: SqliteStore, tmp_path: Path) -> None:
    add(world, tmp_path, "golden", 60, TOPICS)
    seen = material(world, store, tmp_path)
    seen.settings = seen.settings.model_copy(update={"classes": ("topic 1", "topic 2")})
    section = data_quality(seen)
    assert section.standing is Standing.ACT
    assert KINDS["unknown_labels"].title in section.says
