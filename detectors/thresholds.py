"""The threshold as a function of the run length, from simulated first passages."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

_UNCERTAIN_ROWS = 600.0


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdCurve:
    """Run length in samples as a function of the threshold, from simulated first passages: ascending thresholds (T,), base-10
    logarithms of run length (T,), and false alarms simulated at each (T,). Beyond the simulation a straight line in the
    logarithm (geometric run length)."""

    thresholds: NDArray[np.float64]
    log_run_length: NDArray[np.float64]
    alarms: NDArray[np.float64]
    _tail: tuple[float, float] = field(init=False)
    """Slope and offset of log10 run length over threshold, where 12 to 70 % of the streams have crossed."""
    _seen: tuple[NDArray[np.float64], NDArray[np.float64]] = field(init=False)
    """(log10 run lengths, thresholds) with at least 12 simulated false alarms."""

    def __post_init__(self) -> None:
        use = (self.alarms >= 12) & (self.alarms <= max(0.7 * self.alarms.max(), 13))
        slope, offset = np.polyfit(self.thresholds[use], self.log_run_length[use], 1, w=np.sqrt(self.alarms[use]))
        object.__setattr__(self, "_tail", (max(float(slope), 0.3), float(offset)))
        enough = self.alarms >= 12
        object.__setattr__(self, "_seen", (np.maximum.accumulate(self.log_run_length[enough]), self.thresholds[enough]))

    def to_array(self) -> NDArray[np.float64]:
        """(3, T): what makes the curve anew."""
        return np.stack([self.thresholds, self.log_run_length, self.alarms])

    @classmethod
    def simulate(cls, peaks: NDArray[np.float64], pane: int) -> Self:
        """From (streams, panes) largest surprise at each pane: run length = samples until the first crossing ÷ streams that cross."""
        highest = np.maximum.accumulate(peaks, axis=1)
        thresholds = np.arange(0.5, 9.0, 0.02)
        lengths, alarms = [], []
        for h in thresholds:
            below = (highest < h).sum(1)
            hits = int((below < peaks.shape[1]).sum())
            lengths.append((np.minimum(below + 1, peaks.shape[1]).sum()) * pane / max(hits, 0.5))
            alarms.append(hits)
        return cls(thresholds, np.log10(lengths), np.array(alarms, np.float64))

    def carrying(self, rows: float) -> Self:
        """The curve with run lengths cut by 1 + 600 / rows, for a law known from so many independent calibration rows.

        Between references the true run length scatters around the simulated one, and the mean false-alarm rate is that of the worse
        ones: without the cut 2,000 calibration rows gave 0.7 to 0.85 of the run length asked for.
        """
        cut = math.log10(1 + _UNCERTAIN_ROWS / rows)
        return type(self)(self.thresholds, self.log_run_length - cut, self.alarms)

    def threshold(self, run_length: float) -> float:
        """The threshold whose run length is the one asked for."""
        asked, (slope, offset), (lengths, thresholds) = math.log10(run_length), self._tail, self._seen
        if asked >= lengths[-1]:
            return (asked - offset) / slope
        return float(np.interp(asked, lengths, thresholds))

    def run_length(self, threshold: float) -> float:
        """The run length of a threshold."""
        slope, offset = self._tail
        if threshold > self._seen[1][-1]:
            return float(10 ** (offset + slope * threshold))
        return float(10 ** np.interp(threshold, self.thresholds, self.log_run_length))

    def uncertainty(self, threshold: float) -> float:
        """Relative standard error of the run length there, from the number of simulated false alarms."""
        alarms = float(np.interp(threshold, self.thresholds, self.alarms))
        return float(max(alarms, 1.0) ** -0.5)
