"""Rates with exact intervals, and periods that suit a span."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from service.scoring import period_of, rate_interval


@given(count=st.integers(0, 200), exposure=st.floats(0.1, 1e4))
def test_a_rate_at_either_end_of_its_interval_gives_such_a_count_in_one_case_of_forty(count: int, exposure: float) -> None:
    low, high = rate_interval(count, exposure)
    assert stats.poisson.cdf(count, high * exposure) == pytest.approx(0.025, abs=1e-6)
    assert low == 0 if count == 0 else stats.poisson.sf(count - 1, low * exposure) == pytest.approx(0.025, abs=1e-6)


@pytest.mark.parametrize(("days", "period"), [(200, 7), (90, 7), (40, 1), (10, 1), (2, 2 / 24), (0.5, 1 / 24), (1_000, 28)])
def test_a_period_is_a_unit_that_people_know(days: float, period: float) -> None:
    assert period_of(days * 86_400) == period * 86_400


@given(seconds=st.floats(0, 1e10))
def test_a_timeline_never_has_more_lines_than_a_screen(seconds: float) -> None:
    assert seconds / period_of(seconds) <= 40
