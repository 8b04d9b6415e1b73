"""Groups that moved are found at whatever grain they did, and none where both sides are alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.attribution import Witness, distinct, moved_groups

CENTRES = np.random.default_rng(1).standard_normal((8, 6)) * 4


def rows(topics: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    return (CENTRES[topics] + np.random.default_rng(seed).standard_normal((len(topics), 6))).astype(np.float32)


def sides(window: NDArray[np.int64], reference: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]:
    topics = np.concatenate([reference, window])
    return rows(topics, 3), np.arange(len(topics)) >= len(reference), topics


def test_a_new_topic_is_the_first_group_and_its_share_is_within_the_interval() -> None:
    rng = np.random.default_rng(0)
    window = np.where(rng.random(300) < 0.2, 7, rng.integers(0, 6, 300))
    points, inside, topics = sides(window, rng.integers(0, 6, 600))
    first = moved_groups(points, inside, ~inside)[0]
    assert first.gained
    assert first.sure
    assert (topics[first.rows] == 7).mean() > 0.95
    assert first.change.low <= 0.2 <= first.change.high


def test_what_only_makes_room_has_not_moved() -> None:
    """After the topic that took over is left out, the others are as they were."""
    rng = np.random.default_rng(1)
    window = np.where(rng.random(800) < 0.4, 7, rng.integers(0, 6, 800))
    points, inside, _ = sides(window, rng.integers(0, 6, 800))
    assert [group.gained for group in moved_groups(points, inside, ~inside) if group.sure] == [True]


def test_one_topic_that_gives_way_to_another_is_two_groups() -> None:
    rng = np.random.default_rng(2)
    window = rng.integers(0, 6, 500)
    points, inside, topics = sides(np.where(window == 2, 4, window), rng.integers(0, 6, 800))
    found = moved_groups(points, inside, ~inside)
    gained, lost = (next(group for group in found if group.gained is direction) for direction in (True, False))
    assert np.bincount(topics[gained.rows]).argmax() == 4
    assert np.bincount(topics[lost.rows]).argmax() == 2
    assert lost.change.high < 0 < gained.change.low


def test_sides_that_are_alike_hardly_ever_show_a_sure_group() -> None:
    rng, found = np.random.default_rng(3), 0
    for _ in range(40):
        points, inside, _ = sides(rng.integers(0, 6, 60), rng.integers(0, 6, 120))
        found += any(group.sure for group in moved_groups(points, inside, ~inside))
    assert found <= 3


def test_rows_of_neither_side_are_grouped_and_not_counted() -> None:
    rng = np.random.default_rng(4)
    points, inside, topics = sides(np.full(60, 7), rng.integers(0, 6, 300))
    neither = (topics == 7) & (np.arange(len(topics)) % 2 == 0)
    first = moved_groups(points, inside & ~neither, ~inside)[0]
    assert set(np.flatnonzero(neither)) <= set(first.rows.tolist())
    assert first.change.estimate > 0.9


def test_a_side_without_rows_shows_nothing_and_one_row_is_no_tree() -> None:
    points = np.zeros((5, 2), np.float32)
    assert moved_groups(points, np.zeros(5, np.bool_), np.ones(5, np.bool_)) == []
    assert moved_groups(points, np.ones(5, np.bool_), np.zeros(5, np.bool_)) == []


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 99))
def test_groups_are_disjoint_and_their_figures_are_counts(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 3, (n + m, 2)).astype(np.float32)  # many copies
    inside = np.arange(n + m) >= m
    found = moved_groups(points, inside, ~inside)
    members = np.concatenate([group.rows for group in found]) if found else np.empty(0)
    assert len(np.unique(members)) == len(members)
    for group in found:
        assert group.before == pytest.approx((group.rows < m).sum() / m)
        assert group.before + group.change.estimate == pytest.approx((group.rows >= m).sum() / n)
        assert group.change.low <= group.change.estimate <= group.change.high


def test_dependent_samples_and_a_chosen_window_leave_less_sure() -> None:
    rng = np.random.default_rng(5)
    points, inside, _ = sides(np.where(rng.random(60) < 0.25, 7, rng.integers(0, 6, 60)), rng.integers(0, 6, 200))
    plain = moved_groups(points, inside, ~inside)[0]
    chosen = moved_groups(points, inside, ~inside, surprise=20.0)[0]
    sessions = moved_groups(points, inside, ~inside, inflation=2.0)[0]
    assert plain.change.low > chosen.change.low
    assert plain.change.low > sessions.change.low
    assert sessions.evidence == pytest.approx(plain.evidence / 2)


def test_the_part_that_drifts_brings_the_drift_whatever_its_traffic() -> None:
    rng = np.random.default_rng(6)
    features = rng.standard_normal((1_200, 20)).astype(np.float32)
    inside, part = np.arange(1_200) >= 900, rng.choice(3, 1_200, p=[0.7, 0.2, 0.1])
    features[inside & (part == 2)] += 1.5
    shares = Witness.of(features, inside, ~inside).contributions(features, inside, ~inside, part)
    assert shares.argmax() == 2
    assert shares[2] > 0.8
    nothing = np.zeros((10, 2), np.float32)
    assert (
        not Witness.of(nothing, np.arange(10) > 4, np.arange(10) <= 4)
        .contributions(nothing, np.arange(10) > 4, np.arange(10) <= 4, np.arange(10) % 2)
        .any()
    )


def test_rows_that_lent_nothing_are_not_freed_of_it() -> None:
    """A part judged by rows of its own brings no more than chance where it did not move."""
    rng = np.random.default_rng(7)
    learned, fresh = rng.standard_normal((2, 400, 30)).astype(np.float32)
    inside = np.arange(400) >= 200
    learned[inside, 0] += 2
    fresh[inside & (np.arange(400) % 2 == 0), 0] += 2
    witness = Witness.of(learned, inside, ~inside)
    shares = witness.contributions(fresh, inside, ~inside, np.arange(400) % 2, lent=np.zeros(400, np.bool_))
    assert shares[0] > 0.9


def test_near_copies_are_passed_over() -> None:
    features = np.array([[1, 0], [0.999, 0.04], [0, 1], [0.7, 0.7]], np.float32)
    assert list(distinct(np.array([1, 0, 2, 3]), features, 3)) == [1, 2, 3]
    assert list(distinct(np.array([], np.int64), features, 3)) == []
