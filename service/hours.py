"""Whether the log tells at what hour its samples came: a clock that leapt ahead and stands still since does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from service.records import WHOLE, Pane

_LEAP = 3_600.0
"""Seconds between two panes of a partition from which the log's time has leapt."""


@dataclass(slots=True)
class LogTimes:
    """The log's time as each partition's panes have shown it, and how many samples came at no known hour.

    Without times of their own the samples of a file are at 0. One record from the future takes the log's running maximum with it, where
    it stays until time has caught up: panes that fill meanwhile came at no known hour. One that time closed shows that it moves.
    """

    last: dict[str, float] = field(default_factory=dict)
    leapt: dict[str, float] = field(default_factory=dict)
    untimed: int = 0

    def span(self, pane: Pane, *, full: bool) -> tuple[float, float]:
        """Of a pane that filled or that time closed; NaN where the hour is not known."""
        at, first, last = str(pane.key.partition), pane.first_time, pane.last_time
        if first - self.last.get(at, 0.0) > _LEAP:
            self.leapt[at] = first
        self.last[at] = max(last, self.last.get(at, 0.0))
        if last > self.leapt.get(at, 0.0) or (last > 0 and not full):
            return first, last
        if pane.key.segment == WHOLE:
            self.untimed += pane.summary.count
        return math.nan, math.nan
