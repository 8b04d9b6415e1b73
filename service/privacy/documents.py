"""Samples inside documents: alarms, batches, deliveries, outbox items show some of them, wherever in their JSON that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import msgspec

_NAMES = ("id", "sample", "driftgate_id", "sample_id")
"""Fields by which documents name a sample."""

_LISTS = frozenset({"nearest", "copies", "unknown", "samples", "ids", "items"})
"""Fields that list samples by their ids alone."""

_SHOWS = frozenset({"text", "excerpt", "image", "html", "payload", "link"})
"""Fields that show one."""

_WORDS = frozenset({"terms"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Without:
    """Without one sample: what is about it goes out of its list, and so does its text wherever it stands."""

    names: frozenset[str]
    """Its id, and those under which annotators see it."""
    texts: frozenset[str] = frozenset()
    """That it was shown by; '' stands in their place."""

    def __call__(self, value: Any, among: bool = False) -> Any:
        """The document without it; `among`: of a list or mapping of ids."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {name: self(each, name in _LISTS) for name, each in value.items() if not (among and name in self.names)}
        if isinstance(value, list | tuple):
            return [self(each) for each in value if not self._is_it(each, among)]
        return value

    def _is_it(self, value: Any, among: bool) -> bool:
        if isinstance(value, Mapping):
            return any(value.get(name) in self.names for name in _NAMES if isinstance(value.get(name), str))
        return among and value in self.names

    def _text(self, value: str) -> str:
        return "" if value in self.texts else value


@dataclass(frozen=True, slots=True)
class Wordless:
    """Without what is shown of samples from before a time; those that have none are as old as the document."""

    before: float
    made: float

    def __call__(self, value: Any, time: float | None = None) -> Any:
        """The document with empty texts."""
        when = self.made if time is None else time
        if isinstance(value, Mapping):
            when = _seconds(value.get("time")) or when
            return {name: self._field(name, each, when) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self(each, when) for each in value]
        return value

    def _field(self, name: str, value: Any, time: float) -> Any:
        if time >= self.before:
            return self(value, time)
        if name in _SHOWS and isinstance(value, str):
            return ""
        return [] if name in _WORDS and isinstance(value, list | tuple) else self(value, time)


def _seconds(value: Any) -> float | None:
    """Of a time as documents write it."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and value > 0 else None


def changed(record: T, change: Callable[[Any], Any]) -> T | None:
    """The record with its document changed; None where nothing changes."""
    before = msgspec.json.decode(msgspec.json.encode(record))
    after = change(before)
    return None if after == before else msgspec.convert(after, type(record), strict=False)
