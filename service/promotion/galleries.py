"""Samples of a verification to look at: both models answer them, which takes from seconds to minutes, in nobody's way."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from service.errors import ConflictError
from service.patience import Patience
from service.records import RefreshCycle
from service.reference import Progress
from service.report.parts import Section
from service.verifying.gallery import KINDS
from service.verifying.report import Verified, sections

_KEPT = 4
_SECONDS = 3_600.0
"""For how long samples are held here, after which nothing of them is."""

log = structlog.get_logger()


class Report(Protocol):
    """Whoever lets both models answer."""

    def __call__(self, cycle_id: str, *, now: float, progress: Progress) -> Verified: ...


@dataclass(frozen=True, slots=True)
class Hanging:
    """The gallery that is being made."""

    cycle: str
    step: str = ""
    done: float = 0.0
    """Share of the step."""


@dataclass(frozen=True, slots=True)
class _Gallery:
    of: str
    made: float
    sections: tuple[Section, ...]


class Galleries:
    """Makes one at a time, in a thread of its own; those made last are held for a while."""

    def __init__(self, report: Report) -> None:
        self.under_way: Hanging | None = None
        self.failures: dict[str, str] = {}
        """Why a cycle's last one could not be made."""
        self._report = report
        self._made: dict[str, _Gallery] = {}
        self._free = threading.Lock()

    def of(self, cycle: RefreshCycle, *, now: float) -> Sequence[Section]:
        """What is mended, still wrong and newly wrong by the verdict that stands; nothing where it was not asked for."""
        for name in [name for name, each in self._made.copy().items() if now - each.made > _SECONDS]:
            self._made.pop(name, None)
        found = self._made.get(cycle.id)
        return found.sections if found is not None and found.of == _verdict(cycle) else ()

    def begin(self, cycle: RefreshCycle, *, now: float) -> None:
        """Returns at once; ConflictError while one is being made."""
        if not self._free.acquire(blocking=False):
            raise ConflictError(
                "the samples of a verification are being answered by both models, and that is done for one at a time; wait for it"
            )
        self.under_way = Hanging(cycle.id)
        threading.Thread(target=self._begun, args=(cycle, now), name="gallery", daemon=True).start()

    def _begun(self, cycle: RefreshCycle, now: float) -> None:
        attempt = Patience(shortest=0.0)
        try:
            attempt.attempt(partial(self._make, cycle, now), cycle=cycle.id, thread="gallery")
            if attempt.reason:
                self.failures[cycle.id] = attempt.reason
        finally:
            self.under_way = None
            self._free.release()

    def _make(self, cycle: RefreshCycle, now: float) -> int:
        def told(step: str, done: float) -> None:
            self.under_way = Hanging(cycle.id, step, done)

        found = tuple(each for each in sections(self._report(cycle.id, now=now, progress=told)) if each.name in KINDS)
        self.failures.pop(cycle.id, None)
        while len(self._made) >= _KEPT:
            del self._made[next(iter(self._made))]
        self._made[cycle.id] = _Gallery(_verdict(cycle), now, found)
        log.info("gallery made", cycle=cycle.id)
        return 1


def _verdict(cycle: RefreshCycle) -> str:
    return f"{cycle.state} {(cycle.verification or {}).get('basis')}"
