"""What the soak says of memory."""

from __future__ import annotations

import pytest

from benchmarks.soak import SLACK, Peaks


@pytest.mark.parametrize(("late", "holds"), [(100, True), (105, True), (106, False)])
def test_memory_may_grow_by_a_twentieth_beside_the_slack(late: int, holds: bool) -> None:
    megabyte, peaks = 2**20, Peaks()
    for share, reading in ((0.1, 900), (0.3, 100), (0.3, 90), (0.5, 900), (0.9, late)):
        peaks.note(share, reading * megabyte + (SLACK if share == 0.9 else 0))
    assert peaks.figure("it").holds is holds
