"""Failures grouped by right class and place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.failure_clusters import MOST_ROWS, failure_clusters
from detectors.selection.base import UNKNOWN

DIMENSION = 12


def around(topics: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (5 * np.eye(DIMENSION)[topics] + 0.5 * rng.normal(size=(len(topics), DIMENSION))).astype(np.float32)


TOPICS = np.random.default_rng(2).integers(0, DIMENSION, 600)
REFERENCE = around(TOPICS, 3)


def test_one_cluster_for_each_class_in_each_place() -> None:
    topics = np.repeat([0, 1, 1], 6)
    labels = np.repeat([7, 7, 9], 6)  # one class in two places, two classes in one
    found = failure_clusters(around(topics, 4), labels, REFERENCE, classes=TOPICS)
    assert found.cluster.tolist() == np.repeat([0, 1, 2], 6).tolist()


def test_without_names_no_cluster_holds_two_places() -> None:
    topics = np.repeat([0, 1, 2], 6)
    found = failure_clusters(around(topics, 4), np.full(18, UNKNOWN), REFERENCE, classes=TOPICS)
    assert all(len(set(topics[found.cluster == cluster].tolist())) == 1 for cluster in found.cluster)
    assert found.cluster.max() < 12


def test_a_reference_without_classes_sets_a_stricter_scale() -> None:
    topics = np.repeat([0, 1], 8)
    with_classes = failure_clusters(around(topics, 4), topics, REFERENCE, classes=TOPICS).cluster
    without, unknown = (
        failure_clusters(around(topics, 4), topics, REFERENCE, classes=classes).cluster for classes in (None, np.full(600, UNKNOWN))
    )
    assert without.tolist() == unknown.tolist()
    assert with_classes.max() <= without.max()


def test_copies_stand_for_each_other_only_within_a_class() -> None:
    row = around(np.array([3]), 5)
    found = failure_clusters(np.repeat(row, 4, axis=0), np.array([1, 1, 2, 1]), REFERENCE)
    assert found.stands.tolist() == [0, 0, 2, 0]
    assert found.cluster.tolist() == [0, 0, 1, 0]


@given(st.permutations(range(15)))
def test_the_order_of_the_rows_changes_no_group(order: list[int]) -> None:
    topics = np.repeat([0, 1, 2], 5)
    rows, labels = around(topics, 6), np.where(topics == 2, UNKNOWN, 1)
    plain, mixed = failure_clusters(rows, labels, REFERENCE), failure_clusters(rows[order], labels[order], REFERENCE)
    together = plain.cluster[:, None] == plain.cluster
    assert (together[np.ix_(order, order)] == (mixed.cluster[:, None] == mixed.cluster)).all()


@pytest.mark.parametrize("label", [UNKNOWN, 0])
def test_one_failure_and_none(label: int) -> None:
    assert failure_clusters(REFERENCE[:1], np.array([label]), REFERENCE).cluster.tolist() == [0]
    empty = failure_clusters(REFERENCE[:0], np.array([], np.int64), REFERENCE)
    assert (len(empty.stands), len(empty.cluster)) == (0, 0)


def test_what_can_not_be_grouped_is_named() -> None:
    with pytest.raises(ValueError, match="as many labels"):
        failure_clusters(REFERENCE[:3], np.array([0]), REFERENCE)
    with pytest.raises(ValueError, match=f"at most {MOST_ROWS:,} rows"):
        failure_clusters(np.zeros((MOST_ROWS + 1, 2), np.float32), np.zeros(MOST_ROWS + 1, np.int64), REFERENCE)
    with pytest.raises(ValueError, match="at least 2 rows of 12 values"):
        failure_clusters(REFERENCE[:3], np.zeros(3, np.int64), REFERENCE[:, :4])
    with pytest.raises(ValueError, match="a class for each"):
        failure_clusters(REFERENCE[:3], np.zeros(3, np.int64), REFERENCE, classes=TOPICS[:4])
