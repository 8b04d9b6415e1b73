"""Where a sample is, and what is left of it there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.datasets import ROLES, DataSet, Role
from service.errors import NotFoundError
from service.quality import LOOK
from service.records import AnnotationBatch, Output, Payload, Sample
from service.report.material import Material, Side
from service.report.parts import Missing

_BATCHES = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A sample, with its embedding where that was kept and is of the model in force."""

    sample: Sample
    place: str
    """`recent traffic`, `reference version 3`, `golden set version 1`, `annotation batch 5b0d6c1f`, `the input`."""
    bare: Missing | None = None
    """Why the payload is not at hand: then the sample's own is empty."""
    embedding: NDArray[np.float32] | None = None
    row: tuple[Side, int] | None = None
    """Where it is itself one of those that it is compared with."""

    @property
    def payload(self) -> Payload | None:
        """None where it was not kept."""
        return None if self.bare else self.sample.payload


Place: TypeAlias = Callable[[Material, str], Found | str]
"""Looks a sample's id up in one place: the sample, or what was looked through."""


def find(material: Material, sample: str) -> Found:
    """Recent traffic first, then the reference, the data sets, and what annotators are asked. NotFoundError says where was looked."""
    looked: list[str] = []
    for found in _places(material, sample):
        if isinstance(found, Found):
            return found
        looked.append(found)
    raise NotFoundError(
        f"monitor {material.monitor}: no sample {sample!r:.200}; looked in {', '.join(looked)}. "
        f"For one that is kept nowhere: driftgate explain --monitor {material.monitor} --input FILE"
    )


def _places(material: Material, sample: str) -> Iterator[Found | str]:
    yield _recent(material, sample)
    yield _reference(material, sample)
    for role in ROLES:
        yield _data_set(material, role, sample)
    yield _batches(material, sample)


def _recent(material: Material, sample: str) -> Found | str:
    kept = material.store.pool(material.monitor)
    row = next((row for row in reversed(kept) if row.id == sample), None)
    if row is None:
        return f"{len(kept):,} recent samples"
    vector = row.embedding.astype(np.float32)
    in_force = material.reference is not None and material.reference.version == row.reference_version
    brings_it = material.settings.embedder.input == "none"
    payload = vector if row.payload is None and brings_it else row.payload
    bare = None
    if payload is None:
        why = "its payload was not kept, or gave way to newer ones"
        bare = Missing("payload", why, "pool.keep_payloads: true keeps them; or explain it from a file with --input FILE")
    found = Sample(row.monitor, row.id, row.time, _or_empty(payload), row.segments, row.output, row.label)
    return Found(found, "recent traffic", bare, vector if in_force else None)


def _reference(material: Material, sample: str) -> Found | str:
    reference = material.reference
    if reference is None:
        return "no reference, as there is none"
    rows = reference.rows
    if sample not in rows.ids:
        return f"reference version {reference.version} ({len(rows):,} rows)"
    at = rows.ids.index(sample)
    vector, text = np.array(rows.embeddings[at], np.float32), rows.texts[at]
    brings_it = material.settings.embedder.input == "none"
    payload: Payload | None = vector if brings_it else text if 0 < len(text) < LOOK else None
    time = float("nan") if rows.times is None else float(rows.times[at])
    bare = None
    if payload is None:
        why = "a reference keeps embeddings, and texts only up to 500 characters"
        bare = Missing("payload", why, "explain it from a file with --input FILE")
    output = Output(rows.predicted[at]) if rows.predicted and rows.predicted[at] else None
    found = Sample(material.monitor, sample, time, _or_empty(payload), rows.segments[at], output, rows.labels[at])
    return Found(found, f"reference version {reference.version}", bare, vector, ("reference", at))


def _data_set(material: Material, role: Role, sample: str) -> Found | str:
    data_set = material.data_set(role)
    if not isinstance(data_set, DataSet):
        return f"no {role} set ({data_set.why})"
    at = next((i for i, row in enumerate(data_set.rows) if row.sample.id == sample), None)
    if at is None:
        return f"{role} set version {data_set.version} ({len(data_set.rows):,} rows)"
    own: tuple[Side, int] | None = ("train", at) if role == "train" else None
    return Found(data_set.rows[at].sample, f"{role} set version {data_set.version}", None, data_set.embeddings[at], own)


def _batches(material: Material, sample: str) -> Found | str:
    batches = material.store.find(AnnotationBatch, monitor=material.monitor, limit=_BATCHES)
    for batch in batches:
        for item in batch.items:
            if item.id == sample:
                bare = None if item.text else Missing("payload", "a batch keeps texts alone", "explain it from a file with --input FILE")
                return Found(Sample(material.monitor, sample, batch.created, item.text), f"annotation batch {batch.id}", bare)
    return f"{len(batches):,} annotation batch{'' if len(batches) == 1 else 'es'}"


def _or_empty(payload: Payload | None) -> Payload:
    return "" if payload is None else payload
