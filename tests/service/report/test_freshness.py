"""Freshness: what the test set says of today's traffic, and what keeps it from saying anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.records import Measured, Output
from service.report.freshness import freshness
from service.report.parts import Lines, Standing
from tests.service.conftest import DIMENSION, TOPICS, World
from tests.service.report.covering import add, material, send, unreferenced


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


def test_a_topic_that_came_up_is_named_first_and_is_the_share_that_lacks(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 640, range(6))
    add(world, tmp_path, "golden", 300, range(1, 9))
    found = freshness(material(world, store, tmp_path))
    share, _, seen = (figure.value for figure in found.figures)
    assert isinstance(share, Measured)
    assert share.low - 0.02 < 5 / 6 < share.high + 0.02
    assert isinstance(seen, Measured)
    assert seen.low - 0.04 < 5 / 8 < seen.high + 0.04
    lacking, stale = found.tables
    (first, *_), *_ = lacking.rows
    assert str(first).startswith("samples like s")
    assert {str(row[0]).partition(" (")[0] for row in stale.rows} == {"topic 6", "topic 7", "topic 8"}
    assert len({row[0] for row in stale.rows}) == len(stale.rows)
    assert found.standing is Standing.ACT
    assert found.urgency == pytest.approx(1 - share.high)
    assert "driftgate dataset add --monitor chat --role golden" in found.todo
    assert not found.missing


def test_a_draw_of_the_traffic_is_fresh(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 640, range(6))
    add(world, tmp_path, "golden", 300, range(6))
    found = freshness(material(world, store, tmp_path))
    assert (found.standing, found.todo, found.tables) == (Standing.FINE, "", ())
    assert found.urgency == 0.0
    (plot,) = found.plots
    assert isinstance(plot, Lines)
    assert (plot.title, plot.across) == ("Covered by the test set", "minutes before the last sample")
    assert -11 < plot.series["traffic"][0][0] < -10 < -1 < plot.series["traffic"][-1][0] < 0


def test_a_balanced_set_is_fresh_for_skewed_traffic(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 1_280, [*range(8), *[3] * 10])
    add(world, tmp_path, "golden", 600, range(8))
    found = freshness(material(world, store, tmp_path))
    assert (found.standing, found.todo) == (Standing.FINE, "")
    assert "they have little for how much of it is sent" in found.says


@pytest.mark.parametrize(("answers", "standing"), [(4, Standing.FINE), (40, Standing.WATCH)])
def test_some_answers_of_a_class_without_test_samples_are_the_models_errors(
    answers: int, standing: Standing, world: World, store: SqliteStore, tmp_path: Path
) -> None:
    send(world, store, 640, range(6))
    add(world, tmp_path, "golden", 300, range(6))
    made = material(world, store, tmp_path)
    made.production = [
        replace(row, output=Output(label="topic 9" if at < answers else "topic 1")) for at, row in enumerate(made.production)
    ]
    found = freshness(made)
    assert found.standing is standing
    assert [row[0] for row in found.tables[-1].rows] == ["topic 9"]
    assert ("“topic 9”" in found.todo) is (standing is Standing.WATCH)


def test_a_gap_of_many_places_is_one_class(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 640, range(6))
    add(world, tmp_path, "golden", 300, range(1, 6))
    made = material(world, store, tmp_path)
    nearest = np.stack([row.embedding for row in made.production]) @ TOPICS[:6].T - 0.5 * np.square(TOPICS[:6]).sum(1)
    made.production = [replace(row, label=f"topic {at}") for row, at in zip(made.production, nearest.argmax(1), strict=True)]
    found = freshness(made)
    classes = next(table for table in found.tables if table.title == "Traffic that the test set lacks, by class")
    name, share, of_class = classes.rows[0]
    assert name == "topic 0"
    assert isinstance(share, Measured)
    assert isinstance(of_class, Measured)
    assert share.low < 1 / 6 < share.high
    assert of_class.estimate > 0.9
    assert "Most of what lacks is “topic 0”" in found.says


def test_a_challenge_set_is_part_of_it(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 640, range(6))
    add(world, tmp_path, "golden", 200, range(1, 6))
    add(world, tmp_path, "challenge", 60, [0], seed=3)
    assert freshness(material(world, store, tmp_path)).standing is Standing.FINE


def test_without_a_golden_set_it_says_what_to_do(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 64, range(6))
    found = freshness(material(world, store, tmp_path))
    assert found.standing is Standing.UNKNOWN
    assert [(each.what, each.why) for each in found.missing] == [("golden set", "there is none")]
    assert "driftgate dataset add" in found.missing[0].remedy


def test_without_traffic_it_says_so(world: World, store: SqliteStore, tmp_path: Path) -> None:
    add(world, tmp_path, "golden", 60, range(6))
    assert [each.what for each in freshness(material(world, store, tmp_path)).missing] == ["production"]


def test_few_rows_are_named(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 64, range(6))
    add(world, tmp_path, "golden", 8, range(6))
    (missing,) = freshness(material(world, store, tmp_path)).missing
    assert "8 to cover them: both must be at least 30" in missing.why


def test_a_set_of_another_model_is_named_and_the_other_still_counts(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 640, range(6))
    add(world, tmp_path, "golden", 200, range(6))
    add(replace(world, embedder=VectorEmbedder(DIMENSION, normalize=True)), tmp_path, "challenge", 60, [0])
    found = freshness(material(world, store, tmp_path))
    assert found.standing is Standing.FINE
    assert ["another model" in each.why for each in found.missing] == [True]


def test_it_needs_no_reference(world: World, store: SqliteStore, tmp_path: Path) -> None:
    send(world, store, 320, range(6))
    add(world, tmp_path, "golden", 200, range(6))
    assert freshness(unreferenced(world, store, tmp_path)).standing is Standing.FINE
