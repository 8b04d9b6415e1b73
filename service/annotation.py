"""The life of an annotation batch: proposed → approved → sent → partly returned → closed (or cancelled). Pure, but for `take_back`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from service.errors import ConflictError, InputError
from service.ports import Store
from service.records import AnnotationBatch, BatchState, Candidate, Label, OutboxItem, RefreshCycle, Step, stable_id
from service.transitions import advance

MAX_LABELS = 10_000
_MAX_WORD = 200


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


def propose(cycle: RefreshCycle, candidates: Sequence[Candidate], *, now: float) -> AnnotationBatch:
    """The cycle's batch; its id follows from the cycle's, so proposing twice makes the same batch."""
    return AnnotationBatch(
        id=stable_id("annotation", cycle.id),
        monitor=cycle.monitor,
        cycle=cycle.id,
        reference_version=cycle.reference_version,
        state=BatchState.PROPOSED,
        items=tuple(candidates),
        created=now,
        history=(Step(BatchState.PROPOSED, Reason.SELECTED, now),),
        version=1,
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
    return {
        "driftgate_id": item.id,
        "text": item.text,
        "predicted": item.predicted,
        "segment": item.segment,
        "risk": round(item.risk, 4),
        "reason": item.reason,
        "weight": item.weight,
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


def parse_returned(body: Mapping[str, Any], *, monitor: str) -> tuple[Label, ...]:
    """Labels from a Standard Webhooks body `annotation.returned`; InputError names the field that is wrong.

    `{"type", "timestamp", "data": {"batch", "labels": [{"id", "label" or null, "unusable", "annotator"}]}}`
    """
    if body.get("type") != "annotation.returned":
        raise _wrong("type", body.get("type"), '"annotation.returned"')
    time = _time(body.get("timestamp"))
    content = body.get("data")
    if not isinstance(content, Mapping):
        raise _wrong("data", content, "an object with batch and labels")
    batch, rows = _word(content.get("batch"), "data.batch"), content.get("labels")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_LABELS:
        raise _wrong("data.labels", len(rows) if isinstance(rows, list) else rows, f"a list of 1 to {MAX_LABELS} labels")
    return tuple(_label(row, f"data.labels[{i}]", Label(monitor, batch, "", None, time)) for i, row in enumerate(rows))


def _label(row: object, field: str, of: Label) -> Label:
    if not isinstance(row, Mapping):
        raise _wrong(field, row, "an object with id, label, unusable, annotator")
    label, unusable, annotator = row.get("label"), row.get("unusable", False), row.get("annotator", "")
    if not isinstance(unusable, bool):
        raise _wrong(f"{field}.unusable", unusable, "true or false")
    if (label is None) != unusable:
        raise _wrong(f"{field}.label", label, "a class, or null together with unusable: true")
    if not isinstance(annotator, str) or len(annotator) > _MAX_WORD:
        raise _wrong(f"{field}.annotator", annotator, f"a text of at most {_MAX_WORD} characters")
    named = None if label is None else _word(label, f"{field}.label")
    return Label(of.monitor, of.batch, _word(row.get("id"), f"{field}.id", longest=1_000), named, of.time, annotator, unusable)


def _word(value: object, field: str, *, longest: int = _MAX_WORD) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise _wrong(field, value, f"a text of 1 to {longest} characters")
    return value


def _time(value: object) -> float:
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise _wrong("timestamp", value, "a time as in RFC 3339, such as 2026-03-01T12:00:00Z")
    return parsed.timestamp()


def _wrong(field: str, value: object, wanted: str) -> InputError:
    return InputError("labels", f"{field}: expected {wanted}, found {value!r:.80}")
