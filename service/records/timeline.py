"""How a stream went: its evidence and effect over log time, ever coarser with age."""

from __future__ import annotations

from dataclasses import dataclass

from service.records.alarms import Measured

LEVELS: tuple[tuple[float, int], ...] = ((10.0, 120), (60.0, 180), (600.0, 216), (7_200.0, 360))
"""(seconds of a passage, how many of the newest are kept): twenty minutes by ten seconds, three hours by the minute, a day and a half by
ten minutes, a month by two hours."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A stream over a stretch of log time: all of it at the moment when its evidence was strongest, but for `samples`."""

    segment: str
    seconds: float
    """How long it is: one of `LEVELS`."""
    start: float
    samples: int
    evidence: float
    threshold: float
    effect: Measured
    reference_version: int

    @property
    def place(self) -> tuple[str, float, float]:
        """What tells it from the others of its monitor."""
        return self.segment, self.seconds, self.start
