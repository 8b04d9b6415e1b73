"""The refresh cycle up to the request for training, and its end by a person; what follows is `service.promotion`'s."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from service import annotation
from service.annotation.errands import errand_of
from service.errors import ConflictError, InputError, NotFoundError
from service.ports import Store
from service.records import (
    WHOLE,
    Alarm,
    AlarmState,
    AnnotationBatch,
    BatchState,
    Candidate,
    CycleState,
    Family,
    OutboxItem,
    RefreshCycle,
    RefreshSlot,
    Step,
    Trigger,
    stable_id,
)
from service.refresh_events import PLAIN, Terms, event, requested
from service.selecting.asking import asked
from service.settings import MonitorSettings, RefreshSettings
from service.transitions import advance

ENDED = frozenset({CycleState.PROMOTED, CycleState.REJECTED, CycleState.CANCELLED, CycleState.REVERTED})

OPEN = frozenset(CycleState) - ENDED


class Reason(StrEnum):
    """Why a cycle took a step."""

    OPENED = "opened for new labels"
    LABELLED = "the labels are in"
    CANCELLED = "a person cancelled it"
    UNLABELLED = "no usable label came back"
    NEXT_ROUND = "the next batch was chosen by what the one before taught"
    SECOND_OPINIONS = "answers in doubt are asked about once more"
    ROUNDS_ENDED = "a person ended the rounds"
    NO_FURTHER_ROUND = "no further batch is sent"


@dataclass(frozen=True, slots=True)
class Opener:
    """Who opens a cycle, and why."""

    trigger: Trigger = Trigger.PERSON
    actor: str = "driftgate"
    note: str = ""


PERSON = Opener()


@dataclass(frozen=True, slots=True)
class Opening:
    """What a cycle's id is made of: the same trigger always opens the same cycle. `opened_by` is an alarm's or request's id."""

    monitor: str
    reference_version: int
    opened_by: str
    attempt: int = 1
    opener: Opener = PERSON

    @property
    def cycle(self) -> str:
        return stable_id(self.monitor, self.reference_version, self.opened_by, self.attempt)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a cycle asks about, fixed before anything is chosen: a stream from a moment on, in so many batches."""

    segment: str = WHOLE
    since: float = 0.0
    rounds: int = 1


def wanted(alarm: Alarm, settings: RefreshSettings, cycles: Sequence[RefreshCycle], *, now: float) -> bool:
    """Whether the alarm opens a cycle by itself: allowed, unresolved, of drift on the whole stream, its first, no other under way or just
    over. One of changed answers does not: labels come already, and nothing of the inputs says which samples to ask about."""
    idle = all(cycle.state in ENDED and cycle.opened_by != alarm.id for cycle in cycles)
    drifted = alarm.segment == WHOLE and alarm.family not in {Family.FEED, Family.CONCEPT}
    rested = now >= rests_until(settings, cycles)
    return settings.automatic and idle and rested and drifted and alarm.state is not AlarmState.RESOLVED


def rests_until(settings: RefreshSettings, cycles: Iterable[RefreshCycle]) -> float:
    """Until when nothing but a person opens the monitor's next cycle; 0 before the first has ended."""
    last = max((cycle.entered for cycle in cycles if cycle.state in ENDED), default=None)
    return 0.0 if last is None else last + 3_600 * settings.cool_down_hours


# --- pure steps ---------------------------------------------------------------------------------------------------


def opened(opening: Opening, plan: Plan = Plan(), *, now: float) -> RefreshCycle:
    """A new cycle, waiting for labels."""
    opener = opening.opener
    return RefreshCycle(
        id=opening.cycle,
        monitor=opening.monitor,
        reference_version=opening.reference_version,
        opened_by=opening.opened_by,
        attempt=opening.attempt,
        state=CycleState.ANNOTATING,
        created=now,
        history=(Step(CycleState.ANNOTATING, Reason.OPENED, now, opener.actor, opener.note),),
        version=1,
        rounds=plan.rounds,
        segment=plan.segment,
        since=plan.since,
        trigger=opener.trigger,
    )


def labelled(cycle: RefreshCycle, *, now: float, left_out: int = 0) -> RefreshCycle:
    """Its labels are in; training was asked for, without those left out."""
    why = "the label checks refuse them, their risk is too high, or they repeat what models are judged by"
    note = f"{left_out:,} of them are not trained on: {why}" if left_out else ""
    return advance(cycle, Step(CycleState.TRAINING, Reason.LABELLED, now, note=note))


