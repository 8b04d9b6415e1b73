"""The rules of a look: which segments, which tests, one family."""

from __future__ import annotations

import numpy as np
import pytest

from service.comparing import MOST_SEGMENTS, Side, chosen_tests, compare_sides
from service.errors import InputError


def side(n: int, seed: int, *, tags: list[str] | None = None, label: str = "", shift: float = 0.0) -> Side:
    rows = (np.random.default_rng(seed).standard_normal((n, 4)) + shift).astype(np.float32)
    return Side(rows, [{"customer": tag} for tag in tags or ["a"] * n], [label] * n)


def test_the_family_is_everything_that_was_tested() -> None:
    tags = ["a"] * 60 + ["b"] * 60
    reference, window = side(120, 1, tags=tags), side(120, 2, tags=tags)
    window.embeddings[60:] += 2
    found = compare_sides(reference, window, tests=["ks"], by="customer", seed=1)
    assert [(t.segment, t.differs) for t in found.tested] == [("all", True), ("customer=a", False), ("customer=b", True)]
    assert all(t.adjusted >= t.result.p_value for t in found.tested)


def test_a_large_family_gets_the_permutations_that_it_needs() -> None:
    tags = [str(i) for i in range(20) for _ in range(12)]
    shifted = side(240, 2, tags=tags, shift=9.0)
    found = compare_sides(side(240, 1, tags=tags), shifted, tests=["energy", "cvm"], by="customer", seed=1)
    assert len(found.tested) == 42
    assert found.tested[0].result.detail["law"] == "1680 permutations"
    assert all(t.differs for t in found.tested)


def test_only_the_largest_segments_are_tested() -> None:
    tags = [str(i) for i in range(MOST_SEGMENTS + 1) for _ in range(10)] + ["0"]
    found = compare_sides(side(len(tags), 1, tags=tags), side(len(tags), 2, tags=tags), tests=["clusters"], by="customer", seed=1)
    assert len(found.tested) == MOST_SEGMENTS + 1
    assert found.tested[1].segment == "customer=0"
    assert list(found.left_out.values()) == ["beyond the 50 largest"]


def test_a_tag_of_ids_makes_no_segments() -> None:
    tags = [str(i) for i in range(1_001)]
    with pytest.raises(InputError, match=r"at most 1,000 different values, found 1,001"):
        compare_sides(side(1_001, 1), side(1_001, 2, tags=tags), tests=["ks"], by="customer", seed=1)


def test_predicted_classes_are_compared_where_both_have_enough() -> None:
    silent, answering = side(20, 1), side(20, 2, label="yes")
    assert "classes" not in chosen_tests("all", silent, answering)
    assert chosen_tests("all", answering, answering)[-1] == "classes"
    few = Side(answering.embeddings, answering.segments, ["yes"] * 9 + [""] * 11)
    with pytest.raises(InputError, match="20 in the input, 9 in what it is held against"):
        chosen_tests("classes", few, answering)
    assert [t.test for t in compare_sides(few, answering, tests=["classes", "ks"], seed=1).tested] == ["ks"]
