"""A lease is worth nothing once it may have run out, and its fence keeps a former holder from deciding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from service.adapters.sqlite import SqliteStore
from service.errors import ConflictError
from service.leading import Leading
from service.records import Decision


class Clock:
    """The store's and every process's, turned by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:", clock=clock)) as store:
        yield store


def test_a_standby_leads_once_the_lease_has_run_out(store: SqliteStore, clock: Clock) -> None:
    first, second = (Leading(store, "controller", holder, 6.0, clock=clock) for holder in ("a", "b"))
    first.step()
    second.step()
    assert first.fence() is not None
    assert second.fence() is None
    clock.seconds += 5
    second.step()
    assert second.fence() is None, "not renewed, but not over either"
    clock.seconds += 1.5
    assert first.fence() is None, "it stops by its own clock, whatever the store says"
    clock.seconds += 1
    second.step()
    taken, before = second.right(), 1
    assert taken.token > before
    with pytest.raises(ConflictError, match="its next holder decides"):
        first.right()


def test_it_is_renewed_before_it_runs_out(store: SqliteStore, clock: Clock) -> None:
    leading = Leading(store, "controller", "a", 6.0, clock=clock)
    fences = set()
    for _ in range(100):
        leading.step()
        fences.add(leading.right())
        clock.seconds += 0.5
    assert len(fences) == 1


def test_what_was_fenced_off_writes_nothing(store: SqliteStore, clock: Clock) -> None:
    first, second = (Leading(store, "controller", holder, 6.0, clock=clock) for holder in ("a", "b"))
    first.step()
    late = first.right()
    clock.seconds += 10
    second.step()
    with pytest.raises(ConflictError, match="only the lease's holder decides"):
        store.decide(Decision("chat", 0, 0, state=b"{}", fence=late))
    store.decide(Decision("chat", 0, 0, state=b"{}", fence=second.right()))


def test_one_that_gives_up_is_followed_at_once(store: SqliteStore, clock: Clock) -> None:
    first, second = (Leading(store, "controller", holder, 6.0, clock=clock) for holder in ("a", "b"))
    first.step()
    first.release()
    assert first.fence() is None
    second.step()
    assert second.fence() is not None
    first.release()
    clock.seconds += 3
    second.step()
    assert second.fence() is not None, "who has none gives none up"
