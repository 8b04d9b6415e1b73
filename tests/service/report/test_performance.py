"""What the report says of how well the model answers: from labels that came back and from sets that it answered."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets
from service.records import Event, Measured
from service.report.material import Material
from service.report.parts import Bars, Lines, Matrix, Section, Standing
from service.report.performance import performance
from tests.service.conftest import World, samples_of
from tests.service.report.answering import NOW, add, judged, knowing


@pytest.fixture
def watched(world: World, tmp_path: Path) -> Iterator[Material]:
    """A monitor with a reference in force, to which no truth has come back."""
    with closing(SqliteStore(":memory:")) as store:
        yield Material(world.settings, store, world.references, DataSets(tmp_path), now=NOW)


def figures(section: Section) -> dict[str, float]:
    return {each.name: each.value.estimate if isinstance(each.value, Measured) else each.value for each in section.figures}


def lacking(section: Section) -> set[str]:
    return {each.what for each in section.missing}


def test_without_any_truth_it_says_what_would_bring_some(watched: Material) -> None:
    section = performance(watched)
    assert section.standing is Standing.UNKNOWN
    assert section.name == "performance"
    assert lacking(section) == {"performance in production", "golden set", "challenge set", "train set"}
    assert any("/v1/monitors/chat/labels" in each.remedy for each in section.missing)


def test_labels_that_came_back_are_told_by_class_and_segment(watched: Material) -> None:
    section = performance(knowing(watched, judged(900, 1)))
    found = figures(section)
    assert section.standing is Standing.FINE
    assert found["labelled rows"] == 900
    assert found["accuracy"] == pytest.approx(0.9, abs=0.03)
    assert found["label delay, median and 10 to 90 %"] == pytest.approx(60 * np.log(2), rel=0.2)
    tables = {each.title: each for each in section.tables}
    assert {row[0] for row in tables["Classes in production, worst first"].rows} == {"card", "loan", "save"}
    assert {row[0] for row in tables["Segments in production, worst first"].rows} == {"locale=en", "locale=de", "locale=fr"}
    assert {type(plot) for plot in section.plots} == {Bars, Lines, Matrix}
    matrix, *_ = (plot for plot in section.plots if isinstance(plot, Matrix))
    assert sum(map(sum, matrix.counts)) == 900


def test_each_segment_has_its_classes_confusion_and_delay(watched: Material) -> None:
    slow = [replace(each, told=each.time + 900) if each.segments["locale"] == "fr" else each for each in judged(900, 1)]
    rare = replace(slow[0], segments={"locale": "is"})
    section = performance(knowing(watched, [*slow, rare]))
    tables = {each.title: each for each in section.tables}
    segments = tables["Segments in production, worst first"]
    assert [column.name for column in segments.columns[2:]] == ["accuracy", "mean recall", "mean F1", "label delay, median and 10 to 90 %"]
    rows = {row[0]: row for row in segments.rows}
    assert rows["locale=fr"][-1] == Measured(900, 900, 900)
    assert rows["locale=fr"][3] != rows["locale=en"][3]
    there = tables["Classes in production, locale=fr, worst first"]
    assert {row[0] for row in there.rows} == {"card", "loan", "save"}
    assert sum(int(str(row[1])) for row in there.rows) == rows["locale=fr"][1]
    matrices = {plot.title: plot for plot in section.plots if isinstance(plot, Matrix)}
    assert sum(map(sum, matrices["Confusion in production, locale=fr"].counts)) == rows["locale=fr"][1]
    assert "Classes in production, locale=is, worst first" not in tables


def test_a_tag_of_very_many_values_is_compared_where_it_has_rows(watched: Material) -> None:
    many = [replace(each, segments={"customer": f"c{at % 80}"}) for at, each in enumerate(judged(1_600, 1))]
    section = performance(knowing(watched, many))
    assert "gaps to 30 segments" in lacking(section)
    assert len([plot for plot in section.plots if isinstance(plot, Matrix)]) == 6


def test_production_below_the_golden_set_is_to_be_acted_on(watched: Material, world: World, tmp_path: Path) -> None:
    add(tmp_path, "golden", world.ordinary(300, 1), wrong=9)
    section = performance(knowing(watched, judged(900, 1, wrong=0.2)))
    assert section.standing is Standing.ACT
    assert 0.1 < section.urgency < 0.16  # .17 less what chance may explain
    assert section.todo
    assert "below the golden set" in section.says


def test_production_above_the_golden_set_is_said_so(watched: Material, world: World, tmp_path: Path) -> None:
    add(tmp_path, "golden", world.ordinary(300, 1), wrong=90)
    section = performance(knowing(watched, judged(900, 1)))
    assert section.standing is Standing.FINE
    assert "above the golden set" in section.says


def test_a_set_stands_in_where_no_truth_came_back(watched: Material, world: World, tmp_path: Path) -> None:
    add(tmp_path, "golden", world.ordinary(200, 1), wrong=40)
    add(tmp_path, "train", world.ordinary(400, 2), wrong=0)
    section = performance(watched)
    found = figures(section)
    assert found["accuracy"] == 0.8
    assert found["training set less golden set"] == pytest.approx(0.2)
    assert section.standing is Standing.WATCH
    assert "performance in production" in lacking(section)


def test_an_uneven_model_is_worth_a_look(watched: Material) -> None:
    uneven = [replace(each, predicted="loan", truth="card") if each.segments["locale"] == "fr" else each for each in judged(600, 3)]
    section = performance(knowing(watched, uneven))
    assert section.standing is Standing.WATCH
    assert "locale=fr" in section.todo
    (gap,) = (each.value for each in section.figures if each.name == "widest gap between segments")
    assert isinstance(gap, Measured)
    assert 0.15 * gap.low < section.urgency < 0.25 * gap.low


def test_what_small_sets_cannot_tell_is_named(watched: Material) -> None:
    alone = [replace(each, truth="card", predicted="card", confidence=float("nan")) for each in judged(15, 4)]
    section = performance(knowing(watched, alone))
    assert {"recall of other classes", "calibration"} <= lacking(section)
    rare = [*judged(200, 5), replace(judged(1, 6)[0], truth="rare", segments={"locale": "is"})]
    section = performance(knowing(watched, rare))
    assert {"recall of 1 classes", "accuracy of 1 segments"} <= lacking(section)


def test_answers_to_an_earlier_reference_are_of_an_earlier_model(watched: Material) -> None:
    earlier = [replace(each, reference_version=7) for each in judged(50, 7)]
    section = performance(knowing(watched, earlier))
    (found,) = (each for each in section.missing if each.what == "performance in production")
    assert "since reference version 1" in found.why


def test_a_set_without_answers_is_named(watched: Material, world: World, tmp_path: Path) -> None:
    samples = [replace(each, label="card") for each in samples_of(world.ordinary(30, 1))]
    DataSets(tmp_path).add("chat", "golden", samples, world.embedder, now=1.0)
    section = performance(watched)
    assert "answers to the golden set" in lacking(section)


def test_answers_that_labels_brought_count_from_when_the_reference_came(watched: Material) -> None:
    brought = [replace(each, reference_version=0, told=each.time) for each in judged(100, 8)]
    came = brought[40].told
    watched.store.record_event(Event("r", "chat", "rebase", came, "driftgate", body={"version": 1}))
    assert figures(performance(knowing(watched, brought)))["labelled rows"] == sum(each.told >= came for each in brought)
