"""How risky the samples are that a person wants to send: told as of any other candidate, so that risks go on meaning what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.selection.assessment import Parts, assess
from detectors.selection.base import UNKNOWN, Known, Pool
from service import risks
from service.ports import Store
from service.records import AnnotationBatch, Pooled
from service.reference import Reference
from service.reference_rows import answer

_KNOWN, _COMPANY, _BATCHES = 5_000, 2_000, 1_000
"""Reference rows that they are held against, kept samples that tell what is alone, and batches whose outcomes count."""


@dataclass(frozen=True, slots=True, eq=False)
class Assessed:
    """Of r rows."""

    risk: NDArray[np.float32]
    parts: Parts
    cited: tuple[tuple[str, ...], ...]
    """Ids of the nearest reference rows of each."""


def assessed(store: Store, reference: Reference, classes: Sequence[str], rows: Sequence[Pooled], others: Sequence[Pooled]) -> Assessed:
    """Of rows among others that are kept."""
    at = _spread(len(reference.rows), _KNOWN)
    labels = [reference.rows.labels[i] for i in at.tolist()]
    said = [reference.rows.predicted[i] if reference.rows.predicted else "" for i in at.tolist()]
    code = {name: number for number, name in enumerate(dict.fromkeys([*classes, *sorted({*said, *filter(None, labels)} - {""})]))}
    known = Known(np.asarray(reference.rows.embeddings[at], np.float32), _codes(labels, code), _codes(said, code) if any(said) else None)
    company = [*rows, *(others[i] for i in _spread(len(others), _COMPANY).tolist())]
    answers = _codes([answer(row.output, None, classes) for row in company], code)
    pool = Pool(np.stack([row.embedding for row in company]).astype(np.float32), predicted=answers)
    parts = assess(pool, known, rows=np.arange(len(rows)))
    batches = store.find(AnnotationBatch, monitor=reference.monitor, limit=_BATCHES)
    cited = tuple(tuple(reference.rows.ids[int(at[i])] for i in near) for near in parts.nearest.tolist())
    return Assessed(risks.calibrated(batches).of(parts), parts, cited)


def _codes(names: Sequence[str | None], code: dict[str, int]) -> NDArray[np.int64]:
    return np.array([code.get(name or "", UNKNOWN) for name in names], np.int64)


def _spread(rows: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, max(rows - 1, 0), min(rows, most)).astype(np.int64)