# --- steps that are written ---------------------------------------------------------------------------------------


def start(
    store: Store,
    opening: Opening,
    candidates: Sequence[Candidate],
    settings: MonitorSettings,
    *,
    now: float,
    plan: Plan = Plan(),
) -> RefreshCycle:
    """Opens the cycle with its first batch in one transaction; a cycle that is there already is returned as it stands. ConflictError while
    another one of the monitor is open.

    Where the monitor approves by itself and has a destination the batch leaves at once; else it waits as proposed.
    """
    try:
        return store.get(RefreshCycle, opening.cycle)
    except NotFoundError:
        pass
    if not candidates:
        raise InputError(
            "no_candidates",
            f"monitor {opening.monitor}: no recent sample is both new and in the company of others, so there is nothing to label; "
            "try again when more traffic has come",
        )
    slot = taken(store, opening.monitor, by=opening.cycle, now=now)
    cycle = opened(opening, plan, now=now)
    leaving = annotation.leaving(store, annotation.propose(cycle, candidates, now=now), settings, now=now)
    cycle = replace(cycle, batch=leaving.batch.id)
    store.save(cycle, leaving.batch, slot, *leaving.schemes, outbox=leaving.outbox)
    return cycle


def taken(store: Store, monitor: str, *, by: str, now: float) -> RefreshSlot:
    """The monitor's slot as the cycle `by` takes it, to be saved with it: of two that open at once one is refused. ConflictError while
    another cycle is open."""
    try:
        slot = store.get(RefreshSlot, monitor)
    except NotFoundError:
        slot = RefreshSlot(monitor, monitor, "", now, version=0)
    running = next(iter(store.find(RefreshCycle, monitor=monitor, states=OPEN)), None)
    if running is not None:
        raise ConflictError(
            f"monitor {monitor}: refresh cycle {running.id} is {running.state}, and only one is open at a time; `driftgate refresh status` "
            "says what it waits for, `driftgate refresh cancel` ends it"
        )
    return replace(slot, cycle=by, created=now, version=slot.version + 1)


def next_round(
    store: Store, cycle: RefreshCycle, candidates: Sequence[Candidate], settings: MonitorSettings, *, now: float
) -> RefreshCycle:
    """Its next batch, in one transaction with the cycle that names it: whoever else takes the same step is refused."""
    proposed = replace(annotation.propose(cycle, candidates, now=now), round=rounds_sent(store, cycle) + 1)
    leaving = annotation.leaving(store, proposed, settings, now=now)
    batch = leaving.batch
    step = Step(CycleState.ANNOTATING, Reason.NEXT_ROUND, now, note=f"{batch.round} of {cycle.rounds}")
    cycle = advance(cycle, step, earlier=cycle.batches, batch=batch.id)
    store.save(cycle, batch, *leaving.schemes, outbox=leaving.outbox)
    return cycle


def rounds_sent(store: Store, cycle: RefreshCycle) -> int:
    """Second opinions are of the round that they doubt."""
    return store.get(AnnotationBatch, cycle.batch).round


def second_opinions(
    store: Store, cycle: RefreshCycle, doubted: AnnotationBatch, candidates: Sequence[Candidate], settings: MonitorSettings, *, now: float
) -> RefreshCycle:
    """Asks once more about some answers of its newest batch, which is kept, with what was found of it, in the same transaction."""
    proposed = replace(annotation.propose(cycle, candidates, now=now), round=doubted.round)
    leaving = annotation.leaving(store, proposed, settings, now=now)
    step = Step(CycleState.ANNOTATING, Reason.SECOND_OPINIONS, now, note=f"{len(candidates):,} of {len(doubted.items):,}")
    cycle = advance(cycle, step, earlier=cycle.batches, batch=leaving.batch.id)
    store.save(cycle, doubted, leaving.batch, *leaving.schemes, outbox=leaving.outbox)
    return cycle


def end_rounds(store: Store, cycle: RefreshCycle, *, why: str, now: float) -> RefreshCycle:
    """Before all of them are sent, as nothing is left to spend or to ask about."""
    ended = advance(cycle, Step(CycleState.ANNOTATING, Reason.NO_FURTHER_ROUND, now, note=why), rounds=rounds_sent(store, cycle))
    store.save(ended)
    return ended


