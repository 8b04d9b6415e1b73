"""Which returned labels are believed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.selection.base import REJECTED
from detectors.selection.gate import FEW, accepted, agreement
from detectors.selection.kernel import Scales

SCALES = Scales(duplicate=0.999, zero=0.5, half=0.8)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def topics(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
    return unit(np.eye(5, 12)[labels] + 0.1 * rng.standard_normal((len(labels), 12)))


def judged(rows: NDArray[np.float32], given: NDArray[np.int64], trusted: NDArray[np.float32], classes: NDArray[np.int64]) -> list[bool]:
    told = agreement(rows, given, trusted=trusted, trusted_labels=classes, scales=SCALES)
    found: list[bool] = accepted(told, given, classes).tolist()
    return found


def test_wrong_labels_among_trusted_rows_are_refused() -> None:
    rng = np.random.default_rng(0)
    classes, truth = np.repeat(np.arange(5), 20), rng.integers(0, 5, 40)
    wrong = np.arange(40) < 8
    given = np.where(wrong, (truth + 1) % 5, truth)
    found = np.array(judged(topics(truth, rng), given, topics(classes, rng), classes))
    assert not found[wrong].any()
    assert found[~wrong].all()


def test_a_new_class_bears_itself_out_once_it_has_company() -> None:
    rng = np.random.default_rng(1)
    classes = np.repeat(np.arange(4), 20)
    new = np.full(8, 4)
    told = agreement(topics(new, rng), new, trusted=topics(classes, rng), trusted_labels=classes, scales=SCALES)
    assert (told > 0.5).all()


def test_first_labels_of_a_rare_class_are_exempt_later_ones_are_not() -> None:
    rng = np.random.default_rng(2)
    for examples, believed in ((FEW - 1, True), (FEW, False)):
        classes = np.concatenate([np.repeat(np.arange(4), 20), np.full(examples, 4)])
        rows = topics(np.array([0]), rng)
        assert judged(rows, np.array([4]), topics(classes, rng), classes) == [believed]


def test_rejections_are_never_labels() -> None:
    rng = np.random.default_rng(3)
    classes = np.repeat(np.arange(5), 20)
    assert judged(topics(np.array([1]), rng), np.array([REJECTED]), topics(classes, rng), classes) == [False]


def test_where_nobody_votes_a_label_is_taken() -> None:
    nothing, none = np.zeros((0, 12), np.float32), np.zeros(0, np.int64)
    assert judged(topics(np.array([1]), np.random.default_rng(4)), np.array([1]), nothing, none) == [True]


@given(seed=st.integers(0, 2**32 - 1), answers=st.integers(0, 12), trusted=st.integers(0, 12))
def test_agreement_is_a_share_of_others(seed: int, answers: int, trusted: int) -> None:
    rng = np.random.default_rng(seed)
    labels, classes = rng.integers(-1, 3, answers), rng.integers(0, 3, trusted)
    told = agreement(topics(np.zeros(answers, np.int64), rng), labels, trusted=topics(classes, rng), trusted_labels=classes, scales=SCALES)
    known = ~np.isnan(told)
    assert ((told[known] >= 0) & (told[known] <= 1)).all()
    assert not known[labels == REJECTED].any()
    assert known[labels != REJECTED].all() == (trusted + (labels != REJECTED).sum() >= 2 or not (labels != REJECTED).any())
