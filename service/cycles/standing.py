"""Where an open cycle stands: what it waits for, since when, for how long it may, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from service import annotation
from service.errors import DriftgateError
from service.ports import Store
from service.records import AnnotationBatch, BatchState, CycleState, RefreshCycle, Step
from service.refresh import OPEN
from service.settings import MonitorSettings

_HOUR, _GRACE = 3_600.0, 86_400.0
_MOST = 1_000


class Awaited(StrEnum):
    """What moves a cycle on."""

    WORD = "a person's word on a batch"
    LABELS = "labels"
    CHOICE = "the next step to be chosen"
    MODEL = "a trained model"
    VERDICT = "the verdict on a model"
    GOLDEN = "more golden labels"
    PROMOTION = "a person's word on a proven model"
    PRODUCTION = "production to answer with the new model"


PEOPLE = frozenset({Awaited.WORD, Awaited.PROMOTION})
"""What nothing but a person's word moves on."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An open cycle at a moment."""

    cycle: RefreshCycle
    batch: AnnotationBatch | None
    awaited: Awaited
    since: float
    limit: float
    """Until when it may wait."""
    todo: str
    """What a person can do about it."""

    def stuck(self, now: float) -> bool:
        """Whether it has waited for longer than it may."""
        return now > self.limit

    @property
    def said(self) -> str:
        """What it waits for, with how far that is."""
        batch = self.batch
        if self.awaited is Awaited.LABELS and batch is not None:
            what = "second opinions" if any(item.again for item in batch.items) else "labels"
            return f"{what}: {batch.returned} of {len(batch.items)} answered (batch {batch.id}, round {batch.round} of {self.cycle.rounds})"
        if self.awaited is Awaited.WORD and batch is not None:
            return f"a person's word on batch {batch.id} of {len(batch.items)} samples"
        found = self.cycle.verification or {}
        if self.awaited is Awaited.MODEL and found.get("verdict") == "unusable":
            return f"another model ({'; '.join(found['reasons'])})"
        return self.awaited.value


def standings(store: Store, monitor: str, settings: MonitorSettings) -> Sequence[Standing]:
    """Of the monitor's open cycles."""
    cycles = store.find(RefreshCycle, monitor=monitor, states=OPEN, limit=_MOST)
    return [standing(cycle, store.get(AnnotationBatch, cycle.batch) if cycle.batch else None, settings) for cycle in cycles]


def all_standings(store: Store, monitors: Callable[[str], MonitorSettings]) -> Iterator[Standing]:
    """Of every open cycle whose monitor is declared."""
    for cycle in store.find(RefreshCycle, states=OPEN, limit=_MOST):
        try:
            settings = monitors(cycle.monitor)
        except DriftgateError:
            continue
        yield standing(cycle, store.get(AnnotationBatch, cycle.batch) if cycle.batch else None, settings)


def standing(cycle: RefreshCycle, batch: AnnotationBatch | None, settings: MonitorSettings) -> Standing:
    """ValueError of a cycle that has ended."""
    if cycle.state is CycleState.ANNOTATING:
        return _annotating(cycle, batch, settings)
    limits, name = settings.refresh.limits, cycle.id
    if cycle.state is CycleState.VERIFYING and undecided(cycle):
        since = cycle.history[-1].time
        more = f"`driftgate dataset add --monitor {cycle.monitor} --role golden --input FILE`, or `driftgate refresh cancel {name}`"
        return Standing(cycle, batch, Awaited.GOLDEN, since, since + _HOUR * limits.approval, more)
    awaited, hours, todo = {
        CycleState.TRAINING: (
            Awaited.MODEL,
            limits.training,
            f"`driftgate train --cycle {name}`, or `driftgate refresh register {name} --model FILE`",
        ),
        CycleState.VERIFYING: (Awaited.VERDICT, limits.verifying, "nothing: it is being judged"),
        CycleState.VERIFIED: (
            Awaited.PROMOTION,
            limits.approval,
            f"`driftgate refresh promote {name}`, or `driftgate refresh decline {name}`",
        ),
        CycleState.DEPLOYING: (
            Awaited.PRODUCTION,
            limits.deployment,
            f"deploy it; `driftgate refresh deployed {name}` says that it serves, `driftgate refresh revert {name}` that it must not",
        ),
    }[cycle.state]
    return Standing(cycle, batch, awaited, cycle.entered, cycle.entered + _HOUR * hours, todo)


def undecided(cycle: RefreshCycle) -> bool:
    """Whether a model was judged and there were too few rows to tell."""
    return (cycle.verification or {}).get("verdict") == "insufficient"


def _annotating(cycle: RefreshCycle, batch: AnnotationBatch | None, settings: MonitorSettings) -> Standing:
    limits = settings.refresh.limits
    if batch is not None and batch.state in (BatchState.PROPOSED, BatchState.APPROVED):
        todo = f"`driftgate refresh approve {cycle.id}`, or `driftgate refresh cancel {cycle.id}`"
        return Standing(cycle, batch, Awaited.WORD, batch.created, batch.created + _HOUR * limits.approval, todo)
    if batch is not None and batch.state in annotation.OUT:
        todo = f"label them; `driftgate refresh close {cycle.id}` goes on with what has come"
        return Standing(cycle, batch, Awaited.LABELS, sent(batch), labels_until(batch, settings), todo)
    since = _last(batch.history if batch is not None else cycle.history)
    todo = "nothing: the controller chooses what comes next; its log says why where it can't"
    return Standing(cycle, batch, Awaited.CHOICE, since, since + _HOUR * limits.verifying, todo)


def sent(batch: AnnotationBatch) -> float:
    """When it went to the annotators."""
    return next((step.time for step in batch.history if step.state == BatchState.SENT), batch.created)


def labels_until(batch: AnnotationBatch, settings: MonitorSettings) -> float:
    """Until when its answers should have come."""
    return batch.deadline + _GRACE if batch.deadline else sent(batch) + _HOUR * settings.refresh.limits.annotating


def _last(history: Sequence[Step]) -> float:
    return history[-1].time if history else 0.0
