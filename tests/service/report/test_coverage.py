"""Coverage: whatever sets there are, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detectors.coverage import Coverage
from service.adapters.sqlite import SqliteStore
from service.report.coverage import coverage
from service.report.gaps import Content, gaps, names_of, such_as
from service.report.parts import Bars, Section, Standing
from tests.service.conftest import World
from tests.service.report.covering import add, material, send, unreferenced


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


def shown(found: Section) -> list[str]:
    return [table.title for table in found.tables]


def test_what_training_lacks_is_named_and_what_it_was_sampled_too_little_from(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 960, [0, 1, 2, 3, 4, 5, 5, 5, 5])
    add(world, tmp_path, "train", 1_200, [*range(1, 5), *range(1, 5), *range(1, 6), 11])
    add(world, tmp_path, "golden", 300, range(6))
    found = coverage(material(world, store, tmp_path))
    assert shown(found) == [
        "Traffic that the training set lacks",
        "Regions that the training set was sampled too little from",
        "Of the test set, what the training set lacks",
        "Of the training set, what the traffic lacks",
        "Of the reference, what the traffic lacks",
    ]
    _, sparse, test, train, _ = found.tables
    assert sparse.rows[0][0] == "topic 5"
    assert test.rows[0][0] == "topic 0"
    assert train.rows[0][0] == "topic 11"
    assert found.standing is Standing.ACT
    assert "role train" in found.todo
    (bars,) = found.plots
    assert isinstance(bars, Bars)
    assert len(bars.values) == 7
    assert not found.missing


def test_a_training_set_like_the_traffic_is_fine(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 640, range(12))
    add(world, tmp_path, "train", 1_000, range(12))
    add(world, tmp_path, "golden", 300, range(12))
    found = coverage(material(world, store, tmp_path))
    assert (found.standing, found.todo, found.urgency) == (Standing.FINE, "", 0.0)
    assert shown(found) == []


def test_without_a_training_set_the_reference_stands_in(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 640, [*range(12), 14, 15])
    found = coverage(material(world, store, tmp_path))
    assert "The reference covers" in found.says
    assert {each.what for each in found.missing} == {"train set", "golden set"}
    assert found.figures[-1].name == "traffic beyond 99.0 % of the reference"


def test_without_traffic_what_the_sets_lack_of_each_other_is_still_told(world: World, store: SqliteStore, tmp_path: Path) -> None:
    add(world, tmp_path, "train", 300, range(6))
    add(world, tmp_path, "golden", 100, range(7))
    found = coverage(material(world, store, tmp_path))
    assert found.standing is Standing.UNKNOWN
    assert [figure.name for figure in found.figures] == ["test set covered by training set"]


def test_nothing_at_all_is_named(world: World, store: SqliteStore, tmp_path: Path) -> None:
    found = coverage(unreferenced(world, store, tmp_path))
    assert {each.what for each in found.missing} == {"production", "reference", "train set", "golden set"}


def test_names_are_labels_then_terms_then_answers_then_ids() -> None:
    labelled, worded, bare = Content("a", "", "card", ""), Content("w", "I lost it", "", ""), Content("c", "", "", "")
    answered, usual = Content("b", "", "", "loan"), [Content("u", "I pay it", "", "")] * 20
    places = [[labelled, labelled, bare], [worded, worded, labelled], [answered, bare], [usual[0]], [bare], [labelled]]
    assert names_of(places, usual) == ["card", "lost", "answered as loan", "“I pay it”", "samples like c", "card (2)"]


def test_words_that_every_text_has_name_nothing(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 640, [*range(12), 14])
    found = material(world, store, tmp_path)
    cover = found.cover("production", "reference")
    assert isinstance(cover, Coverage)
    texts = np.where(cover.covered, "i want to go to the bank", "i want shots to travel to the sea")
    found.production = [replace(row, payload=str(text)) for row, text in zip(found.production, texts, strict=True)]
    assert sorted(gaps(found, "production", "reference").listed[0].name.split(", ")) == ["sea", "shots", "travel"]


def test_exemplars_share_the_width() -> None:
    assert such_as([Content("a", "x" * 200, "", ""), Content("b", "", "", "")]) == "x" * 56 + "… · b"
