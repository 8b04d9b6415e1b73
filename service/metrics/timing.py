"""The store's time: every method is of a class of operations, and is measured as such."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from service.errors import ConflictError, NotFoundError
from service.ports import Store
from service.records import Event

P = ParamSpec("P")
T = TypeVar("T")

OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "assign": ("assign", "halt", "reset"),
    "commit": ("commit",),
    "decide": ("decide",),
    "entity": ("get", "find", "tally", "save", "drop"),
    "event": ("events", "record_event", "tell"),
    "label": ("add_labels", "labels", "answers", "known_truth", "judge", "judgements", "untold"),
    "lease": ("lease", "release"),
    "letter": ("add_dead_letters", "dead_letters", "dead_letter", "unsent", "unsent_count", "mark_sent"),
    "outbox": ("due", "settle", "reword", "outbox"),
    "pool": ("pool", "pool_begins", "pool_bytes", "reserve", "reserve_parts", "keep_reserved", "drop_reserved"),
    "read": (
        "positions",
        "siblings",
        "epochs",
        "entries",
        "log_start",
        "decided",
        "timeline",
        "undecided",
        "open_panes",
        "status",
        "samples_taken",
        "forgotten",
    ),
    "upkeep": ("tidy", "erase", "drop_dead_letters", "scrub"),
}
"""Which method of the store belongs to which class."""


class Seen(Protocol):
    """Told of an operation."""

    def __call__(self, operation: str, seconds: float, *, failed: bool) -> None: ...


_ANSWERS = (ConflictError, NotFoundError)
"""What a comparison that does not hold, or an id that is not there, is told with: no failure of the store."""


def timed(store: Store, seen: Seen, *, recorded: Callable[[Event], object] = lambda _: None) -> Store:
    """The store, each of whose operations is told of when it is over. `recorded`: told of events that went into a monitor's log."""
    measured = _Timed(store)
    for operation, methods in OPERATIONS.items():
        for method in methods:
            setattr(measured, method, _measured(getattr(store, method), operation, seen))
    record = measured.record_event

    def recording(event: Event) -> Event:
        kept = record(event)
        recorded(kept)
        return kept

    measured.record_event = recording
    return cast("Store", measured)


class _Timed:
    """A stand-in that has every method of the store's as an attribute, and leaves what no class has to the store."""

    record_event: Callable[[Event], Event]

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _measured(method: Callable[P, T], operation: str, seen: Seen) -> Callable[P, T]:
    @wraps(method)
    def measured(*args: P.args, **kwargs: P.kwargs) -> T:
        began, failed = time.perf_counter(), True
        try:
            answer = method(*args, **kwargs)
            failed = False
        except _ANSWERS:
            failed = False
            raise
        finally:
            seen(operation, time.perf_counter() - began, failed=failed)
        return answer

    return measured
