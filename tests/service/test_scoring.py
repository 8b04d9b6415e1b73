"""Periods that suit a span."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scoring import period_of


@pytest.mark.parametrize(("days", "period"), [(200, 7), (90, 7), (40, 1), (10, 1), (2, 2 / 24), (0.5, 1 / 24), (1_000, 28)])
def test_a_period_is_a_unit_that_people_know(days: float, period: float) -> None:
    assert period_of(days * 86_400) == period * 86_400


@given(seconds=st.floats(0, 1e10))
def test_a_timeline_never_has_more_lines_than_a_screen(seconds: float) -> None:
    assert seconds / period_of(seconds) <= 40
