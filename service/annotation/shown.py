"""What an annotator sees of a batch: ids, order and priorities that give nothing away, and no opinion where one would colour the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.annotation.pricing import price_of
from service.annotation.scheme import NEW, NONE, UNUSABLE, naming
from service.moments import written
from service.records import AnnotationBatch, Candidate, LabelScheme, OutboxItem, stable_id

BATCH = "annotation.batch"
CANCELLED = "annotation.cancelled"
PRIORITY = "annotation.priority"


def items_by_shown(batch: AnnotationBatch) -> Mapping[str, Candidate]:
    """Candidates and gold by the ids that annotators see, in the order in which they see them."""
    shown = {shown_id(batch, item): item for item in (*batch.items, *batch.gold)}
    return {key: shown[key] for key in sorted(shown, key=lambda key: stable_id("order", batch.id, key))}


def shown_id(batch: AnnotationBatch, item: Candidate) -> str:
    """The sample's own; in a batch with gold none shows where its item comes from."""
    return stable_id("item", batch.id, item.purpose, item.id) if batch.gold else item.id


def outgoing(batch: AnnotationBatch, *, destination: str, price: float | None, now: float, scheme: LabelScheme | None = None) -> OutboxItem:
    """What annotators get: one item per batch, whoever sends it again."""
    payload = {
        "batch": batch.id,
        "monitor": batch.monitor,
        "cycle": batch.cycle,
        "reference_version": batch.reference_version,
        "manifest": batch.manifest,
        "scheme": told(scheme),
        "deadline": written(batch.deadline, "seconds") if batch.deadline else None,
        "priority": batch.priority,
        "price_estimate": price_of(batch, price),
        "candidates": _items(batch, naming(scheme)),
    }
    return OutboxItem(stable_id(BATCH, batch.id), BATCH, destination, payload, created=now, due=now)


def withdrawn(batch: AnnotationBatch, *, note: str, now: float) -> Sequence[OutboxItem]:
    """What tells the annotators of a cancelled batch that no more is expected; nothing where they never had it."""
    if not batch.destination:
        return ()
    payload = {"batch": batch.id, "monitor": batch.monitor, "cycle": batch.cycle, "reason": batch.history[-1].reason, "note": note}
    return (OutboxItem(stable_id(CANCELLED, batch.id), CANCELLED, batch.destination, payload, created=now, due=now),)


def reordered(batch: AnnotationBatch, *, now: float) -> Sequence[OutboxItem]:
    """What tells the annotators of a batch that is with them in which order it is wanted now."""
    if not batch.destination:
        return ()
    items = {item["driftgate_id"]: item["priority"] for item in _items(batch, str)}
    payload = {"batch": batch.id, "monitor": batch.monitor, "priority": batch.priority, "items": items}
    return (OutboxItem(stable_id(PRIORITY, batch.id, batch.version), PRIORITY, batch.destination, payload, created=now, due=now),)


def told(scheme: LabelScheme | None) -> Mapping[str, Any] | None:
    """The scheme as annotators' tools read it."""
    if scheme is None:
        return None
    classes = [{"name": each.name, "aliases": list(each.aliases), "guideline": each.guideline} for each in scheme.classes]
    return {
        "number": scheme.number,
        "guideline": scheme.guideline,
        "classes": classes,
        "unusable": UNUSABLE,
        "none": NONE,
        "new": NEW,
    }


def _items(batch: AnnotationBatch, called: Callable[[str], str]) -> list[dict[str, Any]]:
    lenders = [item for item in batch.items if not item.blind]
    items = items_by_shown(batch).items()
    return [_shown(batch, key, item, called) | {"priority": round(_priority(key, item, lenders), 4)} for key, item in items]


def _shown(batch: AnnotationBatch, key: str, item: Candidate, called: Callable[[str], str]) -> dict[str, Any]:
    """Where there is gold everything is blind: the rows without a prediction would be the ones with known answers."""
    blind = item.blind or bool(batch.gold)
    return {
        "driftgate_id": key,
        "text": item.text,
        "segment": item.segment,
        "answers": item.answers,
        "predicted": None if blind or item.predicted is None else called(item.predicted),
        "risk": None if blind else round(item.risk, 4),
        "reason": None if blind else item.reason,
        "weight": 1 if blind else item.weight,
    }


def _priority(key: str, item: Candidate, lenders: Sequence[Candidate]) -> float:
    """A blind item borrows that of another one: it stands anywhere among them, and is not left to the end either."""
    if not item.blind:
        return item.priority
    return lenders[int(stable_id("lender", key), 16) % len(lenders)].priority if lenders else 0.0
