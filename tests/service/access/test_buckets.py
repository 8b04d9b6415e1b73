"""How often one may ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access.buckets import Buckets, retry_after


def test_a_burst_and_then_the_rate() -> None:
    buckets = Buckets(2.0, 4.0)
    assert [buckets.take("a", 0.0) for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert buckets.take("a", 0.5) == 0
    assert buckets.take("a", 0.5) == pytest.approx(0.5)
    assert buckets.take("b", 0.5) == 0


def test_asking_takes_nothing() -> None:
    buckets = Buckets(1.0, 1.0)
    assert buckets.wait("a", 0.0) == 0
    assert buckets.take("a", 0.0) == 0
    assert buckets.wait("a", 0.25) == pytest.approx(0.75)
    assert buckets.taken("a", 0.25) == pytest.approx(0.75)


def test_what_costs_more_than_a_burst_is_paid_afterwards() -> None:
    """Else a request of many samples could never pass."""
    buckets = Buckets(10.0, 100.0)
    assert buckets.take("a", 0.0, 300.0) == 0
    assert buckets.take("a", 0.0, 1.0) == pytest.approx(20.1)
    assert buckets.take("a", 20.2, 1.0) == 0


def test_memory_is_bounded() -> None:
    buckets = Buckets(1.0, 2.0, most=3)
    for name in "abcdefgh":
        buckets.take(name, 0.0)
    assert len(buckets) == 3


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 5)), max_size=60))
def test_never_more_than_burst_and_rate_allow(asks: list[tuple[float, float]]) -> None:
    buckets, now, taken, most = Buckets(2.0, 5.0), 0.0, 0.0, 5.0
    for pause, cost in asks:
        now += pause
        if buckets.take("a", now, cost) == 0:
            taken += cost
    assert taken <= most + 2.0 * now + 1e-6


def test_clocks_that_go_backwards_give_nothing_away() -> None:
    buckets = Buckets(1.0, 1.0)
    buckets.take("a", 100.0)
    assert buckets.take("a", 50.0) > 0


def test_the_header_is_whole_seconds() -> None:
    assert (retry_after(0.01), retry_after(1.2)) == ("1", "2")
