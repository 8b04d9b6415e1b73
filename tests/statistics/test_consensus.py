"""What several answers come to, against annotators whose accuracies are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.consensus import Consensus, consensus

RUNS = 60
ACCURACIES = np.array([0.95, 0.9, 0.8, 0.6])
SAMPLES, DOUBLED, GOLD = 200, 80, 20


def simulated(seed: int, classes: int, times: int = 3) -> tuple[NDArray[np.int64], Consensus]:
    """The right classes, and what is made of the answers: 80 of 200 samples are answered by several, 20 are gold."""
    rng = np.random.default_rng(seed)
    right = rng.integers(0, classes, SAMPLES)
    answers = []
    for sample in range(SAMPLES):
        for who in rng.choice(len(ACCURACIES), times if sample < DOUBLED else 1, replace=False):
            wrong = rng.random() >= ACCURACIES[who]
            answers.append((sample, who, (right[sample] + wrong * rng.integers(1, classes)) % classes))
    samples, annotators, said = np.array(answers, np.int64).T
    truth = np.where(np.arange(SAMPLES) >= SAMPLES - GOLD, right, -1)
    return right, consensus(samples, annotators, said, classes=classes, truth=truth)


@pytest.mark.parametrize("classes", [3, 20, 150])
def test_accuracies_are_found_within_five_points_on_average_and_lie_in_their_intervals(classes: int) -> None:
    found = [simulated(seed, classes)[1].accuracies for seed in range(RUNS)]
    errors = np.array([each.mean for each in found]) - ACCURACIES
    assert np.abs(errors).mean() <= 0.05
    assert np.abs(errors.mean(0)).max() <= 0.06  # shrunk towards what is common: the worst looks a little better than it is
    bounds = [each.interval() for each in found]
    held = [(low <= ACCURACIES) & (high >= ACCURACIES) for low, high in bounds]
    assert np.mean(held) >= 0.9


@pytest.mark.parametrize("classes", [3, 20, 150])
@pytest.mark.parametrize("times", [2, 3])
def test_probabilities_are_what_comes_true(classes: int, times: int) -> None:
    runs = [simulated(seed, classes, times) for seed in range(RUNS)]
    for part in (slice(0, DOUBLED), slice(DOUBLED, SAMPLES - GOLD)):
        said = np.concatenate([found.probability[part] for _, found in runs])
        true = np.concatenate([found.label[part] == right[part] for right, found in runs])
        assert abs(said.mean() - true.mean()) <= 0.02
        unsure = said < np.quantile(said, 0.3)
        assert abs(said[unsure].mean() - true[unsure].mean()) <= 0.06


def test_it_is_right_more_often_than_the_most_votes() -> None:
    ours, most = [], []
    for seed in range(RUNS):
        right, found = simulated(seed, 3)
        ours.append(found.label[:DOUBLED] == right[:DOUBLED])
        most.append(majority(seed) == right[:DOUBLED])
    assert np.mean(ours) >= np.mean(most) + 0.01


def majority(seed: int) -> NDArray[np.int64]:
    """Votes alone, by the same draws."""
    rng = np.random.default_rng(seed)
    right = rng.integers(0, 3, SAMPLES)
    found = np.zeros(DOUBLED, np.int64)
    for sample in range(DOUBLED):
        votes = np.zeros(3)
        for who in rng.choice(len(ACCURACIES), 3, replace=False):
            wrong = rng.random() >= ACCURACIES[who]
            votes[(right[sample] + wrong * rng.integers(1, 3)) % 3] += 1
        found[sample] = votes.argmax()
    return found


def test_the_spread_shrinks_with_what_is_known_of_the_annotators() -> None:
    """The same two answers to one sample, after ever more others of the same people."""
    spreads = []
    for known in (0, 20, 200):
        samples = np.concatenate([[0, 0], np.repeat(np.arange(1, known + 1), 2)])
        who = np.tile([0, 1], known + 1)
        said = np.concatenate([[0, 1], np.zeros(2 * known, np.int64)])
        said[3 : 2 + known // 2 : 2] = 1  # the second one errs in a quarter
        truth = np.concatenate([[-1], np.zeros(known, np.int64)])
        spreads.append(float(consensus(samples, who, said, classes=5, truth=truth).spread[0]))
    assert spreads == sorted(spreads, reverse=True)
