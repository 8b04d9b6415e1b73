"""How a partition's samples become panes: a function of the log alone, whatever the batches it was read in.

A pane closes after the record that fills it. Before a record's samples are added, every open pane of the partition whose time
limit the log's time (a running maximum) has passed closes, in order of monitor and segment. Nothing looks at a clock.

What could not be taken is counted in the pane of the undivided stream, which opens for it where none is: so what a monitor has lost is
a function of the log as well, and stands at the place where it was lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.summarizer import Described, Summarizer
from service.losses import is_input
from service.quality import Gauge
from service.records import OTHER, WHOLE, Pane, PaneKey, Partition


@dataclass(frozen=True, slots=True, eq=False)
class PaneRules:
    """How one monitor's samples are folded under one reference version."""

    monitor: str
    reference_version: int
    summarizer: Summarizer
    samples: int
    """Samples that fill a pane."""
    seconds: float
    """Log time that a pane may span."""
    tags: Mapping[str, Mapping[str, str]]
    """Declared tag → known value → segment."""
    gauge: Gauge | None = None
    """What measures the payloads, beside the embedder."""

    def segments(self, tags: Mapping[str, str]) -> list[str]:
        """The streams that a sample belongs to. A value the reference does not know, or none at all, counts under `__other__`."""
        segments = [WHOLE]
        for tag, known in self.tags.items():
            segments.append(known.get(tags.get(tag, OTHER)) or f"{tag}={OTHER}")
        return segments


class _OpenPane:
    """A pane that still takes samples: what earlier batches left in `summary`, this batch's as rows. Mutable, for the inner loop."""

    __slots__ = (
        "count", "expires", "first_time", "key", "last_offset", "last_time", "limit",
        "losses", "lost", "rows", "rules", "summary", "touched",
    )  # fmt: skip

    def __init__(self, key: PaneKey, rules: PaneRules, time: float) -> None:
        self.key = key
        self.rules = rules
        self.limit = rules.samples
        self.last_offset = key.first_offset
        self.count = 0
        self.summary = rules.summarizer.empty()
        self.rows: list[int] = []
        self.losses: dict[str, int] = {}
        self.lost = 0
        self.touched = False
        self.begin(time)

    def begin(self, time: float) -> None:
        """Time starts with the first sample: what was lost before it may be long ago."""
        self.first_time = self.last_time = time
        self.expires = time + self.rules.seconds

    @classmethod
    def of(cls, pane: Pane, rules: PaneRules) -> _OpenPane:
        """Takes a stored pane up again."""
        open_pane = cls(pane.key, rules, pane.first_time)
        open_pane.last_time, open_pane.last_offset = pane.last_time, pane.last_offset
        open_pane.count, open_pane.summary = pane.summary.count, pane.summary
        open_pane.losses, open_pane.lost = dict(pane.losses), sum(count for reason, count in pane.losses.items() if is_input(reason))
        return open_pane

    def lose(self, reason: str, samples: int) -> None:
        """Counts samples that are not there."""
        self.losses[reason] = self.losses.get(reason, 0) + samples
        self.lost += samples if is_input(reason) else 0
        self.touched = True

    def reduced(self, described: Mapping[str, Described]) -> Pane:
        """The pane with this batch's rows summed in."""
        if self.rows:
            new = self.rules.summarizer.summarize(described[self.key.monitor], _selector(self.rows))
            self.summary = self.summary.merge(new) if self.summary.count else new
            self.rows = []
        self.touched = False
        return Pane(self.key, self.last_offset, self.first_time, self.last_time, self.summary, losses=dict(self.losses))


