"""The life of an annotation batch: proposed → approved → sent → partly returned → closed (or cancelled). Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from service.annotation.manifest import sealed
from service.errors import ConflictError, InputError, NotFoundError
from service.records import AnnotationBatch, BatchState, Candidate, Purpose, RefreshCycle, Step, stable_id
from service.transitions import advance

MOST_PRIORITY = 10
_USUAL_PRIORITY = 5

ENDED = frozenset({BatchState.CLOSED, BatchState.CANCELLED})
"""A batch of which no more is expected; one is cancelled before it was sent when a person ends the rounds."""

OUT = frozenset({BatchState.SENT, BatchState.PARTLY_RETURNED})


DRAWN = frozenset({Purpose.AUDIT, Purpose.CHALLENGE, Purpose.TOP_UP})
"""Purposes of samples that stand for others because chance chose them."""


class Reason(StrEnum):
    """Why a batch took a step."""

    SELECTED = "candidates were selected"
    ASKED = "somebody asked for it"
    AUTOMATIC = "the monitor approves by itself"
    APPROVED = "a person approved it"
    QUEUED = "handed to the outbox"
    ANSWERED = "labels came back"
    QUOTA = "enough labels came back"
    DEADLINE = "its deadline passed"
    CLOSED = "a person closed it"
    CANCELLED = "a person cancelled it"
    CYCLE_ENDED = "its refresh cycle was cancelled"
    ROUNDS_ENDED = "a person ended the rounds"
    PRIORITY = "its priority was changed"
    DROPPED = "a person took candidates out"
    RESTORED = "a person put candidates back"


def propose(cycle: RefreshCycle, asked: Sequence[Candidate], *, now: float, scheme: int = 0) -> AnnotationBatch:
    """The cycle's next batch; its id follows from the cycle's and its place, so proposing twice makes the same batch."""
    number = len(cycle.batches) + 1
    batch = AnnotationBatch(
        id=stable_id("annotation", cycle.id, number) if number > 1 else stable_id("annotation", cycle.id),
        monitor=cycle.monitor,
        cycle=cycle.id,
        reference_version=cycle.reference_version,
        state=BatchState.PROPOSED,
        items=(),
        created=now,
        history=(Step(BatchState.PROPOSED, Reason.SELECTED, now),),
        version=1,
        round=number,
        scheme=scheme,
    )
    return _filled(batch, asked)


def propose_apart(  # noqa: PLR0913 - options by keyword, after what every caller gives
    id: str, monitor: str, reference_version: int, asked: Sequence[Candidate], *, now: float, scheme: int = 0, actor: str = ""
) -> AnnotationBatch:
    """A batch of no cycle: rows for the golden set, labels under review."""
    history = (Step(BatchState.PROPOSED, Reason.ASKED, now, actor),)
    return _filled(AnnotationBatch(id, monitor, "", reference_version, BatchState.PROPOSED, (), now, 0, history, 1, scheme=scheme), asked)


def _filled(batch: AnnotationBatch, asked: Sequence[Candidate]) -> AnnotationBatch:
    """Sealed, gold apart from what is asked for its own sake."""
    items = tuple(item for item in asked if item.purpose is not Purpose.GOLD)
    gold = tuple(item for item in asked if item.purpose is Purpose.GOLD)
    return sealed(replace(batch, items=items, gold=gold, priority=_priority(items)))


def _priority(items: Sequence[Candidate]) -> int:
    """By the share of what the monitor's known failures cost that the batch is about; in the middle where nothing is known."""
    about = {item.failure: item.priority for item in items if item.priority > 0}
    return round(MOST_PRIORITY * min(1.0, sum(about.values()))) if about else _USUAL_PRIORITY


def approve(batch: AnnotationBatch, *, reason: Reason, actor: str, now: float, note: str = "") -> AnnotationBatch:
    """Somebody, or the monitor's settings, will pay for it."""
    return advance(batch, Step(BatchState.APPROVED, reason, now, actor, note))


def send(batch: AnnotationBatch, *, now: float, destination: str = "", hours: float | None = None) -> AnnotationBatch:
    """Saved together with `outgoing`'s item: from then on the outbox sees to the delivery. hours : until it closes by itself."""
    deadline = now + 3_600 * hours if hours is not None else 0.0
    return advance(batch, Step(BatchState.SENT, Reason.QUEUED, now), destination=destination, deadline=deadline)


def close(batch: AnnotationBatch, *, actor: str, now: float, note: str = "") -> AnnotationBatch:
    """What has come back is enough, says a person."""
    return advance(batch, Step(BatchState.CLOSED, Reason.CLOSED, now, actor, note))


def expire(batch: AnnotationBatch, answered: int, *, now: float) -> AnnotationBatch:
    """What has come back until its deadline has to do."""
    note = f"{answered:,} of {len(batch.items):,} answered"
    return advance(batch, Step(BatchState.CLOSED, Reason.DEADLINE, now, note=note), returned=answered)


