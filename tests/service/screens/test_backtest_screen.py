"""The picture of a backtest keeps its shape whatever the figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.screens.backtest import evidence_bar


@given(st.floats(0, 9_999))
def test_bars_stand_in_one_column(closeness: float) -> None:
    assert len(evidence_bar(closeness).plain) == len(evidence_bar(0.0).plain)


@pytest.mark.parametrize(
    ("closeness", "bar"),
    [
        (0.5, "████░░░░│    0.50"),
        (1.0, "████████│    1.00"),
        (1.01, "████████│█   1.01"),
        (94.7, "████████│██    95"),
        (2e3, "████████│███ 2000"),
    ],
)
def test_what_lies_beyond_the_threshold_shows(closeness: float, bar: str) -> None:
    assert evidence_bar(closeness).plain == bar
