"""What became of candidates once they are answered, and which of them a model may be trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from detectors.selection.assessment import Verdict, known_risk, verdicts
from detectors.selection.base import REJECTED
from service.annotation import answers
from service.label_checks.checking import HALF, given_to, names_class, part_of
from service.records import AnnotationBatch, Candidate, Outcome, Purpose
from service.risks import judged
from service.selecting.asking import judges, settled
from service.selecting.reading import Reading
from service.settings import SelectionSettings


def judge(read: Reading, batch: AnnotationBatch) -> AnnotationBatch:
    """The checked batch with outcomes, and risks now that labels are known, of those answered whose embedding is still kept."""
    first = answers(read.store, [batch])
    named = {item.id: first[item.id].label for item in batch.items if item.id in first and not names_class(first[item.id])}
    others = {name: Verdict.REJECTED if label.label is None else Verdict.USABLE for name, label in named.items() if name in read.vectors}
    batch = judged(batch, others)
    given = given_to(read, [batch])
    if given is None:
        return batch
    rows = np.flatnonzero([not judges(item) for item in given.items])
    if not len(rows):
        return batch
    items = [given.items[i] for i in rows.tolist()]
    classes = [settled(item, given.answers[i].label).label for item, i in zip(items, rows.tolist(), strict=True)]
    numbers = np.where([name is None for name in classes], REJECTED, given.base.names.numbers(classes))
    wrong = np.array([item.doubt or 0.0 for item in items])
    pool, known = part_of(given.pool, rows), given.base.known
    found = verdicts(pool, numbers, known, refused=wrong > HALF)
    risks = known_risk(pool, numbers, known, junk=np.array([item.junk for item in items], np.float32), wrong=wrong)
    batch = judged(batch, {item.id: Verdict(verdict) for item, verdict in zip(items, found.tolist(), strict=True)})
    by_id = {item.id: round(risk, 4) for item, risk in zip(items, risks.tolist(), strict=True)}
    return replace(batch, items=tuple(replace(item, known_risk=by_id.get(item.id, item.known_risk)) for item in batch.items))


def untrainable(items: Iterable[Candidate], settings: SelectionSettings) -> set[str]:
    """Ids of candidates that are held back: those whose labels the checks refuse, those whose risk is too high now that their label is
    known, and of those sent whatever their risk the ones whose label does not show that they do no harm."""
    return {item.id for item in items if not judges(item) and _held_back(item, settings)}


def _held_back(item: Candidate, settings: SelectionSettings) -> bool:
    if item.purpose is Purpose.AUDIT and not _safe(item, settings.risk_limit):
        return True
    return settings.label_checks and (item.outcome is Outcome.REFUSED or (item.known_risk or 0.0) > settings.risk_limit)


def _safe(item: Candidate, limit: float) -> bool:
    if item.known_risk is None:
        return item.risk <= limit
    return item.known_risk <= limit and item.outcome is Outcome.USABLE