def cancel(batch: AnnotationBatch, *, reason: Reason, actor: str, now: float, note: str = "") -> AnnotationBatch:
    """No more is expected; labels that still come are kept."""
    return advance(batch, Step(BatchState.CANCELLED, reason, now, actor, note))


def returned(batch: AnnotationBatch, answered: int, *, quota: float, now: float, gold: int = 0) -> AnnotationBatch:
    """After `answered` of its items, and so many rows of gold, have all their answers; closes once their share reaches `quota`."""
    if answered + gold >= math.ceil(quota * (len(batch.items) + len(batch.gold)) - 1e-9):
        return advance(batch, Step(BatchState.CLOSED, Reason.QUOTA, now), returned=answered)
    return advance(batch, Step(BatchState.PARTLY_RETURNED, Reason.ANSWERED, now), returned=answered)


def drop(batch: AnnotationBatch, ids: Collection[str], *, actor: str, now: float, note: str = "") -> AnnotationBatch:
    """Takes candidates out of a proposed batch. Those drawn at random stay: without some of them the others would stand for nothing."""
    found = _named(_proposed(batch), ids, batch.items)
    drawn = next((item for item in found if item.purpose in DRAWN), None)
    if drawn is not None:
        raise ConflictError(
            f"annotation batch {batch.id}: {drawn.id!r:.100} was drawn at random ({drawn.purpose}), and what is told of the whole by such "
            "rows would be wrong without it; cancel the batch, or forget the sample"
        )
    if len(found) == len(batch.items):
        raise ConflictError(f"annotation batch {batch.id}: nothing would be left of it; cancel it instead")
    kept = tuple(item for item in batch.items if item not in found)
    return _chosen(batch, Step(batch.state, Reason.DROPPED, now, actor, _counted(found, note)), kept, (*batch.dropped, *found))


def restore(batch: AnnotationBatch, ids: Collection[str], *, actor: str, now: float, note: str = "") -> AnnotationBatch:
    """Puts candidates back that were taken out of it."""
    found = _named(_proposed(batch), ids, batch.dropped)
    dropped = tuple(item for item in batch.dropped if item not in found)
    return _chosen(batch, Step(batch.state, Reason.RESTORED, now, actor, _counted(found, note)), (*batch.items, *found), dropped)


def _proposed(batch: AnnotationBatch) -> str:
    if batch.state is not BatchState.PROPOSED:
        raise ConflictError(f"annotation batch {batch.id} is {batch.state}; candidates are chosen among while it is proposed")
    return batch.id


def _named(batch: str, ids: Collection[str], among: Sequence[Candidate]) -> tuple[Candidate, ...]:
    missing = set(ids) - {item.id for item in among}
    if missing or not ids:
        raise NotFoundError(f"annotation batch {batch}: no candidate {min(missing, default='')!r:.100} there")
    return tuple(item for item in among if item.id in ids)


def _counted(found: Sequence[Candidate], note: str) -> str:
    return f"{len(found):,}: {note}" if note else f"{len(found):,}"


def _chosen(batch: AnnotationBatch, step: Step, items: tuple[Candidate, ...], dropped: tuple[Candidate, ...]) -> AnnotationBatch:
    return sealed(replace(batch, items=items, dropped=dropped, history=(*batch.history, step), version=batch.version + 1))


def prioritise(batch: AnnotationBatch, priority: float, *, item: str = "", actor: str, now: float) -> AnnotationBatch:
    """Another priority for the batch, 0 to 10, or for one of its candidates, 0 to 1."""
    if batch.state in ENDED:
        raise ConflictError(f"annotation batch {batch.id} is {batch.state}: nobody works on it any more, so its priority changes nothing")
    changes = _item_priority(batch, item, priority) if item else {"priority": _in_range(priority, MOST_PRIORITY, whole=True)}
    note = f"{item} {priority:g}" if item else f"{batch.priority} → {priority:g}"
    history = (*batch.history, Step(batch.state, Reason.PRIORITY, now, actor, note))
    return replace(batch, history=history, version=batch.version + 1, **changes)


def _item_priority(batch: AnnotationBatch, id: str, priority: float) -> Mapping[str, tuple[Candidate, ...]]:
    wanted = _in_range(priority, 1)
    found = next((item for item in batch.items if item.id == id), None)
    if found is None:
        raise NotFoundError(f"annotation batch {batch.id}: no candidate {id!r:.100}; `driftgate annotation show {batch.id}` lists them")
    if found.blind:
        raise ConflictError(
            f"annotation batch {batch.id}: {id!r:.100} is answered blind, and where it stands must not tell of it; set the batch's priority"
        )
    return {"items": tuple(replace(item, priority=wanted) if item is found else item for item in batch.items)}


def _in_range(priority: float, most: int, *, whole: bool = False) -> float:
    if not 0 <= priority <= most or (whole and priority != int(priority)):
        kind = "a whole number" if whole else "a number"
        raise InputError("priority", f"priority is {priority:g}; {kind} from 0 to {most} is taken, the larger the sooner")
    return int(priority) if whole else priority
