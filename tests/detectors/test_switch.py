"""The switch against a reference written row by row, and its order of testing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.comparison import allowed_flips, upper_bound
from detectors.switch import THRESHOLDS, calibrate, flips_by_class, fresh_rows, margins, takes_new


def test_thresholds_go_down_to_none_at_all() -> None:
    assert THRESHOLDS[0] == 0.975
    assert THRESHOLDS[-1] == 0
    assert len(THRESHOLDS) == 40
    assert np.allclose(np.diff(THRESHOLDS), -0.025)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_margins_are_those_of_the_softmax_and_never_negative(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=4, size=(20, classes)).astype(np.float32)
    old = rng.integers(0, classes, 20)
    found = margins(logits, old)
    for row, answer, margin in zip(logits.astype(float), old, found, strict=True):
        shares = np.exp(row) / np.exp(row).sum()
        assert margin == pytest.approx(shares.max() - shares[answer], abs=1e-6)
    assert (found >= 0).all()
    assert (found[logits.argmax(1) == old] == 0).all()
    assert not takes_new(found, 0.0)[logits.argmax(1) == old].any()


def drawn(seed: int, rows: int, rate: float) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    flips = rng.random(rows) < rate
    return rng.random(rows).astype(np.float32), rng.random(rows) < 0.9, ~flips


@given(st.integers(0, 2**32 - 1), st.sampled_from([300, 1000, 3000]), st.sampled_from([0.002, 0.02, 0.2]))
def test_the_smallest_threshold_is_taken_down_to_which_all_pass(seed: int, rows: int, rate: float) -> None:
    margin, old_right, new_right = drawn(seed, rows, rate)
    found = calibrate(margin, old_right, new_right, alpha=0.01, error=0.05)
    most = allowed_flips(rows, 0.01, error=0.05)
    flips = {t: int((old_right & ~new_right & (margin > np.float32(t))).sum()) for t in THRESHOLDS}
    passing = [t for t in THRESHOLDS if flips[t] <= most]  # flips only grow on the way down
    assert found.threshold == (min(passing) if passing else None)
    assert found.flips == flips[min(passing, default=THRESHOLDS[0])]
    assert dict(found.trail).items() <= flips.items()
    assert len(found.trail) == min(len(passing) + 1, len(THRESHOLDS))
    assert found.bound == upper_bound(found.flips, rows, error=0.05)
    assert (found.bound <= 0.01) == bool(passing)


def test_a_model_that_breaks_nothing_is_served_wherever_it_differs() -> None:
    margin = np.linspace(0, 1, 400, dtype=np.float32)
    found = calibrate(margin, np.ones(400, bool), np.ones(400, bool), alpha=0.01, error=0.05)
    assert (found.threshold, found.flips) == (0.0, 0)


def test_too_few_rows_pass_nothing() -> None:
    right = np.ones(298, bool)
    found = calibrate(np.zeros(298, np.float32), right, right, alpha=0.01, error=0.05)
    assert (found.threshold, found.flips, len(found.trail)) == (None, 0, 1)


def test_flips_are_counted_by_true_class() -> None:
    rows, flips = flips_by_class(np.array([0, 0, 2, 2, 2]), np.array([True, False, True, True, False]), 4)
    assert (rows.tolist(), flips.tolist()) == ([2, 0, 3, 0], [1, 0, 2, 0])


def test_fresh_rows_allow_what_the_used_ones_did() -> None:
    assert allowed_flips(fresh_rows(1000, 0.01, 0.1), 0.01, error=0.05) == allowed_flips(1000, 0.01, error=0.05)


@pytest.mark.parametrize("rows", [0, 3])
def test_rows_that_do_not_match_are_refused(rows: int) -> None:
    with pytest.raises(ValueError, match="one margin and two answers each"):
        calibrate(np.zeros(rows, np.float32), np.ones(rows, bool), np.ones(2, bool)[: rows or 0], alpha=0.01, error=0.05)
    with pytest.raises(ValueError, match="as many answers"):
        margins(np.zeros((2, 3), np.float32), np.zeros(3, np.int64))
