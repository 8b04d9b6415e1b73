"""What the roles tell whoever measures them, so that worker and controller never import a metrics library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from service.records import Alarm, Event, Pane, Record


class Observer(Protocol):
    """Everything countable that happens in the roles. `seconds` are durations."""

    # ingest
    def received(self, monitor: str, samples: int) -> None:
        """Items that arrived, before anything was checked."""

    def rejected(self, monitor: str, reason: str) -> None:
        """An item that was refused at the door, with the reason in the answer."""

    # worker
    def batch(self, records: Sequence[Record]) -> None:
        """Records that are worked on at once, decoded."""

    def stage(self, stage: str, seconds: float) -> None:
        """A batch passed a stage: `embed`, `fold`."""

    def samples(self, monitor: str, taken: int, duplicates: int) -> None:
        """Samples folded into panes, and repeated ids that were not."""

    def dead_letter(self, monitor: str | None, reason: str) -> None: ...

    def embedded(self, monitor: str, samples: int, seconds: float) -> None: ...

    def embedding_failed(self, monitor: str) -> None:
        """The embedder failed, not on account of a payload: the batch is tried again."""

    def unanswered(self, monitor: str, reason: str, samples: int) -> None:
        """Requests that became samples without an answer: `timeout`, `full`, `ended` or `replaced`; `other_model`: the answer of another
        model than the one in force, which counts as none."""

    def committed(self, closed: Sequence[Pane], seconds: float) -> None:
        """A commit and the panes that it numbered."""

    # controller
    def decided(self, monitor: str, *, seconds: float, crossings: int = 0) -> None:
        """A decision, and how many streams' evidence passed its threshold in it."""

    def alarm(self, alarm: Alarm) -> None:
        """An alarm took a step: opened, acknowledged, resolved."""

    def silent(self, monitor: str, seconds: float) -> None:
        """How long nothing of the monitor has come."""

    # truth that comes late
    def labels(self, monitor: str, fates: Mapping[str, int], delays: Sequence[float]) -> None:
        """A delivery of labels: what became of them, and the seconds from a sample to its label of those taken."""

    # outbox
    def delivery(self, kind: str, outcome: str, seconds: float = 0.0) -> None:
        """An attempt to deliver: `delivered`, `retry`, `dead` or `dropped`."""

    # store
    def stored(self, operation: str, seconds: float, *, failed: bool) -> None:
        """An operation of the store, by its class."""

    def recorded(self, event: Event) -> None:
        """An event went into a monitor's log."""


class Silent:
    """An observer for tests, replays and tools: nobody is measuring."""

    def received(self, monitor: str, samples: int) -> None:
        pass

    def rejected(self, monitor: str, reason: str) -> None:
        pass

    def batch(self, records: Sequence[Record]) -> None:
        pass

    def stage(self, stage: str, seconds: float) -> None:
        pass

    def samples(self, monitor: str, taken: int, duplicates: int) -> None:
        pass

    def dead_letter(self, monitor: str | None, reason: str) -> None:
        pass

    def embedded(self, monitor: str, samples: int, seconds: float) -> None:
        pass

    def embedding_failed(self, monitor: str) -> None:
        pass

    def unanswered(self, monitor: str, reason: str, samples: int) -> None:
        pass

    def committed(self, closed: Sequence[Pane], seconds: float) -> None:
        pass

    def decided(self, monitor: str, *, seconds: float, crossings: int = 0) -> None:
        pass

    def alarm(self, alarm: Alarm) -> None:
        pass

    def silent(self, monitor: str, seconds: float) -> None:
        pass

    def labels(self, monitor: str, fates: Mapping[str, int], delays: Sequence[float]) -> None:
        pass

    def delivery(self, kind: str, outcome: str, seconds: float = 0.0) -> None:
        pass

    def stored(self, operation: str, seconds: float, *, failed: bool) -> None:
        pass

    def recorded(self, event: Event) -> None:
        pass
