"""Wrong labels in every labelled set that a monitor has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets, Role
from service.records import Judgement, Label, Measured, Sample
from service.report.annotation_errors import annotation_errors
from service.report.material import Material
from service.report.mislabelled import Mislabelled, mislabelled
from service.report.parts import Bars, Missing, Standing
from tests.service.conftest import DIMENSION, World
from tests.service.report.covering import NOW, drawn, material, send, unreferenced

TOPICS = range(6)
WRONG = 60


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


def add(world: World, folder: Path, role: Role, labels: Sequence[str | None]) -> None:
    """As many rows of the topics as there are labels; None leaves the topic's own."""
    rows = drawn(len(labels), 2, TOPICS)
    own = [topic if label is None else label for label, (_, topic) in zip(labels, rows, strict=True)]
    samples = [Sample("chat", f"{role}{at}", 1_000.0, row, {}, None, own[at] or None) for at, (row, _) in enumerate(rows)]
    DataSets(folder).add("chat", role, samples, world.embedder, now=NOW)


def swapped(n: int, wrong: int) -> list[str | None]:
    """The first labels are those of the next topic."""
    truth = [topic for _, topic in drawn(n, 2, TOPICS)]
    return [f"topic {(int(one.split()[1]) + 1) % len(TOPICS)}" if at < wrong else None for at, one in enumerate(truth)]


def in_scheme(found: Material, classes: Sequence[str]) -> Material:
    found.settings = found.settings.model_copy(update={"classes": tuple(classes)})
    return found


def test_wrong_labels_are_counted_listed_and_told_by_class(world: World, store: SqliteStore, tmp_path: Path) -> None:
    add(world, tmp_path, "train", swapped(600, WRONG))
    add(world, tmp_path, "golden", [None] * 300)
    found = annotation_errors(material(world, store, tmp_path))
    assert found.standing is Standing.ACT
    assert "driftgate dataset errors --monitor chat --role train" in found.todo
    figures = {figure.name: figure.value for figure in found.figures}
    rate = figures["wrong labels, training set"]
    assert isinstance(rate, Measured)
    assert rate.low < WRONG / 600 < rate.high
    assert found.urgency == rate.low
    assert abs(float(str(figures["rows to review, training set"])) - WRONG) <= 8
    worst = found.tables[0]
    assert worst.title == "Labels most probably wrong, training set"
    assert sum(int(str(row[0]).removeprefix("train")) < WRONG for row in worst.rows) == 20
    assert worst.left_out >= 30
    label, _, share, mostly = found.tables[1].rows[0]
    assert str(label) != str(mostly)
    assert isinstance(share, float)
    assert 0 < share < 0.3
    (bars,) = found.plots
    assert isinstance(bars, Bars)
    assert list(bars.values) == ["training set", "golden set"]
    assert [each.what for each in found.missing] == ["challenge set", "labels of recent samples"]


def test_right_labels_are_fine(world: World, store: SqliteStore, tmp_path: Path) -> None:
    add(world, tmp_path, "golden", [None] * 600)
    found = annotation_errors(material(world, store, tmp_path))
    assert (found.standing, found.todo) == (Standing.FINE, "")


def test_what_cannot_be_judged_is_named_and_the_rest_is_judged(world: World, store: SqliteStore, tmp_path: Path) -> None:
    labels: list[str | None] = [None] * 400
    labels[7], labels[8], labels[9] = "topik 1", "topik 1", "lonely"
    add(world, tmp_path, "train", labels)
    add(world, tmp_path, "golden", ["one"] * 50)
    chat = in_scheme(material(world, store, tmp_path), ["one", "lonely", *(f"topic {topic}" for topic in TOPICS)])
    found = annotation_errors(chat)
    assert found.standing is Standing.WATCH
    named = {each.what: each for each in found.missing}
    assert "add them to `classes` of chat" in named["2 labels of the training set"].remedy
    assert "alone" in named["classes of one row, training set: 1, such as lonely"].why
    assert "two classes at least, found 1" in named["labels of the golden set"].why
    assert found.tables[-1].rows[0] == ("topik 1", 2, "train7, train8")
    assert "2 labels are none of the monitor's classes" in found.says


