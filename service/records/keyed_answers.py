"""What a change was answered whose sender may not have heard it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class KeyedAnswer:
    """What a request with an Idempotency-Key was answered, for whoever repeats it."""

    id: str
    """Made of who asked and the key."""
    request: str
    """A hash of what was asked."""
    state: str
    """The hour in which it was first asked, since the epoch: whole hours are let go of."""
    created: float
    status: int | None = None
    """None while it is being answered."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    monitor: str = ""
    version: int = 1
