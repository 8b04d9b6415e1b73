"""Who is acting, so that whatever they change says so without being told: set where a request or a command begins, seen by the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from service.records import Alarm, Event


@dataclass(slots=True, eq=False)
class Acting:
    """Somebody who may change something, for as long as one request or command lasts."""

    who: str
    way: str
    operation: Callable[[], str]
    """The route's or the command's name; a request learns it only on its way."""
    token: str = ""
    address: str = ""
    recorded: int = 0
    """Entries that were written of it."""
    owed: list[tuple[Alarm, Event]] = field(default_factory=list)
    """Acts on alarms, each with the alarm as it was: what they led to is decided elsewhere, and written down when the act is over."""


_acting: ContextVar[Acting | None] = ContextVar("acting", default=None)


def who_acts() -> Acting | None:
    """None where the program does something by itself."""
    return _acting.get()


@contextmanager
def acting(by: Acting) -> Iterator[Acting]:
    """What is changed inside was changed by them."""
    before = _acting.set(by)
    try:
        yield by
    finally:
        _acting.reset(before)