def test_a_set_of_foreign_labels_alone_says_so(world: World, store: SqliteStore, tmp_path: Path) -> None:
    add(world, tmp_path, "train", [None] * 60)
    found = mislabelled(in_scheme(material(world, store, tmp_path), ["yes", "no"]), "train", 5)
    assert isinstance(found, Missing)
    assert "60 rows have a label that is none of the monitor's classes, such as 'topic" in found.why
    assert "of the rest" not in found.why
    assert "classes" in found.remedy


def test_right_labels_of_classes_that_overlap_are_told_as_ambiguous(world: World, store: SqliteStore, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    topics = rng.integers(0, 3, 600)
    rows = (np.eye(3, DIMENSION)[topics] + rng.standard_normal((600, DIMENSION)) * (np.arange(DIMENSION) < 8)).astype(np.float32)
    samples = [Sample("chat", f"s{at}", 0.0, row, {}, None, f"topic {topics[at]}") for at, row in enumerate(rows)]
    DataSets(tmp_path).add("chat", "golden", samples, world.embedder, now=NOW)
    found = annotation_errors(material(world, store, tmp_path))
    assert (found.standing, found.urgency, found.todo) == (Standing.FINE, 0, "")
    assert "wrong or ambiguous" in found.says


def test_labels_that_came_back_are_judged_too(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 320, TOPICS)
    chat = material(world, store, tmp_path)
    truth = [topic for _, topic in drawn(320, 1, TOPICS)]
    told = [Judgement("chat", f"s{at}", "", topic, 0.5, {}, 0, 1, 0.0, 0.0) for at, topic in enumerate(truth)]
    wrong = "topic 1" if truth[3] == "topic 0" else "topic 0"
    told[3] = replace(told[3], truth=wrong)
    chat.__dict__["judgements"] = told
    asked = [Label("chat", "b1", "s4", truth[4], 0.0), Label("chat", "b1", "s5", None, 0.0, unusable=True)]
    store.add_labels(asked)
    found = mislabelled(chat, "returned", 5)
    assert isinstance(found, Mislabelled)
    assert found.rows == 320
    assert found.suspects[0].id == "s3"
    assert (found.suspects[0].label, found.suspects[0].suggested) == (wrong, truth[3])
    assert len(found.suspects) == 5


def test_sets_of_another_model_are_named(world: World, store: SqliteStore, tmp_path: Path) -> None:
    samples = [Sample("chat", f"s{at}", 0.0, row, {}, None, topic) for at, (row, topic) in enumerate(drawn(20, 2, TOPICS))]
    DataSets(tmp_path).add("chat", "train", samples, VectorEmbedder(DIMENSION, normalize=True), now=NOW)
    found = mislabelled(material(world, store, tmp_path), "train", 5)
    assert isinstance(found, Missing)
    assert "another model" in found.why


def test_a_bare_monitor_names_every_set(world: World, store: SqliteStore, tmp_path: Path) -> None:
    found = annotation_errors(unreferenced(world, store, tmp_path))
    assert found.standing is Standing.UNKNOWN
    assert len(found.missing) == 4


def test_unlabelled_rows_are_left_out(world: World, store: SqliteStore, tmp_path: Path) -> None:
    add(world, tmp_path, "train", [None] * 200)
    chat = material(world, store, tmp_path)
    loaded = chat.data_set("train")
    assert not isinstance(loaded, Missing)
    rows = [replace(row, sample=replace(row.sample, label=None)) if at < 20 else row for at, row in enumerate(loaded.rows)]
    chat._sets["train"] = replace(loaded, rows=tuple(rows))
    found = mislabelled(chat, "train", 5)
    assert isinstance(found, Mislabelled)
    assert (found.rows, found.unlabelled) == (180, 20)
    assert all(np.isfinite(one.probability) for one in found.suspects)