class Folder:
    """The open panes of one partition.

    Per record: `advance`, `add` for each sample and `lose` for what is none, `settle`. Per batch: `collect`, with the batch's samples
    described, gives what closed and what was touched.
    """

    def __init__(self, partition: Partition, *, time: float, offset: int = 0) -> None:
        self.time = time
        self.offset = offset
        self._partition = partition
        self._open: dict[tuple[str, str], _OpenPane] = {}
        self._full: dict[tuple[str, str], _OpenPane] = {}
        self._closed: list[_OpenPane] = []
        self._left: list[Pane] = []
        self._next_expiry = -math.inf

    def restore(self, pane: Pane, rules: PaneRules | None) -> None:
        """Takes a pane up that an earlier worker left open; under another reference, or none, it closes as it stands."""
        if rules is not None and rules.reference_version == pane.key.reference_version:
            self._open[pane.key.monitor, pane.key.segment] = _OpenPane.of(pane, rules)
        else:
            self._left.append(pane)

    def advance(self, offset: int, time: float) -> None:
        """Moves to the next record: closes what its time passes."""
        self.offset = offset
        self.time = max(self.time, time)  # in this order a NaN changes nothing
        if self.time > self._next_expiry:
            self._close_late()

    def add(self, rules: PaneRules, tags: Mapping[str, str], row: int) -> None:
        """Adds a sample of the record; `row` is its place among the monitor's samples of this batch."""
        for segment in rules.segments(tags):
            at = (rules.monitor, segment)
            pane = self._open.get(at)
            if pane is None:
                pane = self._start(rules, segment)
            elif not pane.count:
                pane.begin(self.time)
                self._next_expiry = min(self._next_expiry, pane.expires)
            pane.rows.append(row)
            pane.count += 1
            pane.last_offset = self.offset
            pane.last_time = self.time
            if pane.count >= pane.limit:
                self._full[at] = pane

    def lose(self, rules: PaneRules, reason: str, samples: int = 1) -> None:
        """Counts samples of the record that could not be taken. As many as fill a pane close it: time may stand still."""
        at = (rules.monitor, WHOLE)
        pane = self._open.get(at) or self._start(rules, WHOLE)
        pane.lose(reason, samples)
        pane.last_offset, pane.last_time = self.offset, self.time
        if pane.lost >= pane.limit:
            self._full[at] = pane

    def settle(self) -> None:
        """Ends the record: closes what it filled."""
        if self._full:
            self._close(self._full)
            self._full = {}

    def close(self, monitor: str | None = None) -> None:
        """Closes one monitor's open panes (its reference is replaced), or all of them (the log has ended)."""
        self.settle()  # what was given up just before may have filled some
        self._close([at for at in self._open if monitor is None or at[0] == monitor])

    def collect(self, described: Mapping[str, Described]) -> tuple[tuple[Pane, ...], tuple[Pane, ...]]:
        """(closed, touched) since the last call; `described` holds the batch's samples of each monitor, in the order of their rows."""
        closed = [*self._left, *(pane.reduced(described) for pane in self._closed)]
        self._left, self._closed = [], []
        return tuple(closed), tuple(pane.reduced(described) for pane in self._open.values() if pane.rows or pane.touched)

    def _start(self, rules: PaneRules, segment: str) -> _OpenPane:
        key = PaneKey(rules.monitor, segment, rules.reference_version, self._partition, self.offset)
        pane = self._open[rules.monitor, segment] = _OpenPane(key, rules, self.time)
        self._next_expiry = min(self._next_expiry, pane.expires)
        return pane

    def _close_late(self) -> None:
        """One that opened for what was lost just before this record stays for it: no two panes have one key."""
        self._close([at for at, pane in self._open.items() if self.time > pane.expires and pane.key.first_offset != self.offset])
        self._next_expiry = min((pane.expires for pane in self._open.values()), default=math.inf)

    def _close(self, which: Iterable[tuple[str, str]]) -> None:
        self._closed.extend(self._open.pop(at) for at in sorted(which))


def _selector(rows: list[int]) -> slice | NDArray[np.int64]:
    """Neighbouring rows need no copy."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return slice(rows[0], rows[-1] + 1)
    return np.array(rows, np.int64)
