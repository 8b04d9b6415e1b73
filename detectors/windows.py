"""All recent window lengths at once, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SCALES = 22
"""Window lengths: 1, 2, 4, ... 2^21 test panes, each up to twice that. At 32 samples a pane the longest holds 7 days of up to 9 million
samples a day."""

STATE_BYTES = 131_072
"""Of a stream, at most."""

_NONE = np.zeros(0)


class Windows:
    """Sums over suffix windows of 2^k to 2^(k+1) - 1 panes, for k < K, in 2K accumulators.

    At each multiple of 2^k a fresh accumulator of scale k starts and the one before it becomes the window, so the window of
    scale k always begins at 2^k * (floor(t / 2^k) - 1): two staggered sums per scale are an exponential histogram without
    merges. State is 2 K (L + E) numbers for rows of length L and E exact columns, whatever the length of the stream; a step costs as
    many additions. A young stream holds only the scales that its panes fill and one more, whose two accumulators are still the sum of
    everything. Exact columns are for what is much the same in every pane, so that rounding would not average out: in single precision
    a count of 25 grows by 24 beyond 2^26.

    References
    ----------
    Datar, Gionis, Indyk and Motwani, "Maintaining Stream Statistics over Sliding Windows", SIAM Journal on Computing 2002.
    """

    def __init__(self, scales: int, length: int, *, exact: int = 0) -> None:
        self.panes = 0
        self.scales = scales
        """K"""
        self._sums = np.zeros((2, 1, length), np.float32)
        self._exact = np.zeros((2, 1, exact))
        self._starts = np.zeros((2, 1))

    def push(self, row: NDArray[np.float32], exact: NDArray[np.float64] = _NONE, *, span: tuple[float, float] = (0.0, 0.0)) -> None:
        """Adds a pane's row (L,) and its exact columns (E,); `span` is the time of its first and last sample."""
        if not self.panes:
            self._starts[:] = span[0]
        self.panes += 1
        self._sums += row
        self._exact += exact
        if self._held > self._sums.shape[1]:
            self._sums = np.concatenate([self._sums, self._sums[:, -1:]], axis=1)
            self._exact = np.concatenate([self._exact, self._exact[:, -1:]], axis=1)
            self._starts = np.concatenate([self._starts, self._starts[:, -1:]], axis=1)
        k = self.fresh
        for sums in (self._sums, self._exact):
            sums[0, :k] = sums[1, :k]
            sums[1, :k] = 0.0
        self._starts[0, :k] = self._starts[1, :k]
        self._starts[1, :k] = span[1]

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything, as arrays: 2 L float32 and 2 (E + 1) float64 for each scale held."""
        return {"panes": np.array(self.panes), "sums": self._sums, "exact": self._exact, "starts": self._starts}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes up where `state` was taken; ValueError, with nothing changed, for a state of another shape."""
        panes, sums, exact = int(state["panes"]), np.array(state["sums"], np.float32), np.array(state["exact"], np.float64)
        held = (2, min(panes.bit_length() + 1, self.scales))
        expected = ((*held, self._sums.shape[2]), (*held, self._exact.shape[2]))
        if (sums.shape, exact.shape) != expected:
            raise ValueError(f"state of shapes {sums.shape} and {exact.shape} does not fit windows of shapes {expected}")
        self.panes, self._sums, self._exact = panes, sums, exact
        self._starts = np.array(state["starts"], np.float64)

    @property
    def _held(self) -> int:
        """Scales that take memory."""
        return min(self.panes.bit_length() + 1, self.scales)

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
        return self._sums[0, : self.filled]

    @property
    def exact(self) -> NDArray[np.float64]:
        """(filled, E) sums of the exact columns."""
        return self._exact[0, : self.filled]

    @property
    def starts(self) -> NDArray[np.float64]:
        """(filled,) time at which each window began."""
        return self._starts[0, : self.filled]

    def lengths(self) -> NDArray[np.int64]:
        """(filled,) panes in each window."""
        return self.panes - window_starts(self.panes, self.filled)


def window_starts(panes: int, scales: int) -> NDArray[np.int64]:
    """(scales,) panes before the window of each scale, after `panes` panes."""
    step = 1 << np.arange(scales, dtype=np.int64)
    return step * (panes // step - 1)


def scales_within(room: int, length: int, *, beside: int = 0) -> int:
    """K, of windows over rows of length L that take at most `room` bytes when all are filled, with `beside` bytes more for each (16 for
    an exact column); at most 22."""
    return min(room // (2 * (4 * length + 8) + beside), SCALES)


def mean_lengths() -> NDArray[np.float64]:
    """(SCALES,) panes in the window of each scale, in the mean over time."""
    return np.asarray(1.5 * 2.0 ** np.arange(SCALES) - 0.5)
