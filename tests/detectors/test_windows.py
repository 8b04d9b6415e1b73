"""Suffix windows of all dyadic lengths, against sums over the rows themselves."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.windows import Windows, window_starts


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
