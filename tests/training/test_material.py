"""Rows, splits and records: what needs no torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InputError
from service.training.folds import folds, groups_of
from service.training.heads import Hidden, TrainedHead
from service.training.material import Figures, Material, fresh_rows, joined
from service.training.written import changes, environment, read_record, write_record


def material() -> Material:
    """Three old classes, of which the last has most of its rows from the refresh; and a new one."""
    labels = ("a",) * 6 + ("b",) * 6 + ("c",) * 6 + ("d",) * 2
    fresh = np.array([False] * 14 + [True] * 6)
    old = np.zeros((20, 3), np.float32)
    old[:6, 0] = old[6:12, 1] = old[12:, 2] = 1
    return Material(np.eye(20, dtype=np.float32), labels, np.arange(20), ("a", "b", "c"), old, fresh)


def test_old_classes_keep_their_places_and_new_ones_follow() -> None:
    made = material()
    assert made.classes == ("a", "b", "c", "d")
    assert made.grown.tolist() == [False, False, True, True]
    assert made.old_right.tolist() == [True] * 18 + [False] * 2
    assert made.unmet() == ()
    assert Material(made.rows, ("a", "d") * 10, made.groups, made.known).unmet() == ("b", "c")


def test_figures_tell_fresh_rows_from_the_others() -> None:
    part = material().part(np.arange(20))
    answers = part.targets.copy()
    answers[[0, 19]] = 1
    found = Figures.of(part, answers)
    assert (found.rows, found.accuracy, found.negative_flips) == (20, 0.9, 0.05)
    assert found.fresh_accuracy == pytest.approx(5 / 6)
    assert found.kept_accuracy == pytest.approx(13 / 14)
    both = joined([material().part(np.arange(5)), material().part(np.arange(5, 20))])
    assert Figures.of(both, answers) == found


@pytest.mark.parametrize(
    ("labels", "says"),
    [(("a",) * 20, "two classes or more"), (("a", "b") * 4, "10 rows"), (("a", "b") * 11, "one label and one group")],
)
def test_rows_that_teach_nothing_are_refused(labels: tuple[str, ...], says: str) -> None:
    rows = np.eye(min(len(labels), 20), dtype=np.float32)
    with pytest.raises(InputError, match=says):
        Material(rows, labels, np.arange(len(rows)))


def test_without_names_what_the_old_model_gets_wrong_is_fresh() -> None:
    right = np.array([True, False, True])
    assert fresh_rows(["1", "2", "3"], None, right).tolist() == [False, True, False]
    assert fresh_rows(["1", "2", "3"], frozenset({"3"}), right).tolist() == [False, False, True]
    assert fresh_rows(["1", "2", "3"], None, None).tolist() == [False] * 3


@given(st.lists(st.integers(0, 30), min_size=2, max_size=80), st.integers(2, 5), st.integers(0, 9))
def test_no_group_is_on_both_sides_and_every_row_is_held_out_once(groups: list[int], count: int, seed: int) -> None:
    firsts = np.array([groups.index(group) for group in groups])
    made = folds(firsts, np.array(groups) % 3, count, np.random.default_rng(seed))
    assert sorted(row for _, held in made for row in held.tolist()) == list(range(len(groups)))
    for kept, held in made:
        assert set(firsts[kept]).isdisjoint(firsts[held])
        assert len(kept) + len(held) == len(groups)


def test_every_fold_holds_out_as_many_of_each_class() -> None:
    strata = np.repeat([0, 1, 2], [30, 9, 6])
    for _, held in folds(np.arange(45), strata, 3, np.random.default_rng(0)):
        assert np.bincount(strata[held]).tolist() == [10, 3, 2]


def test_near_duplicates_are_one_group() -> None:
    rows = np.random.default_rng(0).standard_normal((60, 16)).astype(np.float32)
    again = np.concatenate([rows, rows[:5] + 1e-4])
    assert groups_of(again)[60:].tolist() == groups_of(again)[:5].tolist()


def test_a_head_is_widened_without_a_change_to_its_own_answers() -> None:
    rng = np.random.default_rng(0)
    w, b, i, o, v = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 3), 2, (4, 3), 4, (2, 4)))
    head, rows = TrainedHead(("a", "b"), w, b, Hidden(i, o, v)), rng.standard_normal((5, 3)).astype(np.float32)
    wide = head.widened(("a", "b", "c"), np.array([9, 9, -1], np.float32))
    np.testing.assert_allclose(wide.logits(rows)[:, :2], head.logits(rows), rtol=1e-5)
    assert (wide.logits(rows)[:, 2] == -1).all()
    lower = wide.lowered(np.array([False, False, True]), 2.0)
    np.testing.assert_allclose(lower.logits(rows) - wide.logits(rows), np.tile(np.array([0, 0, -2], np.float32), (5, 1)), atol=1e-6)


def test_what_is_another_environment_is_named() -> None:
    here = environment(1, None)
    assert changes(here, here) == []
    there = {**here, "threads": 2, "lock": "f" * 64, "libraries": {**here["libraries"], "torch": "9.9"}}
    assert changes(here, there) == [
        f"another lock file: none, now {'f' * 40}",
        "another number of threads: 1, now 2",
        f"another torch: {here['libraries']['torch']}, now 9.9",
    ]


def test_records_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_record(path, {"format": 1, "trainer": "driftgate", "seed": 3})
    assert read_record(path)["seed"] == 3
    for text in ("[]", json.dumps({"format": 9, "trainer": "driftgate"}), "no JSON"):
        path.write_text(text)
        with pytest.raises(InputError, match="record"):
            read_record(path)
