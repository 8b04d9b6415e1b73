"""Slices that do worse are found, named shortly, and not found where chance deals the errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.slices import Candidates, failure_groups, members, weak_slices

ROWS = 2_500


def columns(seed: int, rows: int = ROWS) -> dict[str, NDArray[np.str_]]:
    rng = np.random.default_rng(seed)
    return {
        "locale": rng.choice(["en", "de", "fr", ""], rows, p=[0.6, 0.2, 0.1, 0.1]),
        "product": rng.choice(["card", "loan", "save"], rows),
        "cluster": rng.integers(0, 10, rows).astype(np.str_),
    }


def errors(bad: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    return np.asarray(np.random.default_rng(seed).random(len(bad)) < np.where(bad, 0.4, 0.05))


@pytest.mark.parametrize(
    "description",
    [(("cluster", "3"),), (("locale", "fr"),), (("cluster", "3"), ("locale", "de")), (("locale", "fr"), ("product", "loan"))],
)
def test_a_bad_slice_is_named_first_and_alone(description: tuple[tuple[str, str], ...]) -> None:
    tags = columns(1)
    found = weak_slices(errors(members(tags, description), 2), tags, rng=np.random.default_rng(3))
    assert [each.description for each in found] == [description]
    assert found[0].rows == members(tags, description).sum()
    assert 0.1 < found[0].excess.low < 0.35 < found[0].excess.high
    assert found[0].p_value <= 0.05


def test_two_bad_slices_are_both_named() -> None:
    tags = columns(4)
    bad = (tags["cluster"] == "3") | (tags["locale"] == "fr")
    found = weak_slices(errors(bad, 5), tags, rng=np.random.default_rng(3))
    assert {str(each) for each in found} == {"cluster=3", "locale=fr"}


def test_what_is_named_is_sure_however_weak_the_slice() -> None:
    tags = columns(1)
    bad = members(tags, (("cluster", "3"), ("locale", "fr")))
    for seed in range(6):
        wrong = np.random.default_rng(seed).random(ROWS) < np.where(bad, 0.35, 0.1)
        assert all(each.p_value <= 0.05 for each in weak_slices(wrong, tags, rng=np.random.default_rng(seed)))


def test_errors_dealt_by_chance_are_no_slice() -> None:
    tags, none = columns(6), np.zeros(ROWS, np.bool_)
    found = [weak_slices(errors(none, seed), tags, rng=np.random.default_rng(seed)) for seed in range(12)]
    assert sum(map(bool, found)) <= 2


@pytest.mark.parametrize("wrong", [np.zeros(100, np.bool_), np.ones(100, np.bool_), np.zeros(0, np.bool_), np.ones(5, np.bool_)])
def test_there_is_nothing_to_find_without_right_and_wrong_answers(wrong: NDArray[np.bool_]) -> None:
    assert weak_slices(wrong, {"locale": np.full(len(wrong), "en")}, rng=np.random.default_rng(0)) == []
    assert weak_slices(wrong, {}, rng=np.random.default_rng(0)) == []


def test_columns_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="locale"):
        weak_slices(np.zeros(3, np.bool_), {"locale": np.array(["en"])}, rng=np.random.default_rng(0))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_candidates_hold_the_rows_that_they_describe(seed: int) -> None:
    tags = columns(seed, 300)
    found = Candidates.of(tags)
    sizes = np.bincount(found.cell) @ found.holds
    held = [members(tags, description) for description in found.descriptions]
    assert sizes.tolist() == [rows.sum() for rows in held]
    assert all(20 <= size <= 150 for size in sizes)
    assert all(value for description in found.descriptions for _, value in description)
    assert len(set(found.descriptions)) == len(found.descriptions)


def test_a_pair_that_is_its_half_is_no_candidate() -> None:
    rows = np.arange(100)
    found = Candidates.of({"a": np.where(rows < 30, "x", "y"), "b": np.where(rows < 30, "u", "v")})
    assert set(found.descriptions) == {(("a", "x"),), (("b", "u"),)}


def test_failures_are_ordered_by_what_the_error_rate_does_not_explain() -> None:
    truth = np.array(["a"] * 100 + ["b"] * 10)
    answer = np.array(["a"] * 92 + ["b"] * 8 + ["c"] * 6 + ["b"] * 4)
    groups, single = failure_groups(truth, answer, np.array(["here"] * 109 + ["there"]))
    assert [(group.truth, group.answer, group.wrong, group.rows) for group in groups] == [("b", "c", 6, 9), ("a", "b", 8, 100)]
    assert groups[0].beyond == pytest.approx(6 - 9 * 14 / 110 / 2)
    assert single == 0


def test_errors_that_are_spread_evenly_are_no_group() -> None:
    truth = np.repeat(["a", "b"], 100)
    answer = np.where(np.arange(200) % 100 < 10, np.where(truth == "a", "b", "a"), truth)
    assert failure_groups(truth, answer, np.full(200, "here")) == ([], 20)


def test_without_wrong_answers_there_are_no_groups() -> None:
    same = np.array(["a", "b"])
    assert failure_groups(same, same, np.array(["", ""])) == ([], 0)
    none = np.zeros(0, np.str_)
    assert failure_groups(none, none, none) == ([], 0)
