"""The store's time is told by classes of operations, of which every method has one."""

from __future__ import annotations

import inspect
from itertools import chain

import pytest

from service.adapters.sqlite import SqliteStore
from service.errors import NotFoundError, UnavailableError
from service.metrics import inventory, timed
from service.metrics.timing import OPERATIONS
from service.ports import Store
from service.records import Alarm, Event


def test_every_method_of_the_store_belongs_to_one_class() -> None:
    methods = [name for name, _ in inspect.getmembers(Store, inspect.isfunction) if not name.startswith("_")]
    known = list(chain.from_iterable(OPERATIONS.values()))
    assert sorted(known) == sorted(set(methods) - {"close"})
    assert {(operation,) for operation in OPERATIONS} == set(inventory.STORE_SECONDS.known)


def test_operations_are_told_with_their_time_and_whether_they_failed(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bool]] = []
    recorded: list[str] = []

    def see(operation: str, seconds: float, *, failed: bool) -> None:
        assert seconds >= 0
        seen.append((operation, failed))

    def away(_: str) -> int:
        raise UnavailableError("away")

    monkeypatch.setattr(store, "samples_taken", away)
    watched = timed(store, see, recorded=lambda event: recorded.append(event.id))
    assert watched.find(Alarm) == []
    with pytest.raises(NotFoundError):
        watched.get(Alarm, "none")
    with pytest.raises(UnavailableError):
        watched.samples_taken("chat")
    kept = watched.record_event(Event("e1", "chat", "settings", 0.0, "driftgate"))
    assert (kept.sequence, recorded) == (1, ["e1"])
    assert seen == [("entity", False), ("entity", False), ("read", True), ("event", False)]
