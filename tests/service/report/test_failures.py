"""Where the model fails: slices and groups of wrong answers, with what can be shown of them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets
from service.failures.marks import Word, mark
from service.records import Measured
from service.report.failures import failures
from service.report.material import Material
from service.report.parts import Standing
from tests.service.conftest import World
from tests.service.report.answering import NOW, add, judged, knowing


@pytest.fixture
def watched(world: World, tmp_path: Path) -> Iterator[Material]:
    """A monitor with a reference in force, to which no truth has come back."""
    with closing(SqliteStore(":memory:")) as store:
        yield Material(world.settings, store, world.references, DataSets(tmp_path), now=NOW)


def test_without_any_truth_it_says_so(watched: Material) -> None:
    section = failures(watched)
    assert section.standing is Standing.UNKNOWN
    assert section.missing


def test_a_slice_that_does_worse_comes_first(watched: Material, world: World) -> None:
    section = failures(knowing(watched, judged(2_000, 1, bad=0.6)))
    cluster = world.reference.cluster_names[2]
    assert section.standing is Standing.WATCH
    slices, groups = section.tables
    assert slices.rows[0][0] == f"cluster={cluster} and locale=fr"
    assert str(slices.rows[0][0]) in section.todo
    (beyond,) = (each.value for each in section.figures if each.name == "wrong beyond the rest's error rate")
    assert isinstance(beyond, Measured)
    assert beyond.estimate == pytest.approx(0.05 * 0.5, abs=0.015)
    assert section.urgency == beyond.low
    assert 0 < beyond.low < 0.8 * beyond.estimate  # it was picked for being large
    assert groups.rows[0][0] == cluster
    assert len(groups.rows) <= 15


def test_errors_dealt_by_chance_are_no_slice(watched: Material) -> None:
    section = failures(knowing(watched, judged(1_000, 2)))
    assert section.standing is Standing.FINE
    assert section.urgency == 0
    assert not section.todo


def test_a_model_that_is_always_right_has_none(watched: Material) -> None:
    section = failures(knowing(watched, judged(100, 2, wrong=0)))
    assert section.standing is Standing.FINE
    assert section.tables == ()


def test_few_labels_tell_nothing(watched: Material) -> None:
    section = failures(knowing(watched, judged(10, 3, wrong=0.5)))
    assert section.standing is Standing.UNKNOWN
    assert "slices" in {each.what for each in section.missing}


def test_texts_that_are_kept_are_shown(watched: Material, world: World) -> None:
    assert isinstance(watched.store, SqliteStore)
    world.log(watched.store).add(world.ordinary(320, 1))
    watched.judgements = [replace(each, sample=f"s{at}") for at, each in enumerate(judged(320, 4, wrong=0.4))]
    (groups,) = (each for each in failures(watched).tables if each.title.startswith("The same"))
    assert str(groups.rows[0][-1]).startswith("text ")


def test_clusters_that_are_not_known_are_named_and_the_rest_is_told(watched: Material) -> None:
    unknown = [replace(each, cluster=-1) for each in judged(800, 5, wrong=0.2)]
    section = failures(knowing(watched, unknown))
    assert "clusters of failures" in {each.what for each in section.missing}
    (groups,) = section.tables
    assert {row[0] for row in groups.rows} == {""}


def test_a_golden_set_stands_in_by_its_regions(watched: Material, world: World, tmp_path: Path) -> None:
    add(tmp_path, "golden", world.ordinary(400, 1), wrong=80)
    section = failures(watched)
    assert "80 of 400 answers in golden" in section.says
    assert any(str(row[0]).startswith("region ") for table in section.tables for row in table.rows)


def test_of_very_many_answers_the_newest_are_searched(watched: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.report.failures._MOST", 300)
    late = [replace(each, predicted="loan", truth="card") for each in judged(300, 6)]
    section = failures(knowing(watched, [*judged(500, 7, wrong=0.0), *late]))
    assert "300 of the newest 300 answers" in section.says


def test_what_people_marked_is_shown_without_any_truth(watched: Material, world: World, make_marked: None) -> None:
    section = failures(watched)
    assert section.standing is Standing.UNKNOWN
    (table,) = section.tables
    assert sum(int(str(row[4])) for row in table.rows) == 3
    assert {row[2] for row in table.rows} == {"new"}
    assert table.columns[0].name == "cluster"


@pytest.fixture
def make_marked(watched: Material, world: World) -> None:
    assert isinstance(watched.store, SqliteStore)
    world.log(watched.store, vectors=True).add(world.new(16, 5))
    for sample in ("s1", "s2", "s3"):
        mark(watched.store, "chat", sample, "new", Word("ana", "", NOW))
