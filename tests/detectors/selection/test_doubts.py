"""What speaks of an answer, who gave it, and what two of them come to."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.selection.base import REJECTED, Known, Pool
from detectors.selection.doubts import (
    LEAST_ANSWERS,
    USUALLY_WRONG,
    WITNESSES,
    always_the_same,
    at_random,
    chance_of_shuffled,
    doubts,
    settled,
    wrong,
)

CLASSES, DIMENSION = 8, 16
MEANS = np.random.default_rng(0).standard_normal((CLASSES + 2, DIMENSION)) * 2


def topic(labels: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """Rows of classes; two of these are known to nobody."""
    return (MEANS[labels] + np.random.default_rng(seed).standard_normal((len(labels), DIMENSION))).astype(np.float32)


@pytest.fixture(scope="module")
def known() -> Known:
    labels = np.arange(400) % CLASSES
    return Known(topic(labels, 1), labels)


def test_a_label_planted_in_another_domain_is_doubted_for_how_far_it_lies(known: Known) -> None:
    truth = np.concatenate([np.arange(40) % CLASSES, np.full(12, CLASSES)])
    given = truth.copy()
    given[:4] = (truth[:4] + 3) % CLASSES
    given[-2:] = [0, 1]  # new topics under the names of known ones
    found = doubts(Pool(topic(truth, 2)), given, known)
    planted = np.isin(np.arange(len(given)), [0, 1, 2, 3, 50, 51])
    assert found.odds[planted].min() > 0.5
    assert np.median(found.odds[~planted]) < -2
    assert (found.odds[~planted] > 0).mean() < 0.1
    assert (found.parts[planted][:, WITNESSES.index("domain")] > 0.3).all()


def test_what_nothing_bears_out_may_be_new(known: Known) -> None:
    truth = np.concatenate([np.arange(30) % CLASSES, [CLASSES, CLASSES + 1, CLASSES + 1]])
    found = doubts(Pool(topic(truth, 3)), truth, known)
    assert found.parts[30, :3] == pytest.approx(0)
    likely = wrong(found.odds, np.full(33, USUALLY_WRONG), np.full(33, -1))
    assert likely[30] < 0.5  # asked again, not refused
    assert likely[31:].max() < 0.25


@pytest.mark.parametrize("count", [1, 2, 12])
def test_without_labels_in_the_reference_nothing_speaks_but_other_answers(count: int) -> None:
    found = doubts(Pool(topic(np.zeros(count, np.int64), 6)), np.zeros(count, np.int64), Known(topic(np.arange(50) % CLASSES, 7)))
    assert np.isfinite(found.odds).all()
    assert found.odds.max() < 0
    assert chance_of_shuffled(found.heads, np.arange(count) % 3, rng=np.random.default_rng(0)) == 0


def test_rejections_are_no_labels(known: Known) -> None:
    with pytest.raises(ValueError, match="no rejections"):
        doubts(Pool(topic(np.array([0, 1]), 4)), np.array([0, REJECTED]), known)


def test_confident_learning_against_the_model_is_told_and_does_not_count(known: Known) -> None:
    truth = np.arange(20) % CLASSES
    said = np.full((20, CLASSES), 0.01, np.float32)
    said[np.arange(20), (truth + 1) % CLASSES] = 0.93
    certain = np.full((400, CLASSES), 0.01, np.float32)
    certain[np.arange(400), known.labels] = 0.93
    told = Known(known.reference, known.labels, known.labels, certain)
    with_it = doubts(Pool(topic(truth, 5), said), truth, told)
    assert with_it.model.all()
    assert not doubts(Pool(topic(truth, 5)), truth, known).model.any()
    assert with_it.odds == pytest.approx(doubts(Pool(topic(truth, 5)), truth, known).odds, abs=1e-4)


def test_an_annotator_of_whom_gold_says_little_good_is_believed_less() -> None:
    odds = np.array([0.0, 0.0])
    found = wrong(odds, np.array([0.05, 0.4]), np.array([-1, -1]))
    assert found == pytest.approx([0.05, 0.4])


def test_how_often_somebody_is_wrong_follows_their_answers() -> None:
    odds = np.concatenate([np.full(30, 3.0), np.full(30, -3.0)])
    found = wrong(odds, np.full(60, 0.1), np.repeat([0, 1], 30))
    assert found[0] > 0.9
    assert found[-1] < 0.01


@pytest.mark.parametrize("seed", range(3))
def test_whoever_answers_at_random_is_told_from_whoever_looks(known: Known, seed: int) -> None:
    truth = np.random.default_rng(seed).integers(0, CLASSES, 30)
    rows, rng = topic(truth, seed), np.random.default_rng([seed, 1])
    chances = [
        chance_of_shuffled(doubts(Pool(rows), given, known).heads, given, rng=rng) for given in (truth, rng.integers(0, CLASSES, 30))
    ]
    assert not at_random(chances[0])
    assert at_random(chances[1]) or chances[1] > chances[0]


def test_few_answers_or_few_classes_tell_nothing_of_who_gave_them() -> None:
    heads, rng = np.zeros((LEAST_ANSWERS, 3), np.float32), np.random.default_rng(0)
    assert chance_of_shuffled(heads[:-1], np.arange(LEAST_ANSWERS - 1) % 3, rng=rng) == 0
    assert chance_of_shuffled(heads, np.arange(LEAST_ANSWERS) % 2, rng=rng) == 0
    assert not always_the_same(np.zeros(5, np.int64), np.ones(5))


def test_two_answers_that_agree_outweigh_what_is_around_the_row() -> None:
    odds, usual = np.array([[3.0, 3.0], [3.0, -2.0], [3.0, 3.0]]), np.full((3, 2), 0.1)
    second, left = settled(odds, usual, same=np.array([True, False, False]))
    assert second.tolist() == [False, True, False]
    assert left[0] < 0.1
    assert left[1] < 0.05
    assert left[2] > 0.5  # neither is borne out


def test_a_rejection_stands_against_a_doubtful_label() -> None:
    second, left = settled(np.array([[4.0, 0.0], [-3.0, 0.0]]), np.full((2, 2), 0.1), same=np.zeros(2, bool))
    assert second.tolist() == [True, False]
    assert (left < 0.25).all()
