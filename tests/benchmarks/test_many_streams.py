"""What the benchmark of many streams counts."""

import numpy as np
import pytest

from benchmarks import many_streams
from benchmarks.many_streams import DRIFTING, EPOCHS_PER_ALARM, QUIET, SHARES, Epoch


@pytest.fixture
def marked() -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Two quiet segments, and each of the drifting ones with half of new content."""
    found = np.zeros(QUIET + DRIFTING, np.bool_)
    found[:2] = True
    found[[n for n in range(QUIET, QUIET + DRIFTING) if many_streams._new(n) == SHARES[-1]]] = True
    return found


def test_drifting_segments_are_told_by_their_share(marked: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    *smaller, half = many_streams._by_share(marked)
    assert smaller == [0, 0]
    assert half in {DRIFTING // 3, DRIFTING // 3 + 1}


@pytest.mark.parametrize(("false", "true", "share"), [(0, (0, 0, 0), 0.0), (1, (0, 0, 0), 1.0), (1, (1, 1, 1), 0.25)])
def test_the_share_of_false_ones_is_none_where_nothing_is_marked(false: int, true: tuple[int, ...], share: float) -> None:
    assert many_streams._false_share(false, true) == share


@pytest.mark.parametrize(("alarms", "holds"), [(2, True), (4, True), (30, False)])
def test_alarms_are_held_against_the_budget_of_so_many_epochs(alarms: int, holds: bool) -> None:
    quiet, noisy = Epoch(0, (0, 0, 0), 0, (0, 0, 0)), Epoch(1, (0, 0, 0), 0, (0, 0, 0))
    epochs = [noisy] * alarms + [quiet] * (2 * EPOCHS_PER_ALARM - alarms)
    assert many_streams._false_alarms(epochs).holds is holds
