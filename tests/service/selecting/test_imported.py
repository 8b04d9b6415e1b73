"""Pools from files are chosen from, but for sets that only keep what annotators were asked."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.datasets import DataSet, DataSets
from service.ports import Embedded
from service.records import Output, Payload, Sample
from service.selecting import imported as module
from service.selecting.imported import Imported, imported


class Answering(VectorEmbedder):
    """Says the second of two classes."""

    def embed(self, payloads: Any) -> Embedded:
        return replace(super().embed(payloads), logits=np.tile(np.array([0.0, 1.0], np.float32), (len(payloads), 1)))


def sample(name: str, **changes: Any) -> Sample:
    payload: Payload = np.random.default_rng(sum(map(ord, name))).normal(size=4).astype(np.float32)
    return Sample("chat", name, **{"time": math.nan, "payload": payload, **changes})


class Shelf:
    """Pool sets of a monitor."""

    def __init__(self, folder: Path) -> None:
        self.sets = DataSets(folder)
        self.embedder = VectorEmbedder(4, normalize=False)
        self.reference: Any = SimpleNamespace(monitor="chat", version=3, fingerprint=self.embedder.fingerprint)

    def add(self, *samples: Sample, embedder: Any = None) -> DataSet:
        return self.sets.add("chat", "pool", samples, embedder or self.embedder, now=1.0, classes=("a", "b"))

    def rows(self, *asked: str) -> Imported:
        return imported(self.sets, self.reference, set(asked))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_sets_that_keep_what_annotators_were_asked_are_none_of_them(shelf: Shelf) -> None:
    shelf.add(sample("f1", label="a"), sample("f2"))
    shelf.add(sample("s1"), sample("s2"))
    found = shelf.rows("s1", "s2", "s3")
    assert [(row.id, row.label, row.time, row.reference_version) for row in found.rows] == [("f1", "a", 0.0, 3), ("f2", None, 0.0, 3)]
    assert found.notes == ()


def test_a_row_is_as_its_newest_set_has_it(shelf: Shelf) -> None:
    shelf.add(sample("f1", label="a"), sample("f2", label="a"))
    shelf.add(sample("f1", label="b"))
    assert {row.id: row.label for row in shelf.rows().rows} == {"f1": "b", "f2": "a"}


def test_a_set_of_another_model_is_told_of_and_left(shelf: Shelf) -> None:
    shelf.add(sample("f1"))
    shelf.reference.fingerprint = "another"
    found = shelf.rows()
    assert found.rows == ()
    assert "pool set 1 was embedded by another model" in found.notes[0]
    assert "driftgate pool import --monitor chat" in found.notes[0]


def test_no_more_rows_are_read_than_can_be_looked_at(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.add(*(sample(f"f{i}") for i in range(9)))
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    found = shelf.rows()
    assert [row.id for row in found.rows] == ["f0", "f4", "f8"]
    assert "of 9 rows of pool set 1, 3 evenly spread ones are looked at" in found.notes[0]


def test_the_model_in_force_answers_where_the_file_does_not(shelf: Shelf) -> None:
    shelf.add(sample("f1"), sample("f2", output=Output("a")), embedder=Answering(4, normalize=False))
    said = {row.id: row.output for row in shelf.rows().rows}
    assert said["f1"] == Output("b", logits=(0.0, 1.0))
    assert said["f2"] == Output("a")
