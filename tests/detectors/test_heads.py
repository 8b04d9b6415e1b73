"""Heads that did not see the row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.heads import held_out_discriminants, stratified_folds


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=60, max_size=120), st.integers(0, 2**32 - 1))
def test_no_group_is_in_two_folds_and_folds_are_even(pairs: list[tuple[int, int]], seed: int) -> None:
    labels, groups = np.array(pairs).T
    if len(np.unique(groups)) < 5:
        return
    folds = stratified_folds(labels, groups, 5, rng=np.random.default_rng(seed))
    assert all(len(np.unique(folds[groups == group])) == 1 for group in groups)
    held = [len(np.unique(groups[folds == fold])) for fold in range(5)]
    assert max(held) - min(held) <= 1


def test_a_class_is_spread_over_the_folds() -> None:
    labels = np.repeat([0, 1, 2], [50, 5, 2])
    folds = stratified_folds(labels, np.arange(57), 5, rng=np.random.default_rng(0))
    assert np.bincount(folds[labels == 0]).tolist() == [10] * 5
    assert sorted(folds[labels == 1]) == [0, 1, 2, 3, 4]
    assert len(set(folds[labels == 2])) == 2


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="there are 2"):
        stratified_folds(np.zeros(9, np.int64), np.repeat([0, 1], [5, 4]), 5, rng=np.random.default_rng(0))


def test_it_says_what_heads_fitted_without_the_fold_say() -> None:
    rng = np.random.default_rng(1)
    labels, folds = rng.integers(0, 3, 90), np.arange(90) % 3
    rows = (rng.standard_normal((3, 5))[labels] + rng.standard_normal((90, 5))).astype(np.float32)
    said = held_out_discriminants(rows, labels, folds, 3)
    swapped = labels.copy()
    swapped[folds == 1] = (labels[folds == 1] + 1) % 3
    again = held_out_discriminants(rows, swapped, folds, 3)
    assert np.allclose(said[folds == 1], again[folds == 1], atol=1e-4)
    assert not np.allclose(said[folds == 0], again[folds == 0], atol=1e-2)


def test_rows_of_no_weight_bend_no_head() -> None:
    rng = np.random.default_rng(2)
    labels, folds = rng.integers(0, 2, 80), np.arange(80) % 4
    rows = (2 * labels[:, None] + rng.standard_normal((80, 3))).astype(np.float32)
    wrong, weights = labels.copy(), np.ones(80, np.float32)
    wrong[:20], weights[:20] = 1 - labels[:20], 0
    one = held_out_discriminants(rows, labels, folds, 2, weights=weights)
    other = held_out_discriminants(rows, wrong, folds, 2, weights=weights)
    assert np.allclose(one, other, atol=1e-4)
