"""What is to go, and what has gone: of a person who asks for it, or with age."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from service.records.alarms import Step
from service.records.ids import stable_id


@dataclass(frozen=True, slots=True)
class Doomed:
    """Which kept samples of a monitor go: those named, and those of a time before `before`."""

    monitor: str
    samples: frozenset[str] = frozenset()
    before: float = -math.inf

    def covers(self, sample: str, time: float) -> bool:
        """Whether one is among them."""
        return time < self.before or sample in self.samples


class ErasureState(StrEnum):
    PENDING = "pending"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A sample that is to be forgotten, and is not taken again. Its id follows from the sample's, which stands here only until the work
    is done."""

    id: str
    monitor: str
    state: ErasureState
    created: float
    sample: str = ""
    erased: Mapping[str, int] = field(default_factory=dict)
    """Where it was → how often."""
    history: tuple[Step, ...] = ()
    version: int = 0


def forgotten_id(monitor: str, sample: str) -> str:
    """By which a forgotten sample is known again, and from which its id can't be read."""
    return stable_id("forgotten", monitor, sample)
