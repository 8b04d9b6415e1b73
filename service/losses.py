"""What a monitor's input has lost: the names under which panes count it, and how much of any span of the recent past it was."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from service.records import Pane, Rejected

LATE = "late"
"""Samples more than `LATE_SECONDS` behind the log: counted, and taken all the same."""
LATE_SECONDS = 3_600.0

RETENTION = "retention"
"""Records that the log let go of before they were read."""

UNMATCHED = "unmatched_response"
"""Answers that no request waited for."""

RESPONSE = "RESPONSE"
"""The stage of a dead letter that was an answer: the input lost nothing by it."""

_UNANSWERED, _UNREADABLE = "unanswered: ", "response: "
_COARSE = 4
"""A span that is kept together holds at most one in so many of the samples that came after it."""


def unanswered(why: str) -> str:
    """The name of samples whose answer did not come."""
    return _UNANSWERED + why


def of_letter(rejected: Rejected) -> str:
    """The name of a dead letter's loss."""
    if rejected.reason == UNMATCHED:
        return UNMATCHED
    return _UNREADABLE + rejected.reason if rejected.stage == RESPONSE else rejected.reason


def is_input(reason: str) -> bool:
    """Whether a sample is missing, and not only its answer or its punctuality."""
    return reason not in {LATE, UNMATCHED} and not reason.startswith((_UNANSWERED, _UNREADABLE))


@dataclass(frozen=True, slots=True)
class Loss:
    """What of a monitor's whole input could not be used over some time."""

    reasons: Mapping[str, int] = field(default_factory=dict)
    """Reason → samples."""
    taken: int = 0
    """Samples that were taken."""
    start: float = 0.0
    """Log time from which on all of it came."""
    before: float = 0.0
    """Share that was lost before, 0 where that is not known."""

    @property
    def lost(self) -> int:
        """Samples that came, or should have come, and were not taken."""
        return sum(count for reason, count in self.reasons.items() if is_input(reason))

    @property
    def items(self) -> int:
        """All samples, taken or not."""
        return self.taken + self.lost

    @property
    def share(self) -> float:
        """Of the samples, what was lost; 0 to 1."""
        return self.lost / max(self.items, 1)

    @property
    def unanswered(self) -> int:
        """Samples that were taken without the answer that they should have."""
        return sum(count for reason, count in self.reasons.items() if reason.startswith(_UNANSWERED))

    @property
    def blank(self) -> float:
        """Of the samples, those without an answer: lost ones have none either. 0 to 1."""
        return min((self.lost + self.unanswered) / max(self.items, 1), 1.0)

    @property
    def unmatched(self) -> float:
        """Answers that no request waited for, as a share of the samples taken; 0 to 1."""
        return min(self.reasons.get(UNMATCHED, 0) / max(self.taken, 1), 1.0)

    def worst(self, *, answers: bool = False) -> str:
        """The reason, or why answers are missing, that counts most; of equal ones the first by name."""
        known = {
            reason: count for reason, count in self.reasons.items() if is_input(reason) or (answers and reason.startswith(_UNANSWERED))
        }
        return min(known, key=lambda reason: (-known[reason], reason), default="").removeprefix(_UNANSWERED)


@dataclass(slots=True)
class Span:
    """Neighbouring panes, counted together."""

    start: float
    end: float
    taken: int
    lost: int
    reasons: dict[str, int]

    @property
    def size(self) -> int:
        """What it weighs when spans are merged."""
        return self.taken + self.lost

    def merge(self, other: Span) -> Span:
        """Both together."""
        reasons = dict(Counter(self.reasons) + Counter(other.reasons)) if self.reasons or other.reasons else {}
        return Span(self.start, other.end, self.taken + other.taken, self.lost + other.lost, reasons)


@dataclass(slots=True)
class Losses:
    """Every pane of the whole stream, the older the coarser: a hundred spans hold a million samples, a span reaches too far back by at
    most a quarter. Time is the running maximum of the panes'."""

    spans: list[Span] = field(default_factory=list)
    total: dict[str, int] = field(default_factory=dict)
    """Reason → samples, since the monitor began."""

    def add(self, pane: Pane) -> None:
        """The next pane of the log."""
        for reason, count in pane.losses.items():
            self.total[reason] = self.total.get(reason, 0) + count
        lost = sum(count for reason, count in pane.losses.items() if is_input(reason))
        since = self.now
        self.spans.append(Span(max(pane.first_time, since), max(pane.last_time, since), pane.summary.count, lost, dict(pane.losses)))
        self._merge_old()

    @property
    def now(self) -> float:
        """The log's time."""
        return self.spans[-1].end if self.spans else -math.inf

    def over(self, since: float, *, samples: float = math.inf) -> Loss:
        """What came after that moment, at most so many samples taken: where log time stands still they alone say how far back."""
        at, taken = len(self.spans), 0
        while at and taken < samples and (self.spans[at - 1].end > since or self.spans[at - 1].end == self.now):
            at -= 1
            taken += self.spans[at].taken
        return self._loss(at)

    def latest(self, items: int, seconds: float) -> Loss | None:
        """The last so many samples, lost ones included, and what came in the seconds up to now; None before there were so many."""
        at, size = len(self.spans), 0
        timed = self.now > 0  # samples without times are at 0
        while at and (size < items or (timed and self.spans[at - 1].end > self.now - seconds)):
            at -= 1
            size += self.spans[at].size
        return self._loss(at) if size >= items else None

    def _loss(self, at: int) -> Loss:
        """Of the spans from there on."""
        within, earlier = self.spans[at:], self.spans[:at]
        reasons: dict[str, int] = {}
        for span in within:
            for reason, count in span.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + count
        lost_before = sum(span.lost for span in earlier)
        before = lost_before / max(lost_before + sum(span.taken for span in earlier), 1)
        return Loss(reasons, sum(span.taken for span in within), within[0].start if within else self.now, before)

    def _merge_old(self) -> None:
        newer, at = 0, len(self.spans) - 1
        while at > 0:
            pair = self.spans[at - 1].size + self.spans[at].size
            if pair * _COARSE <= newer:
                self.spans[at - 1 : at + 1] = [self.spans[at - 1].merge(self.spans[at])]
            else:
                newer += self.spans[at].size
            at -= 1
