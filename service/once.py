"""Embedders take seconds to load and hundreds of megabytes to keep: each is loaded once, and those that went out of force go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Once(Generic[Key, Value]):
    """Calls `make` once per key, however many threads ask at once, and keeps the `keep` results that were asked for last.

    Only those who ask for the same key wait for it. A failure is told to all who waited, and not kept.
    """

    def __init__(self, make: Callable[[Key], Value], *, keep: int) -> None:
        self._make = make
        self.keep = keep
        self._lock = threading.Lock()
        self._kept: dict[Key, Future[Value]] = {}

    def __call__(self, key: Key) -> Value:
        """The key's value."""
        with self._lock:
            found = self._kept.pop(key, None)
            future = self._kept[key] = found or Future()
            while len(self._kept) > self.keep:
                del self._kept[next(iter(self._kept))]
        if found is None:
            self._fill(key, future)
        return future.result()

    def _fill(self, key: Key, future: Future[Value]) -> None:
        try:
            future.set_result(self._make(key))
        except BaseException as error:
            with self._lock:
                if self._kept.get(key) is future:
                    del self._kept[key]
            future.set_exception(error)
            raise
