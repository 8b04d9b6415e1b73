"""Which of the samples that a person wants to send may be asked about, and how risky each is: as of any other candidate."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from detectors.selection.assessment import assess
from service.datasets import DataSet, DataSets, Role
from service.errors import ConflictError
from service.records import Pooled
from service.reference import Reference
from service.risks import calibrated
from service.selecting.asking import is_challenge
from service.selecting.knowing import ground
from service.selecting.reading import Reading

_JUDGES: tuple[Role, ...] = ("golden", "challenge")


@dataclass(frozen=True, slots=True)
class Assessed:
    """The risk of asking about a sample, and what it is made of."""

    risk: float
    junk: float
    contested: float
    influence: float
    nearest: tuple[str, ...]
    """Ids of the nearest rows that must not regress."""


def open_ones(read: Reading, rows: Collection[tuple[Pooled, int]]) -> Mapping[str, Assessed]:
    """Of rows, each with how many samples it stands for, those that may be asked about: without those that were, or that have a label,
    and without near-duplicates of these and of golden and challenge rows."""
    gathered = read.among_others(rows)
    wanted = {row.id for row, _ in rows}
    at = np.flatnonzero([row.id in wanted for row in gathered.rows])
    base = ground(gathered, read.material())
    parts = assess(base.pool, base.known, rows=at)
    risks = calibrated(read.batches).of(parts)
    told = zip(risks.tolist(), parts.junk.tolist(), parts.contested.tolist(), parts.influence.tolist(), parts.nearest.tolist(), strict=True)
    return {
        gathered.rows[row].id: Assessed(risk, junk, contested, influence, tuple(base.cited[i][0] for i in near))
        for row, (risk, junk, contested, influence, near) in zip(at.tolist(), told, strict=True)
    }


def judging(read: Reading, data_sets: DataSets) -> frozenset[str]:
    """Ids of the samples that models are judged by. ConflictError where nothing says what is too close to them."""
    drawn = (item.id for batch in read.batches for item in batch.items if is_challenge(item))
    rows = (row for found in _judges(data_sets, read.reference) for row in found.rows if row.part != "select")
    return frozenset((*drawn, *(row.sample.id for row in rows)))


def _judges(data_sets: DataSets, reference: Reference) -> Iterator[DataSet]:
    for role in _JUDGES:
        manifests = data_sets.versions(reference.monitor, role)
        if manifests and manifests[-1]["fingerprint"] != reference.fingerprint:
            raise ConflictError(
                f"monitor {reference.monitor}: the {role} set was embedded by another model than the reference in force, so nothing says "
                f"which samples are too close to it to be learnt from; add it again: driftgate dataset add --role {role} --input FILE"
            )
        if manifests:
            yield data_sets.load(reference.monitor, role)
