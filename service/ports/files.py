"""What is too large for the store, or has left it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol


class Blobs(Protocol):
    """Bytes by their content's address, under a cap."""

    def put(self, content: bytes) -> str | None:
        """The address; None where the cap is reached: then it is counted, and the sample goes on without its payload."""

    def get(self, address: str) -> bytes | None:
        """None where it is gone or damaged."""

    def discard(self, addresses: Collection[str]) -> None:
        """Removes these at once: what they hold must not be there any more."""

    def collect(self, referred: Collection[str], *, now: float) -> int:
        """Removes what nothing refers to and is not brand-new, oldest first; returns how many bytes went."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one checkpoint covers of a monitor's log: panes with numbers above `after` up to `until`; those between are events."""

    monitor: str
    after: int
    until: int
    time: float
    """Of its newest pane, by the log."""
    weight: int
    """How many of the retention's bytes it takes."""
    panes: Sequence[tuple[int, bytes]]
    """(sequence number, encoded pane), in order."""


class Archive(Protocol):
    """Decided panes that a store has let go of, under a retention of their own."""

    def append(self, stretch: Stretch, checkpoint: bytes) -> None:
        """Durable when it returns; ArtefactError where it can't be, and nothing has changed. `checkpoint` is the one at `until`."""

    def read(self, monitor: str, after: int, until: int, limit: int) -> Sequence[tuple[int, bytes]]:
        """Panes with numbers above `after` up to `until`, in order; fewer than `limit` only where none is left."""

    def start(self, monitor: str, until: int) -> tuple[int, bytes | None] | None:
        """The number before the first pane from which on all are kept up to `until`, and the checkpoint there; None while there is none."""
