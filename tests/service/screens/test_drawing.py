import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.records import Measured
from service.screens.drawing import count, excerpt, interval, interval_bar, level_bar, moment, percent, points, span


@given(st.text(max_size=300), st.integers(1, 60))
def test_an_excerpt_is_one_printable_line_of_bounded_length(text: str, limit: int) -> None:
    shown = excerpt(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()


def test_an_excerpt_says_that_it_was_cut_and_disarms_the_terminal() -> None:
    assert excerpt("one  two\n three") == "one two three"
    assert excerpt("abcdef", 4) == "abc…"
    assert "\x1b" not in excerpt("\x1b[31mred\x07\u202e")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.07, "< 1 s"),
        (59, "59 s"),
        (90, "1.5 min"),
        (1_800, "30 min"),
        (5_400, "1.5 h"),
        (86_400 * 12, "12 days"),
        (None, "–"),
        (math.inf, "–"),
    ],
)
def test_spans_choose_their_unit(seconds: float | None, shown: str) -> None:
    assert span(seconds) == shown


def test_times_are_utc_and_stay_on_the_calendar() -> None:
    assert moment(1_767_225_600) == "2026-01-01 00:00:00Z"
    assert moment(1e300).startswith("9999")
    assert moment(-5).startswith("1970")
    assert moment(math.nan) == "–"


def test_figures() -> None:
    assert (percent(0.1234), percent(None), percent(math.nan)) == ("12.3 %", "–", "–")
    assert (points(0.051), points(-0.02), points(None)) == ("+5.1", "-2.0", "–")
    assert (count(12_345), count(None), count(math.inf)) == ("12,345", "–", "–")
    assert interval(Measured(0.14, 0.08, 0.21)) == "14.0 % (8.0 to 21.0)"


def test_a_level_bar_fills_up_to_its_mark_and_no_further() -> None:
    assert level_bar(0, 10, 4) == "░░░░"
    assert level_bar(5, 10, 4) == "██░░"
    assert level_bar(50, 10, 4) == level_bar(math.inf, 10, 4) == "████"
    assert level_bar(math.nan, 10, 4) == level_bar(1, 0, 4) == "░░░░"


def test_an_interval_bar_shows_where_the_estimate_lies_on_the_scale_that_holds_it() -> None:
    assert interval_bar(Measured(0.5, 0.0, 1.0), width=5) == "0 ┤━━●━━├ 100 %"
    assert interval_bar(Measured(0.05, 0.05, 0.1), width=5) == "0 ┤··●━━├ 10 %"


@given(*[st.floats(allow_nan=True, allow_infinity=True)] * 3)
def test_an_interval_bar_keeps_its_width_whatever_it_is_given(estimate: float, low: float, high: float) -> None:
    assert len(interval_bar(Measured(estimate, low, high), width=20).partition("┤")[2].partition("├")[0]) == 20
