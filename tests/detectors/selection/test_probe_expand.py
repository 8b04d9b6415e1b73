"""A made-up refresh: known topics, failing ones, junk that is scattered and junk in a dense mass, an annotator who makes mistakes."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.selection import REJECTED, UNKNOWN, Known, Pick, Pool, Turn, Why
from detectors.selection.evidence import Evidence
from detectors.selection.kernel import Scales
from detectors.selection.probe_expand import ProbeAndExpand
from detectors.selection.whitening import Whitening

DIMENSION, TOPICS, FAILING, MASS = 24, 10, 4, 30
KINDS = ("known", "failing", "scattered", "dense", "copy")


@dataclass(frozen=True)
class Refresh:
    """Classes from TOPICS on are those that fail; the model takes them for any other."""

    pool: Pool
    known: Known
    kind: NDArray[np.str_]
    truth: NDArray[np.int64]
    answers: NDArray[np.int64]

    def told(self, asked: list[int]) -> Known:
        assert self.pool.predicted is not None
        return replace(
            self.known, answered=self.pool.embeddings[asked], answers=self.answers[asked], answered_predicted=self.pool.predicted[asked]
        )


def refresh(seed: int, *, failures: int = 3, logits: bool = True) -> Refresh:
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((TOPICS + FAILING + 1, DIMENSION))

    def draw(topic: NDArray[np.int64], noise: float = 0.4) -> NDArray[np.float32]:
        return np.asarray(means[topic] + noise * rng.standard_normal((len(topic), DIMENSION)), np.float32)

    labels, usual = rng.integers(0, TOPICS, 300), rng.integers(0, TOPICS, 250)
    fails = TOPICS + np.arange(FAILING).repeat(MASS)
    scattered = np.asarray(rng.standard_normal((60, DIMENSION)), np.float32)
    dense = draw(np.full(160, TOPICS + FAILING), 0.3)
    rows = np.concatenate([draw(usual), draw(fails), scattered, dense])
    copied = rng.choice(len(rows), 40)
    rows = np.concatenate([rows, rows[copied] + 0.002 * rng.standard_normal((40, DIMENSION)).astype(np.float32)])
    truth = np.concatenate([usual, fails, np.full(220, REJECTED)])
    truth = np.concatenate([truth, truth[copied]])
    sure = truth < TOPICS
    predicted = np.where(sure & (truth >= 0), truth, rng.integers(0, TOPICS, len(rows)))
    forced = (truth == REJECTED) & (rng.random(len(rows)) < 0.5)
    answers = np.where(forced | (rng.random(len(rows)) < 0.05), rng.integers(0, TOPICS + FAILING, len(rows)), truth)
    kind = np.repeat(KINDS, [250, len(fails), 60, 160, 40])
    known = Known(draw(labels), labels, labels if logits else None)
    if failures:
        topic = TOPICS + np.arange(failures) % FAILING
        known = replace(known, failures=draw(topic), failure_labels=topic)
    chances = np.full((len(rows), TOPICS), 0.02, np.float32)
    chances[np.arange(len(rows)), predicted] = np.where(sure & (truth >= 0), 0.9, 0.6)
    return Refresh(Pool(rows, chances if logits else None, predicted), known, kind, truth, answers)


def asked(case: Refresh, budget: int = 60, rounds: int = 5) -> list[int]:
    """Rows that all rounds ask about; answered ones stay in the pool."""
    rows = list[int]()
    for number in range(1, rounds + 1):
        turn, share = Turn(number, rounds), budget // rounds
        picks = ProbeAndExpand().pick(case.pool, case.told(rows), budget=share, rng=np.random.default_rng(0), turn=turn)
        rows += [pick.row for pick in picks]
    return rows


def useful(case: Refresh, rows: list[int]) -> float:
    return float((case.truth[rows] >= TOPICS).mean())


@pytest.mark.parametrize(("failures", "logits"), [(3, True), (3, False), (0, True), (0, False)])
def test_most_questions_are_about_what_fails_and_none_of_it_is_left_out(failures: int, logits: bool) -> None:
    shares, found, junk = [], [], []
    for seed in range(4):
        case = refresh(seed, failures=failures, logits=logits)
        rows = asked(case)
        shares.append(useful(case, rows))
        found.append(len(set(case.truth[rows].tolist()) & set(range(TOPICS, TOPICS + FAILING))))
        junk.append(np.mean(case.truth[rows] == REJECTED))
    assert np.mean(shares) > 0.6
    assert np.mean(found) > FAILING - 0.5
    assert np.mean(junk) < 0.25


@dataclass(frozen=True)
class Beginning:
    """A ninth topic among the traffic, and junk without company, where next to nothing is known."""

    pool: Pool
    reference: NDArray[np.float32]
    labels: NDArray[np.int64]
    kind: NDArray[np.str_]


def beginning(dimension: int, new: int = 300) -> Beginning:
    rng = np.random.default_rng(0)
    means = rng.standard_normal((9, dimension))

    def draw(topics: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(means[topics] + 0.3 * rng.standard_normal((len(topics), dimension)), np.float32)

    labels = rng.integers(0, 8, 400)
    scattered = rng.standard_normal((40, dimension)).astype(np.float32)
    pool = Pool(np.concatenate([draw(rng.integers(0, 8, 400)), draw(np.full(new, 8)), scattered]))
    return Beginning(pool, draw(labels), labels, np.repeat(["known", "new", "scattered"], [400, new, 40]))


@pytest.mark.parametrize("dimension", [16, 64, pytest.param(384, marks=pytest.mark.long)])
@pytest.mark.parametrize("labelled", [False, True])
def test_a_new_mass_far_from_all_that_is_known_is_asked_about_first_whatever_is_known(dimension: int, labelled: bool) -> None:
    case = beginning(dimension)
    known = Known(case.reference, case.labels, case.labels) if labelled else Known(case.reference)
    once = ProbeAndExpand().pick(case.pool, known, budget=20, rng=np.random.default_rng(0))
    kinds = case.kind[[pick.row for pick in once]]
    assert (kinds == "new").sum() >= (17 if dimension < 384 else 9), "what covers all of it; then its edges and those of the known"
    assert not (kinds[:10] == "scattered").any()
    first = ProbeAndExpand().pick(case.pool, known, budget=6, rng=np.random.default_rng(0), turn=Turn(1, 5))
    assert case.kind[first[0].row] == "new"
    rows = [pick.row for pick in first]
    answers = np.where(case.kind[rows] == "new", 8, 0)
    told = replace(known, answered=case.pool.embeddings[rows], answers=answers)
    then = ProbeAndExpand().pick(case.pool, told, budget=6, rng=np.random.default_rng(0), turn=Turn(2, 5))
    assert (case.kind[[pick.row for pick in then]] == "new").sum() >= 4


def test_a_dense_mass_of_junk_is_asked_about_a_few_times_and_left_alone_once_it_is_rejected() -> None:
    first, later = [], []
    for seed in range(4):
        case = refresh(seed, failures=0)
        rows = asked(case, rounds=3)
        first.append(np.sum(case.kind[rows[:20]] == "dense"))
        later.append(np.mean(case.kind[rows[20:]] == "dense"))
    assert np.mean(first) < 4
    assert np.mean(later) < 0.02


def test_failure_samples_of_which_every_third_is_spoilt_cost_little() -> None:
    sound, spoilt = [], []
    for seed in range(5):
        case = refresh(seed, failures=9)
        known = case.known
        assert known.failures is not None
        assert known.failure_labels is not None
        rows, labels = known.failures.copy(), known.failure_labels.copy()
        rows[:2] = case.pool.embeddings[np.flatnonzero(case.truth == REJECTED)[[0, 100]]]
        labels[2] = 0
        worse = replace(case, known=replace(known, failures=rows, failure_labels=labels))
        sound.append(useful(case, asked(case)))
        spoilt.append(useful(worse, asked(worse)))
    assert np.mean(spoilt) > np.mean(sound) - 0.15


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 50), budget=st.integers(1, 900), failures=st.integers(0, 5), done=st.integers(0, 40))
def test_picks_are_distinct_new_and_within_the_budget(seed: int, budget: int, failures: int, done: int) -> None:
    case = refresh(seed, failures=failures)
    before = np.random.default_rng(seed).choice(len(case.pool), done, replace=False).tolist()
    told = list[float]()
    known = case.told(before)
    picks = ProbeAndExpand().pick(case.pool, known, budget=budget, rng=np.random.default_rng(0), progress=told.append)
    rows = [pick.row for pick in picks]
    assert len(set(rows)) == len(rows) <= budget
    white = Whitening.fit(known.reference, known.labels)
    limit = Scales.fit(white(known.reference)).duplicate
    unit = white(case.pool.embeddings)
    near = unit[rows] @ unit[rows + before].T
    near[np.arange(len(rows)), np.arange(len(rows))] = -1
    assert (near < limit + 1e-4).all()
    assert not {copy for pick in picks for copy in pick.copies} & set(rows)
    assert all(np.diff([pick.value for pick in picks]) <= 1e-4)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_the_order_of_the_pool_does_not_matter() -> None:
    case = refresh(7)
    order = np.random.default_rng(1).permutation(len(case.pool))
    assert case.pool.probabilities is not None
    assert case.pool.predicted is not None
    mixed = Pool(case.pool.embeddings[order], case.pool.probabilities[order], case.pool.predicted[order])
    one, other = (ProbeAndExpand().pick(pool, case.known, budget=30, rng=np.random.default_rng(0)) for pool in (case.pool, mixed))
    assert len({pick.row for pick in one} & {int(order[pick.row]) for pick in other}) >= 28  # but for ties of doubt


def test_a_pick_says_what_it_is_for_and_what_it_stands_for() -> None:
    case = refresh(2)
    picks: dict[Why, list[Pick]] = {Why.PROBE: [], Why.EXPAND: []}
    for pick in ProbeAndExpand().pick(case.pool, case.known, budget=80, rng=np.random.default_rng(0)):
        picks[pick.why].append(pick)
        assert pick.mass >= 1
    assert all(pick.label == UNKNOWN for pick in picks[Why.PROBE])
    assert np.mean([case.truth[pick.row] == pick.label for pick in picks[Why.EXPAND]]) > 0.8
    copies = [(pick.row, copy) for each in picks.values() for pick in each for copy in pick.copies]
    assert copies
    assert all(case.truth[row] == case.truth[copy] for row, copy in copies)


def test_where_nothing_looks_new_weak_labels_against_the_models_answer_draw_the_questions() -> None:
    rows = np.arange(250)
    plain, told = list[float](), list[float]()
    for seed in range(4):
        case, rng = refresh(seed, failures=0, logits=False), np.random.default_rng(seed)
        fails = rows[rng.random(250) < 0.2]
        truth = case.truth[:250].copy()
        truth[fails] = (truth[fails] + 1) % TOPICS
        weak = np.where(rng.random(250) < 0.3, rng.integers(0, TOPICS, 250), truth)
        for shares, labels in ((plain, None), (told, weak)):
            pool = Pool(case.pool.embeddings[:250], predicted=case.truth[:250], weak=labels)
            picks = ProbeAndExpand().pick(pool, case.known, budget=20, rng=rng)
            shares.append(float(np.isin([pick.row for pick in picks], fails).mean()))
    assert np.mean(told) > np.mean(plain) + 0.1


def test_an_empty_pool_gives_nothing_and_one_without_anything_new_next_to_nothing_useful() -> None:
    case = refresh(0)
    none = Pool(case.pool.embeddings[:0])
    assert ProbeAndExpand().pick(none, case.known, budget=5, rng=np.random.default_rng(0)) == ()
    same = Pool(case.known.reference[:20])
    known = replace(case.known, answered=same.embeddings, answers=np.zeros(20, np.int64))
    assert ProbeAndExpand().pick(same, known, budget=5, rng=np.random.default_rng(0)) == ()


def test_one_class_will_do() -> None:
    case = refresh(0)
    known = replace(case.known, labels=np.zeros(300, np.int64), predicted=np.zeros(300, np.int64))
    assert len(ProbeAndExpand().pick(case.pool, known, budget=9, rng=np.random.default_rng(0))) == 9


@pytest.mark.parametrize(
    ("rows", "budget", "why"),
    [
        (np.ones((1, DIMENSION)), 5, "at least 2 rows"),
        (np.ones((9, DIMENSION)), 5, "are alike"),
        (np.eye(9), 5, "as wide as"),
        (np.eye(DIMENSION), 0, "budget"),
    ],
)
def test_what_it_can_not_do_with_is_named(rows: NDArray[np.float64], budget: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ProbeAndExpand().pick(refresh(0).pool, Known(rows.astype(np.float32)), budget=budget, rng=np.random.default_rng(0))


def test_a_label_is_believed_once_a_second_answer_supports_it() -> None:
    rng = np.random.default_rng(0)
    place = rng.standard_normal((4, 8)).astype(np.float32)
    near = place + 0.01 * rng.standard_normal((4, 8)).astype(np.float32)
    answered = np.concatenate([place[:3], near[:3]])
    answers = np.array([5, 6, 7, 5, REJECTED, 8])
    known = Known(place, failures=near[3:], failure_labels=np.array([9]), answered=answered, answers=answers)
    evidence = Evidence.of(
        known, lambda rows: np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32), Scales(0.999, 0.8, 0.9)
    )
    believed = dict(zip(evidence.labels.tolist(), evidence.coherent.tolist(), strict=True))
    assert believed == {9: True, 5: True, 6: False, 7: False, 8: False}
    assert len(evidence.rejected) == 1
    assert len(evidence.confirmed) == 0
