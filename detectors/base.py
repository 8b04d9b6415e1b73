"""What every sequential detector takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Effect:
    """How far the window lies from the reference, with its interval.

    The unit is the *equivalent share of new content*: 0.1 is as far as the traffic moves when a tenth of it comes from a topic
    that is as new as the reference's median cluster would be, had the reference never held it.
    """

    estimate: float
    low: float
    high: float


NO_EFFECT = Effect(0.0, 0.0, 1.0)
"""Before there is a window nothing is known."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a detector knows after a step.

    Attributes
    ----------
    alarm
        True once, at the crossing; `above` stays true while the evidence goes on exceeding the threshold.
    samples
        Since fit or reset.
    surprise, threshold
        Largest tail surprise, -log10 of a probability, over channels and window lengths; and the value it must exceed.
    effect
        Of the most surprising window, in its channel's norm.
    scale
        Samples in that window.
    channel
        The channel that surprised most.
    """

    alarm: bool
    above: bool
    samples: int
    surprise: float
    threshold: float
    effect: Effect
    scale: int
    channel: str


class Detector(Protocol):
    """A sequential detector: rows in, evidence out, silent for about its run length when nothing changes."""

    def update(self, batch: NDArray[np.float32]) -> Evidence:
        """(m, d) float32 rows, in the order in which they came."""

    def reset(self) -> None:
        """Forget the stream, keep the reference."""
