"""How often somebody may ask: a bucket of tries for each, that fills again with time."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict

_MOST = 10_000


class Buckets:
    """One bucket per key, in bounded memory: of more than `most` keys those that were silent longest are forgotten, which fills theirs.

    `rate` tries a second come back to each, up to `burst`. Safe to use from several threads.
    """

    def __init__(self, rate: float, burst: float, *, most: int = _MOST) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._turn = threading.Lock()

    def take(self, key: str, now: float, cost: float = 1.0) -> float:
        """Takes `cost` tries out; the seconds to wait where that many are not in, and then none are taken. A cost above the burst is
        let through by a full bucket, which is then in debt."""
        with self._turn:
            left = self._filled(key, now)
            needed = min(cost, self._burst)
            if left < needed:
                return (needed - left) / self._rate
            self._keep(key, left - cost, now)
            return 0.0

    def wait(self, key: str, now: float) -> float:
        """The seconds until a try is in again; 0 where one is. Nothing is taken."""
        with self._turn:
            return max(0.0, (1.0 - self._filled(key, now)) / self._rate)

    def taken(self, key: str, now: float) -> float:
        """Tries that have not come back yet."""
        with self._turn:
            return self._burst - self._filled(key, now)

    def __len__(self) -> int:
        return len(self._left)

    def _filled(self, key: str, now: float) -> float:
        left, since = self._left.get(key, (self._burst, now))
        return min(self._burst, left + max(0.0, now - since) * self._rate)

    def _keep(self, key: str, left: float, now: float) -> None:
        self._left[key] = (left, now)
        self._left.move_to_end(key)
        if len(self._left) > self._most:
            self._left.popitem(last=False)


def retry_after(seconds: float) -> str:
    """As the header says it."""
    return str(max(1, math.ceil(seconds)))
