"""Where the reference speaks against an answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.neighbours import nearest_rows
from detectors.selection.base import UNKNOWN
from detectors.selection.contested import contested
from detectors.selection.kernel import Scales

SCALES = Scales(duplicate=0.999, zero=0.5, half=0.8)


def around(*angles: float) -> np.ndarray:
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


REFERENCE = around(*np.linspace(-0.1, 0.1, 12))
HERE = around(0.0)


def test_unanimous_neighbours_contest_another_answer_only() -> None:
    classes = np.zeros(12, np.int64)
    agree, differ = (contested(HERE, REFERENCE, classes, scales=SCALES, answers=np.array([said]))[0] for said in (0, 1))
    assert agree == 0
    assert differ > 0.9


def test_neighbours_that_contradict_each_other_need_no_answer() -> None:
    split = contested(HERE, REFERENCE, np.arange(12) % 2, scales=SCALES)[0]
    clear = contested(HERE, REFERENCE, (np.arange(12) == 5).astype(np.int64), scales=SCALES)[0]
    assert 0.4 < split < 0.55
    assert 0 < clear < 0.15


def test_nobody_contests_where_nobody_lives() -> None:
    assert contested(around(np.pi), REFERENCE, np.zeros(12, np.int64), scales=SCALES, answers=np.array([1]))[0] == 0


def test_rows_of_unknown_class_have_no_say() -> None:
    assert contested(HERE, REFERENCE, np.full(12, UNKNOWN), scales=SCALES, answers=np.array([1]))[0] == 0


def test_neighbours_found_before_give_the_same() -> None:
    classes, answers = np.arange(12) % 3, np.array([1])
    near = nearest_rows(HERE, REFERENCE, 10)
    told = contested(HERE, REFERENCE, classes, scales=SCALES, answers=answers, near=near)
    assert told == pytest.approx(contested(HERE, REFERENCE, classes, scales=SCALES, answers=answers))


@given(seed=st.integers(0, 2**32 - 1), answered=st.booleans())
def test_it_is_a_share(seed: int, answered: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((20, 3)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    answers = rng.integers(-1, 4, 8) if answered else None
    told = contested(rows[:8], rows[8:], rng.integers(-1, 4, 12), scales=SCALES, answers=answers)
    assert ((told >= 0) & (told <= 1)).all()
