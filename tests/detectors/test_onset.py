"""When a change began is within the interval about as often as it says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.onset import onset

REFERENCE = np.array([1_900, 100])


def stream(change: int, n: int, seed: int, *, before: float = 0.05, after: float = 0.3) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.random(n) < np.where(np.arange(n) < change, before, after), np.int64)


def test_the_interval_covers_as_often_as_it_says() -> None:
    changes = np.random.default_rng(0).integers(20, 280, 200)
    covered = 0
    for seed, change in enumerate(changes.tolist()):
        began = onset(stream(change, 300, seed + 1), REFERENCE)
        covered += began is not None and began.earliest <= change <= began.latest
    assert covered / 200 == pytest.approx(0.9, abs=0.06)


def test_a_larger_change_is_told_more_closely() -> None:
    widths = []
    for after in (0.15, 0.6):
        found = [onset(stream(150, 300, seed, after=after), REFERENCE) for seed in range(20)]
        widths.append(np.mean([began.latest - began.earliest for began in found if began is not None]))
    assert widths[0] > 2 * widths[1]


def test_a_change_before_all_that_is_kept_begins_with_the_first_samples() -> None:
    began = onset(stream(0, 300, 1), REFERENCE)
    assert began is not None
    assert began.earliest <= 2


def test_nothing_began_where_nothing_changed_or_nothing_came() -> None:
    assert onset(stream(300, 300, 2), REFERENCE) is None
    assert onset(np.empty(0, np.int64), REFERENCE) is None


def test_sessions_widen_the_interval() -> None:
    alone, sessions = (onset(stream(150, 300, 3), REFERENCE, inflation=inflation) for inflation in (1.0, 4.0))
    assert alone is not None
    assert sessions is not None
    assert sessions.latest - sessions.earliest > alone.latest - alone.earliest
