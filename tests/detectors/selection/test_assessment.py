"""Rows before their labels are known, and after."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.selection.assessment import Verdict, assess, known_risk, verdicts
from detectors.selection.base import REJECTED, UNKNOWN, Known, Pool
from detectors.selection.risk import Risk

CLASSES, DIMENSION = 5, 12


def topic(label: int | NDArray[np.int64], count: int, rng: np.random.Generator, *, spread: float = 1.0) -> NDArray[np.float32]:
    centres = 4 * np.eye(CLASSES + 1, DIMENSION)[label]
    return np.asarray(centres + spread * rng.standard_normal((count, DIMENSION)), np.float32)


def said(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    chances = np.exp(1.5 * rows[:, :CLASSES])
    return np.asarray(chances / chances.sum(1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def known() -> Known:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 300)
    rows = topic(labels, 300, rng)
    return Known(rows, labels, predicted=said(rows).argmax(1), probabilities=said(rows))


@pytest.fixture(scope="module")
def rows() -> NDArray[np.float32]:
    """60 usual ones, 30 of a new topic, 30 scattered."""
    rng = np.random.default_rng(1)
    scattered = 9 * rng.standard_normal((30, DIMENSION)).astype(np.float32)
    return np.concatenate([topic(rng.integers(0, CLASSES, 60), 60, rng), topic(CLASSES, 30, rng), scattered])


@pytest.mark.parametrize("probabilities", [True, False])
@pytest.mark.parametrize("labelled", [True, False])
def test_strange_rows_are_junk_in_every_situation(known: Known, rows: NDArray[np.float32], probabilities: bool, labelled: bool) -> None:
    told = Known(
        known.reference,
        known.labels if labelled else None,
        predicted=known.predicted if probabilities else None,
        probabilities=known.probabilities if probabilities else None,
    )
    parts = assess(Pool(rows, said(rows) if probabilities else None), told)
    assert parts.matrix.shape == (120, 3)
    assert ((parts.matrix >= 0) & (parts.matrix <= 1)).all()
    assert parts.junk[90:].mean() > 2 * parts.junk[:60].mean()


@pytest.mark.parametrize("labelled", [True, False])
def test_a_dense_mass_outside_is_not_taken_for_junk_nor_kept_back_before_anybody_has_answered(labelled: bool) -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((9, 16))
    labels = rng.integers(0, 8, 400)
    kinds = np.concatenate([rng.integers(0, 8, 300), np.full(200, 8)])
    reference, mixed = (np.asarray(centres[which] + 0.3 * rng.standard_normal((len(which), 16)), np.float32) for which in (labels, kinds))
    scattered = 1.5 * rng.standard_normal((40, 16)).astype(np.float32)
    parts = assess(Pool(np.concatenate([mixed, scattered])), Known(reference, labels if labelled else None))
    assert np.quantile(parts.junk[300:500], 0.95) < 0.5 < np.median(parts.junk[500:])
    assert np.median(parts.junk[300:500]) < 0.35
    assert (Risk().of(parts)[300:500] > 0.5).mean() < 0.05


def test_rejections_and_answers_teach_junk(known: Known, rows: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(2)
    asked = topic(CLASSES, 8, rng)
    before = assess(Pool(rows), known).junk[60:90].mean()
    found = {
        answer: assess(Pool(rows), Known(known.reference, known.labels, answered=asked, answers=np.full(8, answer))).junk[60:90].mean()
        for answer in (REJECTED, CLASSES)
    }
    assert found[CLASSES] < before < found[REJECTED]


def test_some_rows_are_told_as_among_all(known: Known, rows: NDArray[np.float32]) -> None:
    some = np.array([3, 70, 100])
    pool = Pool(rows, said(rows))
    assert assess(pool, known, rows=some).matrix == pytest.approx(assess(pool, known).matrix[some], abs=1e-5)


def test_the_nearest_reference_rows_are_named(known: Known) -> None:
    parts = assess(Pool(known.reference[[7, 200]] + np.float32(1e-4)), known)
    assert parts.nearest[:, 0].tolist() == [7, 200]


def test_missing_answers_of_the_model_are_no_trouble(known: Known, rows: NDArray[np.float32]) -> None:
    chances = said(rows)
    chances[::2] = np.nan
    parts = assess(Pool(rows, chances, predicted=np.full(len(rows), UNKNOWN), weak=np.full(len(rows), UNKNOWN)), known)
    assert np.isfinite(parts.matrix).all()


def test_nothing_asked_is_nothing_told(known: Known) -> None:
    assert len(assess(Pool(np.zeros((0, DIMENSION), np.float32)), known)) == 0


def test_a_reference_of_one_row_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="reference"):
        assess(Pool(np.ones((2, 3), np.float32)), Known(np.ones((1, 3), np.float32)))


def test_verdicts_name_what_became_of_each(known: Known) -> None:
    rng = np.random.default_rng(3)
    labels = np.tile(np.arange(CLASSES), 4)
    answered = topic(labels, 20, rng, spread=0.5)
    given = labels.copy()
    given[0], given[1] = REJECTED, (labels[1] + 1) % CLASSES
    found = verdicts(Pool(answered, said(answered)), given, known)
    assert found[0] == Verdict.REJECTED
    assert found[1] == Verdict.REFUSED
    assert (found[2:] == Verdict.USABLE).mean() > 0.8
    assert (verdicts(Pool(answered, said(answered)), given, known, harm_limit=-1)[2:] == Verdict.HARMFUL).all()


def test_a_wrong_label_is_riskier_than_a_right_one_and_a_rejection_riskiest(known: Known) -> None:
    rng = np.random.default_rng(4)
    labels = np.tile(np.arange(CLASSES), 8)
    answered = topic(labels, 40, rng)
    given = labels.copy()
    given[:10] = (labels[:10] + 1) % CLASSES
    given[10] = REJECTED
    told = known_risk(
        Pool(answered, said(answered)), given, known, junk=np.full(40, 0.1, np.float32), wrong=np.repeat([0.6, 0.05], [10, 30])
    )
    assert told[10] == 1
    assert np.median(told[:10]) > 4 * np.median(told[11:])
