"""What the roles tell whoever measures them, so that worker and controller never import a metrics library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.records import WHOLE, Alarm, Family, Measured, Pane


@dataclass(frozen=True, slots=True)
class Reading:
    """What the detector of one stream and channel family says after a decision."""

    evidence: float
    threshold: float
    effect: Measured | None = None
    novel_share: Measured | None = None
    segment: str = WHOLE
    family: Family = Family.INPUT
    crossed: bool = False
    """True in the one decision in which the evidence passed the threshold."""
    accuracy: Measured | None = None


class Observer(Protocol):
    """Everything countable that happens in the roles. `seconds` are durations, `time` is the log's."""

    # ingest
    def received(self, monitor: str, samples: int) -> None:
        """Items that arrived, before anything was checked."""

    def rejected(self, monitor: str, reason: str) -> None:
        """An item that was refused at the door, with the reason in the answer."""

    # worker
    def samples(self, monitor: str, taken: int, duplicates: int) -> None:
        """Samples folded into panes, and repeated ids that were not."""

    def dead_letter(self, monitor: str | None, reason: str) -> None: ...

    def embedded(self, monitor: str, samples: int, seconds: float) -> None: ...

    def unanswered(self, monitor: str, reason: str, samples: int) -> None:
        """Requests that became samples without an answer: `timeout`, `full`, `ended` or `replaced`; `other_model`: the answer of another
        model than the one in force, which counts as none."""

    def committed(self, closed: Sequence[Pane], seconds: float) -> None:
        """A commit and the panes that it numbered."""

    # controller
    def decided(self, monitor: str, *, time: float, seconds: float, readings: Sequence[Reading] = ()) -> None:
        """A decision up to the log's `time`; `readings` are the streams that it moved."""

    def alarm(self, alarm: Alarm) -> None:
        """An alarm took a step: opened, acknowledged, resolved."""

    def silent(self, monitor: str, seconds: float) -> None:
        """How long nothing of the monitor has come."""

    # truth that comes late
    def labels(self, monitor: str, fates: Mapping[str, int], delays: Sequence[float]) -> None:
        """A delivery of labels: what became of them, and the seconds from a sample to its label of those taken."""

    # outbox
    def delivery(self, kind: str, outcome: str) -> None:
        """An attempt to deliver: `delivered`, `retry` or `dead`."""


class Silent:
    """An observer for tests, replays and tools: nobody is measuring."""

    def received(self, monitor: str, samples: int) -> None:
        pass

    def rejected(self, monitor: str, reason: str) -> None:
        pass

    def samples(self, monitor: str, taken: int, duplicates: int) -> None:
        pass

    def dead_letter(self, monitor: str | None, reason: str) -> None:
        pass

    def embedded(self, monitor: str, samples: int, seconds: float) -> None:
        pass

    def unanswered(self, monitor: str, reason: str, samples: int) -> None:
        pass

    def committed(self, closed: Sequence[Pane], seconds: float) -> None:
        pass

    def decided(self, monitor: str, *, time: float, seconds: float, readings: Sequence[Reading] = ()) -> None:
        pass

    def alarm(self, alarm: Alarm) -> None:
        pass

    def silent(self, monitor: str, seconds: float) -> None:
        pass

    def labels(self, monitor: str, fates: Mapping[str, int], delays: Sequence[float]) -> None:
        pass

    def delivery(self, kind: str, outcome: str) -> None:
        pass
