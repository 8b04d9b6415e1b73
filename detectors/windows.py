"""All recent window lengths at once, in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SCALES = 22
"""Window lengths: 1, 2, 4, ... 2^21 test panes, each up to twice that. At 32 samples a pane the longest holds 7 days of up to 9 million
samples a day."""


class Windows:
    """Sums over suffix windows of 2^k to 2^(k+1) - 1 panes, for k < K, in 2K accumulators.

    At each multiple of 2^k a fresh accumulator of scale k starts and the one before it becomes the window, so the window of
    scale k always begins at 2^k * (floor(t / 2^k) - 1): two staggered sums per scale are an exponential histogram without
    merges. State is 2 K L numbers for rows of length L, whatever the length of the stream; a step costs as many additions.

    References
    ----------
    Datar, Gionis, Indyk and Motwani, "Maintaining Stream Statistics over Sliding Windows", SIAM Journal on Computing 2002.
    """

    def __init__(self, scales: int, length: int) -> None:
        self.panes = 0
        self.sums = np.zeros((2, scales, length), np.float32)
        self.starts = np.zeros((2, scales))
        """Time at which each accumulator started."""

    @property
    def scales(self) -> int:
        """K"""
        return int(self.sums.shape[1])

    def push(self, row: NDArray[np.float32], *, span: tuple[float, float] = (0.0, 0.0)) -> None:
        """Adds a pane's row (L,); `span` is the time of its first and last sample."""
        if not self.panes:
            self.starts[:] = span[0]
        self.panes += 1
        self.sums += row
        k = self.fresh
        self.sums[0, :k] = self.sums[1, :k]
        self.sums[1, :k] = 0.0
        self.starts[0, :k] = self.starts[1, :k]
        self.starts[1, :k] = span[1]

    @property
    def fresh(self) -> int:
        """Scales, from the shortest, whose younger accumulator holds nothing yet."""
        return min((self.panes & -self.panes).bit_length(), self.scales) if self.panes else self.scales

    @property
    def filled(self) -> int:
        """Scales whose window exists: those with 2^k at most the panes seen."""
        return min(self.panes.bit_length(), self.scales)

    @property
    def latest(self) -> NDArray[np.float32]:
        """(filled, L) window sums, shortest first."""
        return self.sums[0, : self.filled]

    def lengths(self) -> NDArray[np.int64]:
        """(filled,) panes in each window."""
        return self.panes - window_starts(self.panes, self.filled)


def window_starts(panes: int, scales: int) -> NDArray[np.int64]:
    """(scales,) panes before the window of each scale, after `panes` panes."""
    step = 1 << np.arange(scales, dtype=np.int64)
    return step * (panes // step - 1)
