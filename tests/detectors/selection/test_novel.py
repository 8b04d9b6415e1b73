"""Candidates from a synthetic mixture: known topics, a dense new topic, scattered junk and near-duplicates."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.selection.duplicates import duplicate_groups, merge_duplicates
from detectors.selection.kernel import Scales, directions
from detectors.selection.novel import Pool, risks, select

DIMENSION = 32


@dataclass(frozen=True)
class Mixture:
    pool: Pool
    kind: NDArray[np.str_]
    topic: NDArray[np.int64]


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def mixture(seed: int, *, known: int = 1500, new: int = 120, topics: int = 3, retries: int = 0) -> Mixture:
    """Twelve known topics, some new ones, as many scattered outliers as new rows, copies of one new row and of one outlier."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((12 + topics, DIMENSION))

    def draw(which: NDArray[np.int64]) -> NDArray[np.float32]:
        return unit(means[which] + 0.35 * rng.standard_normal((len(which), DIMENSION)))

    reference, calibration = draw(rng.integers(0, 12, 1500)), draw(rng.integers(0, 12, 1000))
    topic = 12 + rng.integers(0, topics, new)
    fresh, junk = draw(topic), unit(rng.standard_normal((new, DIMENSION)))
    copies = np.concatenate([np.repeat(fresh[:1], retries, 0), np.repeat(junk[:1], retries, 0)])
    copies += (0.001 * rng.standard_normal(copies.shape)).astype(np.float32)
    rows = np.concatenate([draw(rng.integers(0, 12, known)), fresh, junk, copies])
    nearest = np.sort((calibration @ reference.T).max(1))
    novelty = 1 - np.searchsorted(nearest, (rows @ reference.T).max(1)) / (len(nearest) + 1)
    kind = np.repeat(["known", "new", "junk", "copy of new", "copy of junk"], [known, new, new, retries, retries])
    topics_of = np.full(len(rows), -1)
    topics_of[known : known + new] = topic
    topics_of[kind == "copy of new"] = topic[0] if retries else -1
    return Mixture(Pool(rows, novelty.astype(np.float32), reference), kind, topics_of)


def test_new_topics_are_covered_and_scattered_junk_stays_out() -> None:
    shares, covered, trap = [], [], []
    for seed in range(12):
        case = mixture(seed)
        rows = [pick.row for pick in select(case.pool, budget=40, rng=np.random.default_rng(seed)).picks]
        shares.append(np.mean(case.kind[rows] == "new"))
        covered.append(len(set(case.topic[rows]) - {-1}) / 3)
        farthest = (case.pool.embeddings @ case.pool.reference.T).max(1).argsort()[:40]
        trap.append(np.mean(case.kind[farthest] == "junk"))
        assert not np.isin(case.kind[rows], ["junk"]).any()
    assert np.mean(shares) > 0.95
    assert np.mean(covered) > 0.9
    assert np.mean(trap) > 0.4  # what "most drifted first" would have chosen


def test_a_large_known_pool_does_not_crowd_out_the_new_topic() -> None:
    shares = []
    for seed in range(6):
        case = mixture(seed, known=6000, new=100)  # 1.6 % of the pool is new, as much is junk
        rows = [pick.row for pick in select(case.pool, budget=30, rng=np.random.default_rng(seed)).picks]
        shares.append(np.mean(case.kind[rows] == "new"))
    assert np.mean(shares) > 0.6


def test_nothing_is_picked_when_nothing_is_new() -> None:
    case = mixture(3, new=0)
    assert len(select(case.pool, budget=40, rng=np.random.default_rng(0)).picks) <= 4


def test_copies_count_once_and_a_repeated_outlier_gains_no_company() -> None:
    case = mixture(5, retries=60)
    selection = select(case.pool, budget=40, rng=np.random.default_rng(5))
    rows = [pick.row for pick in selection.picks]
    assert not np.isin(case.kind[rows], ["junk", "copy of junk"]).any()
    first = int(np.flatnonzero(case.kind == "new")[0])
    near = {first, *np.flatnonzero(case.kind == "copy of new")}
    assert len(near & set(rows)) <= 1
    assert selection.duplicates >= 118
    assert sum(pick.count for pick in selection.picks if pick.row in near) in {0, 61}


