"""Keys of a stream's rows follow from the rows alone, and the largest of them are the draw that they should be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.reservoir import LOG_2, hashes, sampling_keys

IDS = st.lists(st.text(max_size=12).filter(lambda name: not name.endswith("\0")), max_size=20)


@given(first=IDS, second=IDS)
def test_a_hash_depends_on_nothing_but_name_and_id(first: list[str], second: list[str]) -> None:
    together = hashes("chat", [*first, *second])
    np.testing.assert_array_equal(together, np.concatenate([hashes("chat", first), hashes("chat", second)]))
    assert len(set(together.tolist())) == len({*first, *second})
    assert not set(hashes("mail", first).tolist()) & set(hashes("chat", first).tolist())


def test_ids_beyond_what_is_read_are_told_apart_by_their_ends() -> None:
    long = ["x" * 100_000 + end for end in "abc"]
    found = hashes("chat", [*long, "short"])
    assert len(set(found.tolist())) == 4
    assert found[3] == hashes("chat", ["short"])[0]


def test_hashes_stay_what_they_are() -> None:
    """Stored keys were made with them."""
    assert hashes("chat", ["s1", "ä", ""]).tolist() == [13058462338385090507, 14669474684137243053, 15690546269403649233]


def test_keys_without_weights_are_gumbels() -> None:
    keys = sampling_keys(hashes("chat", [f"s{n}" for n in range(100_000)]), 3)
    assert np.isfinite(keys).all()
    assert keys.mean() == pytest.approx(np.euler_gamma, abs=0.02)
    assert keys.var() == pytest.approx(np.pi**2 / 6, abs=0.04)


def test_the_first_of_a_draw_is_chosen_by_weight() -> None:
    weight = np.array([1.0, 2.0, 5.0])
    hashed = hashes("chat", [f"s{n}" for n in range(30_000)]).reshape(-1, 3)
    first = sampling_keys(hashed, 1, weight=weight).argmax(1)
    np.testing.assert_allclose(np.bincount(first) / len(first), weight / 8, atol=0.02)


def test_a_rows_chance_halves_with_the_half_life() -> None:
    hashed = hashes("chat", [f"s{n}" for n in range(30_000)]).reshape(-1, 2)
    young = sampling_keys(hashed, 1, age=np.array([0.0, 1.0]) * LOG_2).argmax(1)
    assert young.mean() == pytest.approx(2 / 3, abs=0.02)


def test_samples_of_other_salts_are_independent() -> None:
    hashed = hashes("chat", [f"s{n}" for n in range(30_000)])
    one, two = (sampling_keys(hashed, salt) for salt in (1, 2))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.02
