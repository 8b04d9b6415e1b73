"""What leaves when a refresh cycle takes a step: CloudEvents, one item for each destination, the same at every repetition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.events import TYPES, envelope
from service.moments import written
from service.records import AnnotationBatch, Label, OutboxItem, RefreshCycle, stable_id

TRAINED_ON, NEVER_TRAINED_ON = "train", "challenge"


def event(
    cycle: RefreshCycle, kind: str, content: Mapping[str, Any], destinations: Iterable[str], *, now: float, of: Sequence[object] = ()
) -> tuple[OutboxItem, ...]:
    """An item of `kind` (`refresh.requested`) for each destination. `of`: what tells two events of the same kind and cycle apart."""
    named = TYPES + kind
    name = cycle.id if kind == "refresh.requested" else stable_id(named, cycle.id, *of)
    told = envelope(name, named, dict(content), monitor=cycle.monitor, subject=cycle.id, time=now)
    return tuple(OutboxItem(stable_id(named, cycle.id, *of, to), kind, to, told, created=now, due=now) for to in destinations)


@dataclass(frozen=True, slots=True)
class Terms:
    """What whoever trains is told beside the labels."""

    model: Mapping[str, Any] = field(default_factory=dict)
    """The one in force, which the new one starts from and is held against: `path`, `uri`, `checksum`, `version`, `classes`."""
    rows_url: str | None = None
    """Where the rows can be fetched without this installation's disk."""
    rows_until: float | None = None
    give_back: str | None = None
    """Where the new model is put."""
    deadline: float | None = None
    left_out: int = 0
    """Labels that none of the data sets has."""


PLAIN = Terms()


def requested(
    cycle: RefreshCycle, batches: Sequence[AnnotationBatch], answers: Iterable[Label], data_sets: Sequence[Mapping[str, Any]], terms: Terms
) -> dict[str, Any]:
    """What a request for training says: references to data sets and counts of labels, no texts."""
    given = list(answers)
    counts = Counter(answer.label for answer in given if answer.label is not None)
    rows = {str(each["role"]): each["rows"] for each in data_sets}
    return {
        "cycle": cycle.id,
        "monitor": cycle.monitor,
        "reference_version": cycle.reference_version,
        "opened_by": cycle.opened_by,
        "trigger": cycle.trigger,
        "attempt": cycle.attempt,
        "model": dict(terms.model),
        "scheme": batches[-1].scheme if batches else 0,
        "batch": cycle.batch,
        "labels": dict(sorted(counts.items())),
        "unusable": sum(answer.unusable for answer in given),
        "left_out": terms.left_out,
        "data_sets": [dict(data_set) for data_set in data_sets],
        "split": {role: rows.get(role, 0) for role in (TRAINED_ON, NEVER_TRAINED_ON)},
        "provenance": [_provenance(batch) for batch in batches],
        "data": terms.rows_url and {"url": terms.rows_url, "until": terms.rows_until and written(terms.rows_until)},
        "return": terms.give_back and {"method": "PUT", "url": terms.give_back},
        "deadline": terms.deadline and written(terms.deadline),
    }


def _provenance(batch: AnnotationBatch) -> dict[str, Any]:
    """Where labels come from."""
    return {"batch": batch.id, "scheme": batch.scheme, "manifest": batch.manifest, "asked": len(batch.items), "answered": batch.returned}
