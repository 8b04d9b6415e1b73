"""Several answers to one sample: who is believed, and how sure that is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.consensus import UNKNOWN_TRUTH, consensus


def column(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def test_one_answer_is_believed_as_much_as_annotators_at_large() -> None:
    found = consensus(column(0), column(0), column(2), classes=50)
    assert found.label.tolist() == [2]
    assert found.probability[0] == pytest.approx(0.9, abs=0.04)
    assert found.spread[0] > 0.03


def test_agreement_makes_sure_and_disagreement_unsure() -> None:
    found = consensus(column(0, 0, 1, 1), column(0, 1, 0, 1), column(3, 3, 3, 4), classes=10)
    assert found.probability[0] > 0.95
    assert found.probability[1] == pytest.approx(0.5, abs=0.05)
    assert (found.label[1], found.spread[1] > found.spread[0]) == (3, True)


def test_gold_tells_whom_to_believe() -> None:
    rows = 20
    samples = np.concatenate([[0, 0], np.repeat(np.arange(1, rows + 1), 2)])
    who = np.tile([0, 1], rows + 1)
    said = np.concatenate([[0, 1], np.tile([0, 1], rows)])
    truth = np.concatenate([[UNKNOWN_TRUTH], np.ones(rows, np.int64)])
    found = consensus(samples, who, said, classes=3, truth=truth)
    assert (found.label[0], found.probability[0] > 0.85) == (1, True)
    careless, careful = found.accuracies.mean
    assert careless < 0.4
    assert careful > 0.8
    assert found.probability[1:].tolist() == [1.0] * rows


def test_nothing_answered_is_nothing_known() -> None:
    found = consensus(column(), column(), column(), classes=4, truth=column(-1, 2))
    assert (found.label.tolist(), found.probability.tolist(), found.spread.tolist()) == ([-1, 2], [0.0, 1.0], [0.0, 0.0])
    assert consensus(column(), column(), column(), classes=2).label.tolist() == []


def test_many_sure_annotators_overflow_nothing() -> None:
    crowd = np.arange(2_000)
    found = consensus(np.zeros(2_000, np.int64), crowd, (crowd % 10 == 0).astype(np.int64), classes=2)
    assert found.label.tolist() == [0]
    assert np.isfinite(found.probability).all()


@pytest.mark.parametrize(
    ("answers", "classes", "why"),
    [((0, 1), 1, "nothing to choose between"), ((0, 5), 3, "of 3 classes 0 to 2"), ((0,), 3, "give one each")],
)
def test_what_fits_not_together_is_refused(answers: tuple[int, ...], classes: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        consensus(column(0, 1), column(0, 1), column(*answers), classes=classes)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=40))
def test_neither_order_nor_the_names_of_classes_matter(given_answers: list[tuple[int, int, int]]) -> None:
    answers = np.array(sorted({(sample, who): said for sample, who, said in given_answers}.items(), key=str), object)
    samples, who = (np.array([key[at] for key, _ in answers], np.int64) for at in (0, 1))
    said = np.array([each for _, each in answers], np.int64)
    found = consensus(samples, who, said, classes=5)
    order = np.random.default_rng(len(answers)).permutation(len(answers))
    swapped = np.array([3, 1, 4, 0, 2])
    again = consensus(samples[order], who[order], swapped[said[order]], classes=5)
    np.testing.assert_allclose(again.of_answer, found.of_answer[order], atol=1e-4)
    np.testing.assert_allclose(again.spread, found.spread, atol=1e-4)
    answered = np.isin(np.arange(len(found.label)), samples)
    assert ((found.probability >= 0.19) | ~answered).all()
    assert ((found.probability <= 1) & (found.spread >= 0)).all()
