"""A backfill as it is kept and shown: history that was read into a log and detectors of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from service.records.samples import Partition

_SILENT = 120.0
"""Seconds without a note after which one counts as interrupted."""


class BackfillState(StrEnum):
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is read of a partition: offsets from `first` to before `end`; `left_out` more belong to the live state."""

    partition: Partition
    first: int
    end: int
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Backfill:
    """A backfill as it is kept and shown. `since` and `until` are log times, in seconds; files are read whole."""

    id: str
    monitor: str
    source: str
    """The topic, or the files."""
    since: float | None
    until: float | None
    reference: int
    stretches: tuple[Stretch, ...]
    created: float
    updated: float
    state: BackfillState = BackfillState.RUNNING
    read: int = 0
    """Records, of those in `stretches`; offsets that the log had let go of meanwhile count too."""
    lost: int = 0
    samples: int = 0
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    """By reason, of the newest 10,000."""
    raised: int = 0
    """Alarms."""
    alarms: tuple[Mapping[str, Any], ...] = ()
    """The first 1,000, as `driftgate replay --report` gives them."""

    @property
    def planned(self) -> int | None:
        """Records to read; unknown for files."""
        return sum(stretch.end - stretch.first for stretch in self.stretches) if self.until is not None else None

    @property
    def left_out(self) -> int:
        """Offsets in the asked span that the live state holds, or will."""
        return sum(stretch.left_out for stretch in self.stretches)

    def seen(self, *, now: float) -> Backfill:
        """As it stands: one whose process was killed could not say so."""
        silent = self.state is BackfillState.RUNNING and now - self.updated > _SILENT
        return replace(self, state=BackfillState.INTERRUPTED) if silent else self
