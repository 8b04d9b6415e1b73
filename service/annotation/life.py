"""The life of an annotation batch: proposed → approved → sent → partly returned → closed (or cancelled). Pure, but for `take_back`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.errors import ConflictError, InputError
from service.ports import Store
from service.records import AnnotationBatch, BatchState, Candidate, Label, OutboxItem, Purpose, RefreshCycle, Step, stable_id
from service.transitions import advance


class Reason(StrEnum):
    """Why a batch took a step."""

    SELECTED = "candidates were selected"
    AUTOMATIC = "the monitor approves by itself"
    APPROVED = "a person approved it"
    QUEUED = "handed to the outbox"
    ANSWERED = "labels came back"
    QUOTA = "enough labels came back"
    CLOSED = "a person closed it"
    CANCELLED = "a person cancelled it"
    CYCLE_ENDED = "its refresh cycle was cancelled"
    ROUNDS_ENDED = "a person ended the rounds"


def propose(cycle: RefreshCycle, candidates: Sequence[Candidate], *, now: float) -> AnnotationBatch:
    """The cycle's next batch; its id follows from the cycle's and the round, so proposing twice makes the same batch."""
    number = len(cycle.batches) + 1
    return AnnotationBatch(
        id=stable_id("annotation", cycle.id, number) if number > 1 else stable_id("annotation", cycle.id),
        monitor=cycle.monitor,
        cycle=cycle.id,
        reference_version=cycle.reference_version,
        state=BatchState.PROPOSED,
        items=tuple(candidates),
        created=now,
        history=(Step(BatchState.PROPOSED, Reason.SELECTED, now),),
        version=1,
        round=number,
    )


def approve(batch: AnnotationBatch, *, reason: Reason, actor: str, now: float, note: str = "") -> AnnotationBatch:
    """Somebody, or the monitor's settings, will pay for it."""
    return advance(batch, Step(BatchState.APPROVED, reason, now, actor, note))


def send(batch: AnnotationBatch, *, now: float) -> AnnotationBatch:
    """Saved together with `outgoing`'s item: from then on the outbox sees to the delivery."""
    return advance(batch, Step(BatchState.SENT, Reason.QUEUED, now))


def close(batch: AnnotationBatch, *, actor: str, now: float, note: str = "") -> AnnotationBatch:
    """What has come back is enough, says a person."""
    return advance(batch, Step(BatchState.CLOSED, Reason.CLOSED, now, actor, note))


def cancel(batch: AnnotationBatch, *, reason: Reason, actor: str, now: float, note: str = "") -> AnnotationBatch:
    """No more is expected; labels that still come are kept."""
    return advance(batch, Step(BatchState.CANCELLED, reason, now, actor, note))


def returned(batch: AnnotationBatch, answered: int, *, quota: float, now: float) -> AnnotationBatch:
    """After `answered` of its items have labels; closes once their share reaches `quota`."""
    if answered >= math.ceil(quota * len(batch.items)):
        return advance(batch, Step(BatchState.CLOSED, Reason.QUOTA, now), returned=answered)
    return advance(batch, Step(BatchState.PARTLY_RETURNED, Reason.ANSWERED, now), returned=answered)


def outgoing(batch: AnnotationBatch, *, destination: str, price: float | None, now: float) -> OutboxItem:
    """What annotators get: one item per batch, whoever sends it again."""
    payload = {
        "batch": batch.id,
        "monitor": batch.monitor,
        "cycle": batch.cycle,
        "reference_version": batch.reference_version,
        "price_estimate": None if price is None else round(price * len(batch.items), 2),
        "candidates": [_shown(item) for item in batch.items],
    }
    return OutboxItem(stable_id("annotation.batch", batch.id), "annotation.batch", destination, payload, created=now, due=now)


def _shown(item: Candidate) -> dict[str, Any]:
    """Challenge rows are labelled blind: what the model or the choice says of them would colour the answer."""
    blind = item.purpose is Purpose.CHALLENGE
    return {
        "driftgate_id": item.id,
        "text": item.text,
        "predicted": None if blind else item.predicted,
        "segment": item.segment,
        "risk": None if blind else round(item.risk, 4),
        "reason": None if blind else item.reason,
        "weight": 1 if blind else item.weight,
    }


# --- back ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What a delivery of labels did."""

    batch: AnnotationBatch
    changed: int
    """Labels that were new or said something else than before."""
    unusable: int
    """Of the batch's items, those answered as unusable so far."""
    unknown: tuple[str, ...] = ()
    """Ids that are not in the batch; their labels were dropped."""


def take_back(store: Store, labels: Sequence[Label], *, quota: float, now: float) -> TakenBack:
    """Keeps the labels of one batch and moves it on. Repeating a delivery changes nothing; closed and cancelled batches still learn."""
    names = {label.batch for label in labels}
    if len(names) != 1:
        raise InputError("labels", f"a delivery holds the labels of one batch, found {len(names)}; send one per batch")
    batch = store.get(AnnotationBatch, names.pop())
    if batch.state in (BatchState.PROPOSED, BatchState.APPROVED):
        raise ConflictError(f"annotation batch {batch.id} is {batch.state}, so nobody can have been asked yet; approve and send it first")
    items = {item.id for item in batch.items}
    changed = store.add_labels([label for label in labels if label.sample in items])
    answers = agreed(store.labels(batch.monitor, batch=batch.id))
    if batch.state in (BatchState.SENT, BatchState.PARTLY_RETURNED) and len(answers) > batch.returned:
        batch = returned(batch, len(answers), quota=quota, now=now)
        store.save(batch)
    unknown = dict.fromkeys(label.sample for label in labels if label.sample not in items)
    return TakenBack(batch, changed, sum(answer.unusable for answer in answers.values()), tuple(unknown))


def agreed(labels: Sequence[Label]) -> dict[str, Label]:
    """One answer per sample: the one that most annotators gave, the newest of several."""
    by_sample: dict[str, list[Label]] = {}
    for label in labels:
        by_sample.setdefault(label.sample, []).append(label)
    return {sample: _prevailing(given) for sample, given in by_sample.items()}


def _prevailing(given: Sequence[Label]) -> Label:
    votes = Counter(label.label for label in given)
    return max(given, key=lambda label: (votes[label.label], label.time, label.annotator))
