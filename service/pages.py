"""Whole lists of the store, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any


def pages(read: Callable[..., Sequence[Any]], size: int) -> Iterator[Sequence[Any]]:
    """The pages of a list that is read by `after` and `limit`."""
    after: str | None = None
    while page := read(after=after, limit=size):
        yield page
        after = page[-1].id


def paged(read: Callable[..., Sequence[Any]], size: int = 200) -> Iterator[Any]:
    """All that it holds."""
    for page in pages(read, size):
        yield from page
