"""The space in which rows are compared."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.selection.whitening import Whitening

CLASSES, DIMENSION = 4, 12


def drawn(seed: int, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Classes lie apart in three directions; within a class rows spread widely in three others."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, CLASSES, rows)
    means = np.zeros((CLASSES, DIMENSION))
    means[:, :3] = rng.standard_normal((CLASSES, 3))
    noise = 0.3 * rng.standard_normal((rows, DIMENSION))
    noise[:, 3:6] *= 12
    return (means[classes] + noise).astype(np.float32), classes


def purity(unit: np.ndarray, classes: np.ndarray) -> float:
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -1)
    return float((classes[cosine.argmax(1)] == classes).mean())


@pytest.mark.parametrize("named", [True, False])
def test_neighbours_are_of_one_class_more_often_than_without(named: bool) -> None:
    plain, white = [], []
    for seed in range(5):
        rows, classes = drawn(seed)
        centred = rows - rows.mean(0)
        plain.append(purity(centred / np.linalg.norm(centred, axis=1, keepdims=True), classes))
        white.append(purity(Whitening.fit(rows, classes if named else None)(rows), classes))
    assert (np.array(white) > np.array(plain)).all()
    assert np.mean(white) > np.mean(plain) + (0.04 if named else 0.015)


def test_a_single_class_and_rows_without_one_are_no_obstacle() -> None:
    rows, classes = drawn(1)
    for labels in (np.zeros(len(rows), np.int64), np.arange(len(rows)), np.where(classes == 0, 0, -1)):
        assert np.allclose(np.linalg.norm(Whitening.fit(rows, labels)(rows), axis=1), 1, atol=1e-4)


def test_wide_rows_are_brought_down_to_128_dimensions_that_hardly_change_cosines() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((600, 40)) @ rng.standard_normal((40, 300)) + 0.1 * rng.standard_normal((600, 300))).astype(np.float32)
    unit = Whitening.fit(rows, rng.integers(0, 5, 600))(rows)
    assert unit.shape == (600, 128)
    assert unit.dtype == np.float32


def test_what_is_new_in_a_wide_pool_is_not_cut_off() -> None:
    rng = np.random.default_rng(0)
    means = rng.standard_normal((6, 300))
    classes = rng.integers(0, 5, 400)
    reference = (means[classes] + 0.5 * rng.standard_normal((400, 300))).astype(np.float32)
    new = (means[np.full(40, 5)] + 0.5 * rng.standard_normal((40, 300))).astype(np.float32)
    pool = np.concatenate([reference[:300], new])

    def alike(white: Whitening) -> float:
        return float(np.median(white(new) @ white(new).T))

    seen = Whitening.fit(reference, classes, pool=pool)
    assert seen.factor.shape == (300, 128)
    assert alike(seen) > alike(Whitening.fit(reference, classes)) + 0.05
    assert np.array_equal(Whitening.fit(reference, classes, pool=reference[:300]).factor, Whitening.fit(reference, classes).factor)


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_neither_scale_nor_offset_of_the_embedder_matters(scale: float, shift: float) -> None:
    rows, classes = drawn(3, rows=80)
    moved = (rows * scale + shift * scale).astype(np.float32)
    assert np.allclose(Whitening.fit(rows, classes)(rows), Whitening.fit(moved, classes)(moved), atol=0.02)


@pytest.mark.parametrize(
    ("rows", "why"), [(np.ones((1, 3)), "at least 2 rows"), (np.zeros((0, 3)), "at least 2 rows"), (np.ones((5, 3)), "are alike")]
)
def test_a_reference_that_says_nothing_is_refused(rows: np.ndarray, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Whitening.fit(rows.astype(np.float32))
