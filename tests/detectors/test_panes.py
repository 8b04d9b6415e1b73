"""Summaries are a commutative monoid, and survive their bytes."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import Summarizer, Summary


@pytest.fixture(scope="module")
def rows() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((900, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def summarizer(rows: NDArray[np.float32]) -> Summarizer:
    return Summarizer.fit(rows[:300], rows[300:600], rng=np.random.default_rng(1))


def same(a: Summary, b: Summary) -> bool:
    exact = a.count == b.count and np.array_equal(a.clusters, b.clusters) and np.array_equal(a.novelty, b.novelty)
    return exact and np.allclose(a.sums, b.sums, atol=1e-4) and np.allclose(a.scalars, b.scalars, atol=1e-4)


@given(cuts=st.lists(st.integers(0, 300), max_size=6), order=st.randoms(use_true_random=False))
def test_any_parts_in_any_order_merge_to_the_whole(
    summarizer: Summarizer, rows: NDArray[np.float32], cuts: list[int], order: st.DrawFn
) -> None:
    described = summarizer.describe(rows[600:])
    edges = [0, *sorted(cuts), 300]
    parts = [summarizer.summarize(described, slice(a, b)) for a, b in pairwise(edges)]
    order.shuffle(parts)  # type: ignore[attr-defined]  # a Random, which hypothesis types as a strategy's
    merged = summarizer.empty()
    for part in parts:
        merged = merged.merge(part)
    assert same(merged, summarizer.summarize(described, slice(0, 300)))


def test_describing_in_batches_changes_nothing(summarizer: Summarizer, rows: NDArray[np.float32]) -> None:
    whole = summarizer.describe(rows[600:])
    pieces = [summarizer.describe(part) for part in np.array_split(rows[600:], 7)]
    assert np.allclose(whole.features, np.concatenate([p.features for p in pieces]), atol=1e-5)
    assert np.array_equal(whole.cluster, np.concatenate([p.cluster for p in pieces]))


def test_bytes_keep_everything_to_single_precision(summarizer: Summarizer, rows: NDArray[np.float32]) -> None:
    summary = summarizer.summarize(summarizer.describe(rows[600:]), slice(0, 250))
    assert same(Summary.from_bytes(summary.to_bytes()), summary)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused_with_their_length(blob: bytes) -> None:
    with pytest.raises(ValueError, match="bytes"):
        Summary.from_bytes(blob)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e20], ids=["NaN", "infinite", "overflows when squared"])
def test_rows_that_no_distance_can_be_told_of_are_refused(summarizer: Summarizer, rows: NDArray[np.float32], value: float) -> None:
    spoilt = rows[600:620].copy()
    spoilt[7, 3] = value
    with pytest.raises(ValueError, match="row 7 is the first"):
        summarizer.describe(spoilt)


def test_the_largest_rows_taken_are_only_far_away(summarizer: Summarizer, rows: NDArray[np.float32]) -> None:
    described = summarizer.describe(np.sign(rows[600:620]) * np.float32(1e15))
    assert np.isfinite(described.features).all()
    assert (described.cluster == summarizer.clusters).all()


@pytest.mark.parametrize("name", ["sums", "scalars"])
def test_sums_that_are_not_finite_are_refused(summarizer: Summarizer, rows: NDArray[np.float32], name: str) -> None:
    summary = summarizer.summarize(summarizer.describe(rows[600:]), slice(0, 50))
    spoilt = replace(summary, **{name: np.full_like(getattr(summary, name), np.nan)})
    with pytest.raises(ValueError, match=f"{name} are finite"):
        Summary.from_bytes(spoilt.to_bytes())


def test_novelty_is_uniform_on_fresh_rows_and_high_on_foreign_ones(summarizer: Summarizer, rows: NDArray[np.float32]) -> None:
    fresh = summarizer.describe(rows[600:])
    assert abs(float(fresh.novelty.mean()) - 0.5) < 0.06  # 300 uniform draws: 3.5 standard errors
    foreign = summarizer.describe(rows[600:] + 9)
    assert (foreign.novelty > 0.99).all()
    assert (foreign.cluster == summarizer.clusters).all()


def test_arrays_restore_the_same_summarizer(summarizer: Summarizer, rows: NDArray[np.float32]) -> None:
    again = Summarizer.from_arrays(summarizer.to_arrays())
    a, b = again.describe(rows[600:]), summarizer.describe(rows[600:])
    assert np.array_equal(a.features, b.features)
    assert np.array_equal(a.scalars, b.scalars)
