"""Hours of the log: known while its clock moves, also by leaps; not where one record took it into the future."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

from service.hours import LogTimes
from service.records import WHOLE, Pane, PaneKey, Partition

HOUR, DAY = 3_600.0, 86_400.0
START = 1_772_366_400.0


def pane(first: float, last: float, *, count: int = 16) -> Pane:
    key = PaneKey("chat", WHOLE, 1, Partition("ingest", "t1"), 0)
    return Pane(key, 15, first, last, cast("Any", SimpleNamespace(count=count)), 1)


def known(times: LogTimes, first: float, last: float | None = None, *, full: bool = True) -> bool:
    return not math.isnan(times.span(pane(first, first if last is None else last), full=full)[0])


def test_samples_without_times_came_at_no_known_hour() -> None:
    times = LogTimes()
    assert not any(known(times, 0.0) for _ in range(100))
    assert (times.untimed, times.blind) == (1_600, True)


def test_a_clock_that_moves_is_known() -> None:
    times = LogTimes()
    assert all(known(times, START + 60 * n, START + 60 * n + 59) for n in range(100))
    assert (times.untimed, times.blind) == (0, False)


def test_a_record_from_the_future_takes_the_hour_with_it_until_time_has_caught_up() -> None:
    for ahead in (2 * HOUR, 3_650 * DAY):
        times = LogTimes()
        assert all(known(times, START + 60 * n, START + 60 * n + 59) for n in range(100))
        future = START + ahead + DAY
        assert not any(known(times, future) for _ in range(200))
        assert times.blind
        assert known(times, future, future + 60)


def test_batches_that_come_by_leaps_are_weighed_from_the_third_on() -> None:
    """Each arrives within one moment, days apart; the first shows no hour, the second that time moves by leaps."""
    times = LogTimes()
    found = [[known(times, START + day * DAY) for _ in range(10)] for day in (0, 1, 2, 3, 6, 7, 8, 9)]
    assert [all(batch) for batch in found] == [False, False, *[True] * 6]
    assert times.untimed == 320
    assert not times.blind


def test_a_leap_far_beyond_the_usual_one_is_not_believed_even_of_batches() -> None:
    times = LogTimes()
    for day in range(5):
        known(times, START + day * DAY)
    assert not known(times, START + 400 * DAY)
    assert not known(times, START + 900 * DAY), "nor the next, however long the one before"
