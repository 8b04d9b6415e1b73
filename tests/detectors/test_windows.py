"""Suffix windows of all dyadic lengths, against sums over the rows themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.windows import SCALES, Windows, mean_lengths, scales_within, window_starts


@given(panes=st.integers(1, 200), scales=st.integers(1, 7))
def test_each_window_is_the_sum_of_its_last_panes(panes: int, scales: int) -> None:
    rows = np.arange(1, panes + 1, dtype=np.float32)[:, None]
    windows = Windows(scales, 1)
    for row in rows:
        windows.push(row)
    expected = [rows[start:].sum() for start in window_starts(panes, windows.filled)]
    assert windows.latest[:, 0].tolist() == expected
    assert windows.filled == min(panes.bit_length(), scales)


@given(panes=st.integers(1, 10_000), scales=st.integers(1, 13))
def test_the_window_of_a_scale_is_between_its_length_and_twice_that(panes: int, scales: int) -> None:
    filled = min(panes.bit_length(), scales)
    lengths = panes - window_starts(panes, filled)
    step = 2 ** np.arange(filled)
    assert (lengths >= step).all()
    assert (lengths < 2 * step).all()


@given(panes=st.integers(0, 100), scales=st.integers(1, 7), more=st.integers(1, 40))
def test_restored_windows_go_on_as_if_nothing_had_been(panes: int, scales: int, more: int) -> None:
    whole, again = Windows(scales, 1), Windows(scales, 1)
    for n in range(panes):
        whole.push(np.array([n], np.float32), span=(n, n + 1))
    again.restore(whole.state())
    for n in range(panes, panes + more):
        for windows in (whole, again):
            windows.push(np.array([n], np.float32), span=(n, n + 1))
    assert again.latest.tolist() == whole.latest.tolist()
    assert again.starts.tolist() == whole.starts.tolist() == window_starts(again.panes, again.filled).clip(0).tolist()


@given(panes=st.integers(0, 40))
def test_a_young_stream_holds_one_scale_more_than_it_fills(panes: int) -> None:
    windows = Windows(SCALES, 100, exact=3)
    for _ in range(panes):
        windows.push(np.ones(100, np.float32), np.ones(3))
    assert windows.state()["sums"].shape == (2, windows.filled + 1, 100)
    assert windows.exact.tolist() == windows.latest[:, :3].tolist()


@given(room=st.integers(2_000, 200_000), length=st.integers(1, 200), beside=st.integers(0, 50))
def test_as_many_scales_as_fit_are_held(room: int, length: int, beside: int) -> None:
    scales = scales_within(room, length, beside=beside)
    each = Windows(1, length).state()
    size = each["sums"].nbytes + each["starts"].nbytes + beside
    assert scales * size <= room
    assert scales == SCALES or (scales + 1) * size > room


def test_a_state_of_another_shape_is_refused() -> None:
    windows = Windows(5, 3)
    with pytest.raises(ValueError, match="does not fit"):
        windows.restore(Windows(5, 4).state())
    with pytest.raises(ValueError, match="does not fit"):
        windows.restore(Windows(5, 3, exact=1).state())


def test_an_exact_column_keeps_counting_where_single_precision_rounds() -> None:
    windows, already = Windows(1, 1, exact=1), 2.0**28
    for _ in range(4):
        windows.push(np.zeros(1, np.float32), np.zeros(1))
    windows.restore(windows.state() | {"sums": np.full((2, 1, 1), already), "exact": np.full((2, 1, 1), already)})
    windows.push(np.array([15], np.float32), np.array([15.0]))
    assert windows.exact[0, 0] == already + 15
    assert windows.latest[0, 0] == already  # what a count would have stood at


@given(scale=st.integers(0, 8))
def test_the_mean_length_is_that_over_a_whole_period(scale: int) -> None:
    panes = range(2 ** (scale + 3), 2 ** (scale + 4))
    lengths = [count - window_starts(count, scale + 1)[scale] for count in panes]
    assert np.mean(lengths) == mean_lengths()[scale]
