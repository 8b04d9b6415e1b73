from __future__ import annotations

from collections import deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.recent_ids import RecentIds

NOTHING = np.empty(0, np.uint64)


def test_remembers_what_was_taken_by_kind_monitor_and_id() -> None:
    recent = RecentIds(NOTHING)
    assert not recent.repeated("sample", "chat", "a")
    assert recent.repeated("sample", "chat", "a")
    assert not recent.repeated("request", "chat", "a")
    assert not recent.repeated("sample", "mail", "a")


def test_forgets_the_oldest_beyond_its_bound() -> None:
    recent = RecentIds(NOTHING, bound=2)
    for name in "abc":
        recent.repeated("sample", "chat", name)
    assert recent.repeated("sample", "chat", "b")
    assert not recent.repeated("sample", "chat", "a")


def test_a_stored_window_longer_than_the_bound_is_cut_to_its_newest() -> None:
    recent = RecentIds(NOTHING)
    for name in "abc":
        recent.repeated("sample", "chat", name)
    shorter = RecentIds(recent.added(), bound=2)
    assert shorter.repeated("sample", "chat", "c")
    assert not shorter.repeated("sample", "chat", "a")


@given(st.lists(st.sampled_from("abcdefgh")), st.integers(1, 5), st.integers(0, 40))
def test_any_restart_answers_as_one_that_never_stopped(ids: list[str], bound: int, stop: int) -> None:
    window: deque[str] = deque(maxlen=bound)
    stored = NOTHING
    recent = RecentIds(stored, bound=bound)
    for number, name in enumerate(ids):
        if number == stop:
            stored = np.concatenate([stored, recent.added()])
            recent = RecentIds(stored, bound=bound)
        assert recent.repeated("sample", "chat", name) == (name in window)
        if name not in window:
            window.append(name)
