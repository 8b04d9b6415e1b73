"""What a set covers of traffic: whatever the order, the copies and the scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.coverage import LEAST_ROWS, Coverage, Reach, Share, clumps, coverage, first_of_copies, out_of_coverage, remoteness
from detectors.neighbours import nearest_rows

CENTRES = np.random.default_rng(5).standard_normal((8, 6)) * 3


def draw(n: int, seed: int, topics: slice = slice(None)) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = CENTRES[topics]
    return np.asarray(centres[rng.integers(0, len(centres), n)] + rng.standard_normal((n, 6)), np.float32)


def seeded() -> np.random.Generator:
    return np.random.default_rng(0)


# --- traffic ---------------------------------------------------------------------------------------------------------


def test_a_draw_of_the_traffic_covers_it() -> None:
    found = coverage(draw(500, 1), draw(400, 2), rng=seeded())
    assert found.share.estimate > 0.98
    assert found.share.high == 1.0


def test_topic_left_out_is_the_first_clump_and_all_that_lacks() -> None:
    traffic, test_set = draw(800, 1), draw(600, 2, slice(1, None))
    found = coverage(traffic, test_set, rng=seeded())
    left_out = nearest_rows(traffic, CENTRES.astype(np.float32), 1).row[:, 0] == 0
    assert left_out[clumps(traffic, found)[0]].mean() > 0.95
    assert found.share.low < 1 - left_out.mean() + 0.02 < found.share.high + 0.03
    assert not (found.thin & ~found.covered).any()
    assert (found.density[~found.covered] < 0.2 + 1e-9).all()
    assert (found.lacking[found.covered] == 0).all()
    assert (found.lacking[~found.covered] >= 0).all()


def test_topic_the_set_has_too_much_of_takes_nothing_away() -> None:
    crowded = np.concatenate([draw(400, 2), draw(400, 3, slice(0, 1))])
    assert coverage(draw(500, 1), crowded, rng=seeded()).share.estimate > 0.93


@pytest.mark.parametrize("dimension", [8, 64])
def test_a_balanced_set_covers_skewed_traffic(dimension: int) -> None:
    rng = np.random.default_rng(0)
    centres, shares = 2 * rng.standard_normal((20, dimension)), rng.dirichlet(np.full(20, 0.3))

    def around(topics: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(centres[topics] + rng.standard_normal((len(topics), dimension)), np.float32)

    traffic, even = rng.choice(20, 1_500, p=shares), np.repeat(np.arange(20), 25)
    found = coverage(around(traffic), around(even), rng=rng)
    assert found.share.estimate > 0.98
    assert (found.mass < found.limit).mean() < 0.8  # by density alone
    assert found.thin.mean() > 0.2
    busiest = int(shares.argmax())
    without = coverage(around(traffic), around(even[even != busiest]), rng=rng)
    assert without.covered[traffic != busiest].mean() > 0.97
    assert without.covered[traffic == busiest].mean() < 0.4


def test_retries_make_no_place_denser() -> None:
    traffic = draw(400, 1)
    storm = np.concatenate([traffic, np.repeat(traffic[:1], 200, axis=0)])
    assert coverage(storm, draw(400, 2), rng=seeded()).share.estimate > 0.97


def test_copies_in_a_set_cover_no_more_than_one_of_them() -> None:
    lone = draw(1, 4, slice(0, 1))
    test_set = np.concatenate([draw(400, 2, slice(1, None)), np.repeat(lone, 400, axis=0)])
    assert coverage(draw(800, 1), test_set, rng=seeded()).share.estimate < 0.92


def test_sessions_do_not_stand_in_for_traffic() -> None:
    rng = np.random.default_rng(6)
    sessions = np.repeat(draw(100, 1), 12, axis=0) + 0.05 * rng.standard_normal((1_200, 6)).astype(np.float32)
    test_set = draw(1_000, 2)
    alone, in_order = (coverage(sessions, test_set, rng=seeded(), in_order=known).share for known in (False, True))
    assert alone.estimate < 0.95  # each session looks like a dense topic of its own
    assert in_order.estimate > alone.estimate + 0.03


@given(scale=st.sampled_from([1e-6, 1.0, 1e6]), offset=st.sampled_from([0.0, 10.0]))
@settings(max_examples=6, deadline=None)
def test_neither_scale_nor_place_matters(scale: float, offset: float) -> None:
    traffic, test_set = draw(300, 1), draw(200, 2, slice(2, None))
    moved = [((rows + offset) * scale).astype(np.float32) for rows in (traffic, test_set)]
    found, same = coverage(moved[0], moved[1], rng=seeded()), coverage(traffic, test_set, rng=seeded())
    assert abs(found.share.estimate - same.share.estimate) <= 0.02


def test_larger_sets_are_drawn_from() -> None:
    found = coverage(draw(100, 1), draw(5_000, 2), rng=seeded())
    assert found.limit == pytest.approx(10 / (0.2 * 500))


@pytest.mark.parametrize(("n", "m"), [(LEAST_ROWS - 1, 100), (100, LEAST_ROWS - 1)])
def test_too_few_rows_are_named(n: int, m: int) -> None:
    with pytest.raises(ValueError, match="both must be at least 30"):
        coverage(draw(n, 1), draw(m, 2), rng=seeded())


def test_rows_all_the_same_are_too_few() -> None:
    with pytest.raises(ValueError, match="1 different rows"):
        coverage(np.repeat(draw(1, 1), 100, axis=0), draw(100, 2), rng=seeded())


# --- clumps ----------------------------------------------------------------------------------------------------------


def covering(scant: NDArray[np.float64], apart: NDArray[np.float64]) -> Coverage:
    """By so much too little, so far apart."""
    return Coverage(0.1 / np.maximum(1 - scant, 0.01), 0.1, apart, Share(0.5, 0.4, 0.6))


@given(st.integers(0, 50))
def test_clumps_hold_all_that_lacks_once_and_nothing_that_is_covered_well(seed: int) -> None:
    rng, rows = np.random.default_rng(seed), draw(120, 1)
    cover = covering(np.where(rng.random(120) < 0.4, 0.5, 0.0), rng.random(120))
    together = np.concatenate([*clumps(rows, cover), np.empty(0, np.int64)])
    assert len(set(together.tolist())) == len(together)
    assert set(np.flatnonzero(cover.lacking).tolist()) <= set(together.tolist())
    assert (cover.scant[together] > 0).all()


def test_a_topic_that_is_left_out_goes_before_a_larger_one_that_is_merely_thin() -> None:
    rows = np.concatenate([draw(40, 1, slice(0, 1)), draw(60, 2, slice(1, 2))])
    cover = covering(np.full(100, 0.5), np.repeat([0.9, 0.4], [40, 60]))
    found = clumps(rows, cover)
    assert len(found[0]) > 30
    assert sorted(np.concatenate(found).tolist()) == list(range(40))


def test_nothing_lacking_makes_no_clump() -> None:
    assert clumps(draw(10, 1), covering(np.zeros(10), np.ones(10))) == []
    assert [clump.tolist() for clump in clumps(draw(10, 1), covering(np.eye(10)[3] / 2, np.ones(10)))] == [[3]]


# --- one sample ------------------------------------------------------------------------------------------------------


def test_percentiles_are_uniform_for_rows_like_the_sets() -> None:
    found = out_of_coverage(draw(2_000, 1), draw(2_000, 2), rng=seeded())
    assert np.abs(np.quantile(found, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.05


def test_copies_do_not_make_a_set_look_denser() -> None:
    once, fresh = draw(1_000, 2), draw(500, 1)
    apart = out_of_coverage(fresh, once, rng=seeded())
    doubled = out_of_coverage(fresh, np.concatenate([once, once]), rng=seeded())
    assert abs(float(doubled.mean()) - float(apart.mean())) < 0.08


def test_sessions_are_measured_against_the_part_that_does_not_hold_them() -> None:
    rng = np.random.default_rng(6)
    rows = np.repeat(draw(200, 1), 10, axis=0) + 0.05 * rng.standard_normal((2_000, 6)).astype(np.float32)
    held_out = np.arange(2_000) // 200 % 2 == 1
    assert out_of_coverage(draw(500, 3), rows, rng=seeded()).mean() > 0.9
    assert abs(out_of_coverage(draw(500, 3), rows, rng=seeded(), held_out=held_out).mean() - 0.5) < 0.1


def test_remoteness_takes_what_there_is() -> None:
    rows = draw(3, 1)
    assert remoteness(nearest_rows(rows, rows, 2, same=True)).shape == (3,)


@pytest.mark.parametrize("rows", [draw(10, 1), np.repeat(draw(1, 1), 50, axis=0)])
def test_a_set_without_reach_is_named(rows: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="at least 20"):
        Reach.of(rows, rng=seeded())


def test_first_of_copies() -> None:
    rows = np.array([[1, 0], [1, -0.0], [0, 1], [1, 0]], np.float32) * np.float32(1e12)
    assert first_of_copies(rows).tolist() == [True, False, True, False]