def finish(store: Store, cycle_id: str, *, actor: str, now: float, note: str = "") -> RefreshCycle:
    """Ends the rounds: what is labelled so far is what the new model learns from. A batch that nobody was asked about yet is cancelled."""
    cycle = store.get(RefreshCycle, cycle_id)
    batch = store.get(AnnotationBatch, cycle.batch)
    asked = batch.state not in (BatchState.PROPOSED, BatchState.APPROVED)
    if not asked and not cycle.earlier:
        raise ConflictError(f"refresh cycle {cycle.id}: nothing is labelled yet; approve its batch {batch.id}, or cancel the cycle")
    ended = advance(cycle, Step(CycleState.ANNOTATING, Reason.ROUNDS_ENDED, now, actor, note), rounds=batch.round)
    if batch.state in annotation.ENDED:
        store.save(ended)
    elif asked:
        store.save(ended, annotation.close(batch, actor=actor, now=now, note=note))
    else:
        store.save(ended, annotation.cancel(batch, reason=annotation.Reason.ROUNDS_ENDED, actor=actor, now=now, note=note))
    return ended


def request_training(
    store: Store,
    cycle_id: str,
    data_sets: Sequence[Mapping[str, Any]],
    settings: RefreshSettings,
    *,
    now: float,
    terms: Terms = PLAIN,
) -> RefreshCycle:
    """Once its last batch is closed, asks for the new model; repeating it returns the cycle as it stands.

    Without a destination the cycle waits for somebody to train by hand. ConflictError while labels are still expected.
    """
    cycle = store.get(RefreshCycle, cycle_id)
    if cycle.state is not CycleState.ANNOTATING:
        return cycle
    batches = [store.get(AnnotationBatch, name) for name in cycle.batches]
    batch = batches[-1]
    if batch.state not in annotation.ENDED:
        raise ConflictError(
            f"refresh cycle {cycle.id}: annotation batch {batch.id} is {batch.state}, {batch.returned} of {len(batch.items)} answered; "
            "close it to train with what there is"
        )
    content = requested(cycle, batches, list(asked(store, batches).answers.values()), data_sets, terms)
    cycle = replace(labelled(cycle, now=now, left_out=terms.left_out), requested=content)
    store.save(cycle, outbox=event(cycle, "refresh.requested", content, settings.destinations, now=now))
    return cycle


def received(store: Store, item: OutboxItem) -> None:
    """Keeps, with the cycle, the receipt of its request for training."""
    if item.kind != "refresh.requested":
        return
    cycle = store.get(RefreshCycle, str(item.payload["id"]))
    if cycle.job != item.receipt:
        store.save(replace(cycle, job=item.receipt, version=cycle.version + 1))


def cancel(store: Store, cycle_id: str, *, actor: str, now: float, note: str = "") -> RefreshCycle:
    """Ends the cycle, and its batch where that is still running. ConflictError once its model was announced: production has to be told."""
    cycle = store.get(RefreshCycle, cycle_id)
    if cycle.state in (CycleState.DEPLOYING, CycleState.PROMOTED):
        raise ConflictError(
            f"refresh cycle {cycle.id} is {cycle.state}: production was asked to serve its model, and cancelling would not tell it "
            f"otherwise; `driftgate refresh revert {cycle.id}` asks for the model before"
        )
    cancelled = advance(cycle, Step(CycleState.CANCELLED, Reason.CANCELLED, now, actor, note))
    batch = store.get(AnnotationBatch, cycle.batch)
    if batch.state in annotation.ENDED:
        store.save(cancelled)
    else:
        batch = annotation.cancel(batch, reason=annotation.Reason.CYCLE_ENDED, actor=actor, now=now)
        store.save(cancelled, batch, outbox=annotation.withdrawn(batch, note=note, now=now))
    return cancelled


def give_up(store: Store, cycle_id: str, *, now: float) -> RefreshCycle:
    """Of what nobody could label there is nothing to learn."""
    cycle = store.get(RefreshCycle, cycle_id)
    ended = advance(cycle, Step(CycleState.CANCELLED, Reason.UNLABELLED, now, note="there is nothing to train on"))
    store.save(ended)
    return ended


def ask(store: Store, batch: AnnotationBatch, settings: MonitorSettings, *, now: float) -> AnnotationBatch:
    """Saves a new batch of no cycle with what is to become of its answers, on its way where the monitor approves by itself."""
    leaving = annotation.leaving(store, batch, settings, now=now)
    store.save(leaving.batch, errand_of(leaving.batch), *leaving.schemes, outbox=leaving.outbox)
    return leaving.batch
