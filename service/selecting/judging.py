"""What became of candidates once they are answered, and which of them a model may be trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from detectors.selection.assessment import Verdict, known_risk, verdicts
from service.records import AnnotationBatch, Candidate, Outcome, Purpose
from service.risks import judged
from service.selecting.asking import asked
from service.selecting.gathering import Counts, Gathered
from service.selecting.knowing import answers_in, ground
from service.selecting.reading import Reading
from service.settings import SelectionSettings


def judge(read: Reading, batch: AnnotationBatch) -> AnnotationBatch:
    """The batch with outcomes, and risks now that labels are known, of those answered whose embedding is still kept."""
    answered = [(item, label) for item, label in asked(read.store, [batch]).answered() if item.id in read.vectors]
    if not answered or all(item.outcome is not None for item, _ in answered):
        return batch
    items = [item for item, _ in answered]
    vectors = np.stack([read.vectors[item.id] for item in items])
    rows = Gathered((), vectors, ((),) * len(items), np.array([item.weight for item in items], np.float32), Counts())
    labels = [label for _, label in answered]
    base = ground(rows, read.material(unheard=batch.id), named=[*(label.label for label in labels), *(item.predicted for item in items)])
    numbers = answers_in(base.names, labels)
    pool = replace(base.pool, predicted=base.names.numbers([item.predicted for item in items]))
    found = verdicts(pool, numbers, base.known)
    risks = known_risk(pool, numbers, base.known, junk=np.array([item.junk for item in items], np.float32))
    batch = judged(batch, {item.id: Verdict(verdict) for item, verdict in zip(items, found.tolist(), strict=True)})
    by_id = {item.id: risk for item, risk in zip(items, risks.tolist(), strict=True)}
    return replace(batch, items=tuple(replace(item, known_risk=by_id.get(item.id, item.known_risk)) for item in batch.items))


def untrainable(items: Iterable[Candidate], settings: SelectionSettings) -> set[str]:
    """Ids of candidates whose labels the checks refuse, and of those sent whatever their risk whose label does not show that they do no
    harm."""
    return {
        item.id for item in items if _refused(item, settings) or (item.purpose is Purpose.AUDIT and not _safe(item, settings.risk_limit))
    }


def _refused(item: Candidate, settings: SelectionSettings) -> bool:
    return settings.label_checks and item.outcome is Outcome.REFUSED


def _safe(item: Candidate, limit: float) -> bool:
    if item.known_risk is None:
        return item.risk <= limit
    return item.known_risk <= limit and item.outcome is Outcome.USABLE
