"""What people say the model fails on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.records.alarms import Step


class MarkState(StrEnum):
    MARKED = "marked"
    UNMARKED = "unmarked"


@dataclass(frozen=True, slots=True)
class FailureMark:
    """A person's word that the model's answer to a sample is wrong; `label` is the right one, where they named it."""

    id: str
    monitor: str
    sample: str
    state: MarkState
    label: str | None
    created: float
    history: tuple[Step, ...] = ()
    version: int = 0
