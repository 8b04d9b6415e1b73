"""The threshold as a function of the run length, from simulated first passages."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

_UNCERTAIN_ROWS = 300.0
_LEAST_FITTED, _LEAST_SEEN = 12, 20
"""False alarms behind a point of the line's slope, and behind the point that it goes on from."""


def check_run_length(run_length: float) -> None:
    """ValueError for what is no number of samples."""
    if not 1 <= run_length < math.inf:
        raise ValueError(f"run_length is the samples between false alarms, at least 1 and finite, found {run_length}")


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdCurve:
    """Run length in samples as a function of the threshold, from simulated first passages: ascending thresholds (T,), base-10
    logarithms of run length (T,), and false alarms simulated at each (T,). Beyond the simulation a straight line in the
    logarithm (geometric run length)."""

    thresholds: NDArray[np.float64]
    log_run_length: NDArray[np.float64]
    alarms: NDArray[np.float64]
    _slope: float = field(init=False)
    """Of log10 run length over threshold, where 12 simulated false alarms to 70 % of the streams have crossed."""
    _seen: tuple[NDArray[np.float64], NDArray[np.float64]] = field(init=False)
    """(log10 run lengths, thresholds) with at least 20 simulated false alarms, the lengths ascending; the line goes on from the last."""

    def __post_init__(self) -> None:
        use = (self.alarms >= _LEAST_FITTED) & (self.alarms <= max(0.7 * self.alarms.max(), _LEAST_FITTED + 1))
        seen = self.alarms >= _LEAST_SEEN
        if use.sum() < 2 or not seen.any():
            raise ValueError(
                f"no threshold can be told: {use.sum()} of the {len(use)} simulated have {_LEAST_FITTED} false alarms or more and few "
                f"enough, at most {self.alarms.max():g} at one; 2 are needed, and one with {_LEAST_SEEN}: the reference's rows hardly vary"
            )
        slope = float(np.polyfit(self.thresholds[use], self.log_run_length[use], 1, w=np.sqrt(self.alarms[use]))[0])
        object.__setattr__(self, "_slope", max(slope, 0.3))
        object.__setattr__(self, "_seen", (np.maximum.accumulate(self.log_run_length[seen]), self.thresholds[seen]))

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
        """The curve with run lengths cut by 1 + 300 / rows, for a law known from so many independent calibration rows.

        Between references the true run length scatters around the simulated one, and the mean false-alarm rate is that of the worse
        ones. With a cut twice as strong the run length came out 1.36 × what was asked on the mean of five sets.
        """
        cut = math.log10(1 + _UNCERTAIN_ROWS / rows)
        return type(self)(self.thresholds, self.log_run_length - cut, self.alarms)

    def threshold(self, run_length: float) -> float:
        """The threshold whose run length is the one asked for, at least the lowest simulated; ascending in the run length."""
        check_run_length(run_length)
        asked, (lengths, thresholds) = math.log10(run_length), self._seen
        return float(np.interp(asked, lengths, thresholds) + max(asked - lengths[-1], 0.0) / self._slope)

    def run_length(self, threshold: float) -> float:
        """The run length of a threshold: the inverse of `threshold`."""
        lengths, thresholds = self._seen
        return float(10 ** (np.interp(threshold, thresholds, lengths) + max(threshold - thresholds[-1], 0.0) * self._slope))

    def uncertainty(self, threshold: float) -> float:
        """Relative standard error of the run length there, from the number of simulated false alarms."""
        alarms = float(np.interp(threshold, self.thresholds, self.alarms))
        return float(max(alarms, 1.0) ** -0.5)
