"""The timeline of a monitor's streams as decisions write it: which passages a pane belongs to, and what it adds to them. Pure.

What is kept follows from the log alone: passages add up whatever the batches that panes are decided in, and of every level the newest
stay, so that a replay, a restart or another leader comes to the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from service.episodes import Stream, measured
from service.records import LEVELS, Measured, Pane, Passage

_UNKNOWN = Measured(math.nan, math.nan, math.nan)
_REMEMBERED = 4
"""Passages of a stream and level whose strongest evidence is kept in mind."""


class Timeline:
    """What has been noted since the last decision was written."""

    def __init__(self) -> None:
        self._noted: dict[tuple[str, float, float], Passage] = {}
        self._strongest: dict[tuple[str, float, float], float] = {}
        """Of passages that are written already: an effect takes longer to measure than a pane takes to weigh."""

    def note(self, stream: Stream, pane: Pane, version: int) -> None:
        """A pane that the stream has just taken."""
        evidence = stream.evidence
        if not math.isfinite(evidence.surprise) or not evidence.samples:
            return
        starts = [(seconds, pane.last_time // seconds * seconds) for seconds, _ in LEVELS]
        known = [self._strongest.get((stream.segment, *at), -math.inf) for at in starts]
        effect = measured(evidence.effect) if evidence.surprise > min(known) else _UNKNOWN
        for seconds, start in starts:
            self._add(Passage(stream.segment, seconds, start, pane.summary.count, evidence.surprise, evidence.threshold, effect, version))

    def take(self) -> Sequence[Passage]:
        """What has been noted; from here on it counts as written."""
        noted, self._noted = tuple(self._noted.values()), {}
        return noted

    def _add(self, new: Passage) -> None:
        place = new.place
        stands = self._noted.get(place)
        self._noted[place] = new if stands is None else merged(stands, new)
        if new.evidence > self._strongest.get(place, -math.inf):
            self._strongest[place] = new.evidence
            self._forget()

    def _forget(self) -> None:
        streams = len({segment for segment, _, _ in self._strongest})
        while len(self._strongest) > _REMEMBERED * len(LEVELS) * streams:
            del self._strongest[next(iter(self._strongest))]


def merged(one: Passage, later: Passage) -> Passage:
    """Two parts of the same passage together, as stores put them together too."""
    stronger = later if later.evidence > one.evidence else one
    return replace(stronger, samples=one.samples + later.samples)
