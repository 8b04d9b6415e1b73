"""What the doubts about answers promise, by simulation: probabilities that come to mean what they say, whoever answers how well."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.selection.doubts import settled, wrong

BATCHES, ANSWERS, APART = 200, 40, 2.5
"""APART: standard deviations between what is seen of wrong and of right answers."""


def seen(bad: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    """Log likelihood ratios of a witness that speaks the truth."""
    return APART * (rng.standard_normal(len(bad)) + np.where(bad, APART, 0)) - APART**2 / 2


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3, 0.9])
def test_how_many_answers_are_wrong_is_about_found_whatever_was_known_of_who_gave_them(rate: float) -> None:
    """Forty answers do not undo what was known before: 2 % are taken for a little more, 90 % for a little less or more."""
    rng, told, found = np.random.default_rng(0), [], []
    for _ in range(BATCHES):
        bad = rng.random(ANSWERS) < rate
        told.append(wrong(seen(bad, rng), np.full(ANSWERS, 0.1), np.zeros(ANSWERS, np.int64)))
        found.append(bad)
    probability, bad = np.concatenate(told), np.concatenate(found)
    assert probability.mean() == pytest.approx(bad.mean(), abs=0.05)
    likely = probability > 0.5
    assert bad[likely].mean() == pytest.approx(probability[likely].mean(), abs=0.08 if rate >= 0.1 else 0.3)


def test_what_two_answers_come_to_is_wrong_as_often_as_it_says() -> None:
    rng, count, classes = np.random.default_rng(1), 20_000, 6
    bad = rng.random((count, 2)) < 0.1
    answers = np.where(bad, rng.integers(1, classes, (count, 2)), 0)
    odds = np.column_stack([seen(bad[:, at], rng) for at in (0, 1)])
    same = answers[:, 0] == answers[:, 1]
    second, probability = settled(odds, np.full((count, 2), 0.1), same=same)
    chosen = np.where(second, answers[:, 1], answers[:, 0])
    for group in (same, ~same):
        assert (chosen[group] != 0).mean() == pytest.approx(probability[group].mean(), abs=0.03)
    differ = ~same & (bad.sum(1) == 1)
    assert (chosen[differ] == 0).mean() > 0.9