def test_picks_are_spread_over_the_new_topics() -> None:
    found = []
    for seed in range(6):
        case = mixture(seed, topics=6, new=300)
        picks = select(case.pool, budget=12, rng=np.random.default_rng(seed)).picks
        found.append(len(set(case.topic[[pick.row for pick in picks]]) - {-1}))
    assert np.mean(found) > 4.5


def test_reasons_and_risks_say_what_they_stand_on() -> None:
    case = mixture(9)
    picks = select(case.pool, budget=10, rng=np.random.default_rng(9)).picks
    assert all(0.16 <= pick.risk <= 1 for pick in picks)
    assert all(f"about {pick.mass:.0f} similar recent samples" in pick.reason for pick in picks)


def test_risk_falls_with_company_and_rises_with_contested_predictions() -> None:
    one = np.ones(3, np.float32)
    mass = risks(np.array([3, 10, 100], np.float32), one)
    assert mass[0] > mass[1] > mass[2] > 0.16
    confidence = risks(10 * one, one, np.array([0.9, 0.2, np.nan], np.float32))
    assert confidence[1] > confidence[0] > confidence[2]
    assert confidence[2] == pytest.approx(mass[1])


def test_equal_seeds_give_equal_selections_beyond_the_cap() -> None:
    case = mixture(11, known=9000)
    first, second = (select(case.pool, budget=15, rng=np.random.default_rng(4)) for _ in range(2))
    assert first == second
    assert first.considered <= 4000
    assert not np.isin(case.kind[[pick.row for pick in first.picks]], ["junk"]).any()


def test_an_empty_or_fully_known_pool_gives_nothing() -> None:
    reference = mixture(1).pool.reference
    empty = Pool(np.empty((0, DIMENSION), np.float32), np.empty(0, np.float32), reference)
    known = Pool(reference[:50], np.full(50, 0.2, np.float32), reference)
    for pool in (empty, known):
        assert select(pool, budget=5, rng=np.random.default_rng(0)).picks == ()


def test_wrong_shapes_and_budgets_are_named() -> None:
    rows = mixture(1).pool.reference
    with pytest.raises(ValueError, match="as many novelty percentiles"):
        Pool(rows, np.zeros(3, np.float32), rows)
    with pytest.raises(ValueError, match="reference needs at least 2 rows"):
        Pool(rows, np.zeros(len(rows), np.float32), rows[:1])
    with pytest.raises(ValueError, match="confidences"):
        Pool(rows, np.zeros(len(rows), np.float32), rows, np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="budget: at least 1, found 0"):
        select(Pool(rows, np.zeros(len(rows), np.float32), rows), budget=0, rng=np.random.default_rng(0))


@given(st.integers(0, 2**32 - 1), st.integers(1, 1200), st.floats(0.3, 0.99))
def test_every_merged_row_is_near_its_representative(seed: int, count: int, limit: float) -> None:
    rows = unit(np.random.default_rng(seed).standard_normal((count, 3)))
    stands = merge_duplicates(rows, limit)
    leaders = np.unique(stands)
    assert (stands[leaders] == leaders).all()
    assert (np.einsum("ij,ij->i", rows, rows[stands]) >= limit - 1e-5).all()
    between = rows[leaders] @ rows[leaders].T
    assert (between[~np.eye(len(leaders), dtype=bool)] < limit + 1e-5).all()


def test_a_chain_of_near_duplicates_is_one_group_and_strangers_are_not() -> None:
    rng = np.random.default_rng(2)
    strangers = rng.standard_normal((700, DIMENSION))
    copies = strangers[rng.integers(0, 40, 400)] + 0.01 * rng.standard_normal((400, DIMENSION))
    rows = np.concatenate([strangers, copies]).astype(np.float32)
    groups = duplicate_groups(rows)
    seen = directions(rows, rows.mean(0))
    near = seen @ seen.T >= Scales.fit(seen).duplicate
    assert (groups[:, None] == groups[None, :])[near].all()
    assert (groups[groups] == groups).all()
    assert len(np.unique(groups[40:700])) == 660


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_rows_for_a_pair_are_groups_of_their_own(count: int) -> None:
    assert list(duplicate_groups(np.ones((count, 4), np.float32))) == list(range(count))
