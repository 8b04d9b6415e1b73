"""Whether the log tells at what hour its samples came: a clock that leapt ahead and stands still since does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from service.records import WHOLE, Pane

_LEAP = 3_600.0
"""Seconds between two panes of a partition from which the log's time has leapt."""

_LONGER = 4.0
_LONGEST = 8 * 86_400.0
"""A leap that is believed is at most so many times as long as the one before it, and a week and a day at most."""

_MEMORY = 1 / 64
"""What a pane weighs in the share of samples at no known hour."""


@dataclass(slots=True)
class _Clock:
    """A partition's time as its panes have shown it."""

    last: float = 0.0
    leapt: float = 0.0
    """Where the last leap went to, 0 once it is believed."""
    step: float = 0.0
    """Seconds of the last leap."""
    usual: float = 0.0
    """Seconds of the leap before it, which time has moved on from."""

    def move(self, first: float, last: float) -> None:
        """On to a pane. Batches come by leaps: one about as long as the one before, which time has moved on from, is to a known hour."""
        step = first - self.last
        if step > _LEAP:
            self.usual = self.step
            self.step = step if self.last else 0.0
            believed = self.step <= min(_LONGER * self.usual, _LONGEST)
            self.leapt = 0.0 if believed and self.usual else first
        self.last = max(last, self.last)


@dataclass(slots=True)
class LogTimes:
    """The log's time in each partition, and how many samples came at no known hour.

    Without times of their own the samples of a file are at 0. One record from the future takes the log's running maximum with it, where
    it stays until time has caught up: panes that fill meanwhile came at no known hour. One that time closed shows that it moves.
    """

    clocks: dict[str, _Clock] = field(default_factory=dict)
    untimed: int = 0
    recent: float = 0.0
    """Share of the last panes that came at no known hour, of the whole stream."""

    def span(self, pane: Pane, *, full: bool) -> tuple[float, float]:
        """Of a pane that filled or that time closed; NaN where the hour is not known."""
        clock, last = self.clocks.setdefault(str(pane.key.partition), _Clock()), pane.last_time
        clock.move(pane.first_time, last)
        known = last > clock.leapt or (last > 0 and not full)
        if pane.key.segment == WHOLE:
            self.recent += _MEMORY * ((not known) - self.recent)
            self.untimed += 0 if known else pane.summary.count
        return (pane.first_time, last) if known else (math.nan, math.nan)

    @property
    def blind(self) -> bool:
        """Most samples of late came at no known hour: a reference that goes by the hour weighs none of them."""
        return self.recent > 0.5
