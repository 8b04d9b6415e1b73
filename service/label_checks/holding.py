"""What labels that are held back from training spare and what they cost, foretold before anything is trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.selection.balance import Share, balance
from detectors.selection.ground import Opinion
from service.label_checks.checking import given_to
from service.records import AnnotationBatch, Measured
from service.selecting.asking import judges, settled
from service.selecting.reading import Reading


@dataclass(frozen=True, slots=True)
class Held:
    """Of a cycle: shares, each with the interval of `detectors.selection.balance`, as a virtual step of the last layer foretells them."""

    labels: int
    """Held back, as far as their embeddings are kept."""
    rows: int
    """Of golden's *select* part; of the reference where there is none."""
    flips_avoided: Measured
    """Share of those rows that the model gets right and would have lost."""
    gain_lost: Measured
    """Share of those rows that the model gets wrong and would have got right."""
    answers: int
    """Other answers of the cycle that are trained on."""
    answers_lost: Measured
    """Share of these that the model gets wrong and would have got right: the failing samples, of which golden may have none."""


def weighed(read: Reading, batches: Sequence[AnnotationBatch], names: Collection[str]) -> Held | None:
    """What training on the candidates of these names would have done; None where there are none, or nothing tells what a model would do."""
    given = given_to(read, batches) if names and batches else None
    if given is None:
        return None
    told = [settled(item, answer.label).label for item, answer in zip(given.items, given.answers, strict=True)]
    labels = given.base.names.numbers(told)
    learnt = np.array([not judges(item) for item in given.items], bool) & (labels >= 0)
    inside = np.array([item.id in names for item in given.items], bool) & learnt
    opinion = Opinion.of(given.base.known, given.pool.embeddings, given.pool.probabilities)
    if opinion is None or not inside.any():
        return None
    rows, said = given.pool.embeddings, opinion.probabilities
    held = (rows[inside], said[inside], labels[inside])
    kept = learnt & ~inside
    golden = balance(opinion.harm, held, rows=opinion.rows, said=opinion.said, truth=opinion.truth)
    others = balance(opinion.harm, held, rows=rows[kept], said=said[kept], truth=labels[kept])
    return Held(int(inside.sum()), golden.rows, _measured(golden.broken), _measured(golden.mended), others.rows, _measured(others.mended))


def _measured(share: Share) -> Measured:
    return Measured(*(round(value, 6) for value in share))
