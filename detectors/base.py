"""What every sequential detector takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
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


def _unknown() -> tuple[Effect, str]:
    return NO_EFFECT, ""


@dataclass(frozen=True)
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
    scale
        Samples in the most surprising window.
    channel
        The channel that surprised most.
    """

    alarm: bool
    above: bool
    samples: int
    surprise: float
    threshold: float
    scale: int
    channel: str
    _measure: Callable[[], tuple[Effect, str]] = field(default=_unknown, compare=False, repr=False)
    """Gives `effect` and `effect_channel`, which most steps are never asked for."""

    @property
    def effect(self) -> Effect:
        """How far the most surprising window lies from the reference, in the channel in which the least that is sure is most."""
        return self._measured[0]

    @property
    def effect_channel(self) -> str:
        """The channel that `effect` is measured in. New content shows in all of them, a changed mix hardly in a whitened norm."""
        return self._measured[1] or self.channel

    @cached_property
    def _measured(self) -> tuple[Effect, str]:
        return self._measure()


class Detector(Protocol):
    """A sequential detector: rows in, evidence out, silent for about its run length when nothing changes."""

    def update(self, batch: NDArray[np.float32]) -> Evidence:
        """(m, d) float32 rows, in the order in which they came."""

    def reset(self) -> None:
        """Forget the stream, keep the reference."""
