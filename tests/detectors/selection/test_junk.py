"""What is probably no use."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.selection.junk import Surroundings, junk, pool_company
from detectors.selection.kernel import Scales

SCALES = Scales(duplicate=0.99, zero=0.5, half=0.8)
AMOUNT = st.floats(0, 50, width=32)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def told(depth: float, company: float = 5, rejected: float = 0, usable: float = 0) -> float:
    return float(junk(Surroundings(*(np.array([x], np.float32) for x in (depth, company, rejected, usable))))[0])


def test_far_out_and_alone_is_worst() -> None:
    assert told(0) < 0.05 < told(2, company=10) < told(1, company=0) < told(2, company=0)


def test_what_is_far_out_but_dense_may_be_a_new_topic() -> None:
    assert told(2, company=20) < 0.35
    assert told(2, company=20, rejected=3) > 0.6


@given(depth=st.floats(-1, 4, width=32), company=AMOUNT, rejected=AMOUNT, usable=AMOUNT)
def test_answers_teach_it(depth: float, company: float, rejected: float, usable: float) -> None:
    before = told(depth, company, rejected, usable)
    assert 0 <= before <= 1
    assert told(depth, company, rejected + 1, usable) >= before - 1e-6
    assert told(depth, company, rejected, usable + 1) <= before + 1e-6


def test_many_answers_outweigh_the_prior() -> None:
    assert told(2, rejected=0, usable=50) < 0.1
    assert told(0, rejected=50, usable=0) > 0.9


def test_company_counts_others_but_no_copies_of_the_row() -> None:
    rng = np.random.default_rng(0)
    topic = unit(np.eye(1, 8) + 0.15 * rng.standard_normal((30, 8)))
    storm = np.repeat(unit(np.eye(1, 8, 3)), 30, axis=0)
    found = pool_company(np.concatenate([topic[:1], storm[:1]]), np.concatenate([topic, storm]), scales=SCALES)
    assert found[0] > 10
    assert found[1] < 0.1


def test_company_of_a_large_pool_is_counted_among_a_part_of_it() -> None:
    rng = np.random.default_rng(1)
    pool = unit(np.repeat(np.eye(2, 6), [6_000, 3_000], axis=0) + 0.2 * rng.standard_normal((9_000, 6)))
    asked = pool[[0, 8_000]]
    exact = [float(SCALES.kernel(row[None], pool)[0][pool @ row < SCALES.duplicate].sum()) for row in asked]
    assert pool_company(asked, pool, scales=SCALES) == pytest.approx(exact, rel=0.1)
