"""The ids that a partition took last, so that a retried sample is counted once."""

from __future__ import annotations

from collections import deque
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

RECENT = 10_000
"""How many ids are remembered; a repeat from further back is taken as a new sample."""


class RecentIds:
    """A ring of 64-bit hashes with a set beside it. What `added` returns is what the store has yet to learn."""

    def __init__(self, hashes: NDArray[np.uint64], *, bound: int = RECENT) -> None:
        self._ring: deque[int] = deque(hashes[-bound:].tolist())
        self._known = set(self._ring)
        self._bound = bound
        self._added: list[int] = []

    def repeated(self, kind: str, monitor: str, id: str) -> bool:
        """True if it was taken recently; otherwise remembers it."""
        key = int.from_bytes(blake2b(f"{kind}\x1f{monitor}\x1f{id}".encode(), digest_size=8).digest(), "little")
        if key in self._known:
            return True
        if len(self._ring) == self._bound:
            self._known.discard(self._ring.popleft())
        self._ring.append(key)
        self._known.add(key)
        self._added.append(key)
        return False

    def added(self) -> NDArray[np.uint64]:
        """The hashes remembered since the last call, oldest first."""
        added, self._added = self._added, []
        return np.array(added, np.uint64)
