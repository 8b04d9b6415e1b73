"""What people are told of refresh cycles: a function of what is stored and of the clock, so that nothing is told twice or lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from service import annotation
from service.cycles.due import Due
from service.cycles.standing import Awaited, Standing, labels_until, sent, undecided
from service.moments import written
from service.promotion.steps import SHORTFALL, Reason
from service.records import AnnotationBatch, BatchState, CycleState, OutboxItem, RefreshCycle, Step, Trigger, stable_id
from service.settings import MonitorSettings

_LATE = 0.8
"""Of a batch's time, after which labels that have not come are late: there is time left to do something about it."""

_NOTE = 300
"""Characters of a person's note."""

_ENDS = {
    CycleState.PROMOTED: "the new model serves, and the reference follows it",
    CycleState.REJECTED: "a person declined the new model, though it is proven",
    CycleState.CANCELLED: "the refresh cycle was cancelled",
    CycleState.REVERTED: "the refresh cycle was reverted: the model before is asked back",
}


@dataclass(frozen=True, slots=True)
class News:
    """One thing to tell; `of` makes its id, so that it is told once."""

    kind: str
    """`refresh.opened`, …: the `type` of the webhook."""
    monitor: str
    of: tuple[object, ...]
    time: float
    text: str
    todo: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)

    def items(self, destinations: Iterable[str]) -> Iterator[OutboxItem]:
        """One for each destination."""
        payload = {"monitor": self.monitor, "text": self.text, "todo": self.todo, "time": written(self.time), **self.content}
        for to in destinations:
            yield OutboxItem(stable_id(self.kind, *self.of, to), self.kind, to, payload, created=self.time, due=self.time)


def of_cycle(cycle: RefreshCycle) -> Iterator[News]:
    """What its history tells."""
    told = {"cycle": cycle.id, "trigger": cycle.trigger}
    before: str | None = None
    for step in cycle.history:
        if step.state != before:
            before = step.state
            yield from _entered(cycle, CycleState(step.state), step.time, step.note, told)
        yield from _of_model(cycle, step, told)
    if cycle.state is CycleState.VERIFYING and undecided(cycle):
        yield _verdict(cycle, cycle.history[-1].time, told)


def _entered(cycle: RefreshCycle, state: CycleState, time: float, note: str, told: Mapping[str, Any]) -> Iterator[News]:
    """A state that it came into."""
    show = f"`driftgate refresh show {cycle.id}`"
    if state is CycleState.ANNOTATING:
        text = f"{cycle.monitor}: a refresh cycle was opened, {_opener(cycle)}"
        yield News("refresh.opened", cycle.monitor, (cycle.id,), time, text, "`driftgate refresh status`", told)
    elif state is CycleState.VERIFIED or (state is CycleState.REJECTED and not _proven(cycle)):
        yield _verdict(cycle, time, told, state)
    elif state in _ENDS:
        text = f"{cycle.monitor}: {_ENDS[state]}{f' ({note[:_NOTE]})' if note else ''}"
        yield News("refresh.ended", cycle.monitor, (cycle.id, state), time, text, show, {**told, "state": state})


def _proven(cycle: RefreshCycle) -> bool:
    return (cycle.verification or {}).get("verdict") == "promote"


def _of_model(cycle: RefreshCycle, step: Step, told: Mapping[str, Any]) -> Iterator[News]:
    """A step that leaves the cycle where it was, or leads back, and that people have to hear of."""
    content = {**told, "state": step.state, "reasons": [step.note]}
    if step.reason == Reason.UNUSABLE:
        text = f"{cycle.monitor}: the model that came back can't be used: {step.note}"
        todo = f"train another; `driftgate refresh register {cycle.id} --model FILE` takes it in"
        yield News("refresh.verdict", cycle.monitor, (cycle.id, step.reason, step.time), step.time, text, todo, content)
    elif step.reason == Reason.SHORT:
        text = f"{cycle.monitor}: the promoted model falls short of its verification: {step.note}"
        yield News(SHORTFALL, cycle.monitor, (cycle.id,), step.time, text, f"`driftgate refresh revert {cycle.id}`", content)


def _opener(cycle: RefreshCycle) -> str:
    first = cycle.history[0]
    by = first.actor if cycle.trigger is Trigger.PERSON else cycle.trigger or cycle.opened_by
    return f"by {by}" + (f": {first.note[:_NOTE]}" if first.note else "")


def _verdict(cycle: RefreshCycle, time: float, told: Mapping[str, Any], state: CycleState = CycleState.VERIFYING) -> News:
    found = cycle.verification or {}
    said = {
        CycleState.VERIFIED: "the new model is proven better",
        CycleState.REJECTED: "the new model is rejected",
        CycleState.VERIFYING: "there are too few rows to judge the new model by",
    }[state]
    reasons = [str(reason) for reason in found.get("reasons", ())]
    text = f"{cycle.monitor}: {said}" + (f": {'; '.join(reasons)}" if reasons else "")
    content = {**told, "verdict": found.get("verdict"), "reasons": reasons, "state": state}
    return News("refresh.verdict", cycle.monitor, (cycle.id, state, time), time, text, f"`driftgate refresh show {cycle.id}`", content)


def of_standing(standing: Standing, settings: MonitorSettings, now: float) -> Iterator[News]:
    """What a cycle waits for, where that is a person, or takes too long."""
    cycle, told = standing.cycle, {"cycle": standing.cycle.id, "waits_for": standing.awaited}
    asks = settings.refresh.promotion == "approval" or (cycle.verification or {}).get("full_replacement")
    if standing.awaited is Awaited.PROMOTION and asks:
        text = f"{cycle.monitor}: a proven model waits for approval"
        yield News("refresh.approval", cycle.monitor, (cycle.id, standing.since), standing.since, text, standing.todo, told)
    if standing.stuck(now):
        text = f"{cycle.monitor}: the refresh cycle is stuck: it waits for {standing.said}"
        of = (cycle.id, standing.awaited, standing.since)
        yield News("refresh.stuck", cycle.monitor, of, standing.limit, text, standing.todo, {**told, "since": written(standing.since)})


def of_batch(batch: AnnotationBatch, settings: MonitorSettings, now: float) -> Iterator[News]:
    """That somebody has to approve it, or that its labels are late."""
    told = {"batch": batch.id, "cycle": batch.cycle, "labels": len(batch.items)}
    if batch.state is BatchState.PROPOSED:
        text = f"{batch.monitor}: {len(batch.items)} samples wait for approval before they go to the annotators"
        todo = f"`driftgate annotation approve {batch.id}`"
        yield News("refresh.approval", batch.monitor, (batch.id,), batch.created, text, todo, told)
    since = sent(batch)
    late = since + _LATE * ((batch.deadline or labels_until(batch, settings)) - since)
    if batch.state in annotation.OUT and now > late:
        text = f"{batch.monitor}: labels are late, {batch.returned} of {len(batch.items)} samples are answered"
        todo = f"remind the annotators; `driftgate annotation close {batch.id}` goes on with what has come"
        yield News("refresh.late", batch.monitor, (batch.id,), late, text, todo, {**told, "answered": batch.returned})


def of_due(monitor: str, due: Due) -> News:
    """That a refresh is due which nothing opens by itself."""
    todo = f"`driftgate refresh start --monitor {monitor}`"
    return News(
        "refresh.due",
        monitor,
        (monitor, due.opened_by),
        due.since,
        f"{monitor}: a refresh is due: {due.why}",
        todo,
        {"trigger": due.trigger},
    )
