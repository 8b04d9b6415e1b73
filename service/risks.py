"""What a monitor's answered batches teach about the risks of its next candidates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors.selection.assessment import Verdict
from detectors.selection.risk import Reliability, Risk, reliability
from service.records import AnnotationBatch, Candidate, Outcome, Purpose

_OUTCOMES = {
    Verdict.USABLE: Outcome.USABLE,
    Verdict.REJECTED: Outcome.REJECTED,
    Verdict.REFUSED: Outcome.REFUSED,
    Verdict.HARMFUL: Outcome.HARMFUL,
}


def judged(batch: AnnotationBatch, verdicts: Mapping[str, Verdict]) -> AnnotationBatch:
    """The batch with what became of its candidates, by their ids; the same object where that is known already.

    An outcome stays as it was first judged: what is known later would judge by what the sample itself has taught.
    """
    items = tuple(_with_outcome(item, verdicts) for item in batch.items)
    return batch if items == batch.items else replace(batch, items=items)


def _with_outcome(item: Candidate, verdicts: Mapping[str, Verdict]) -> Candidate:
    if item.outcome is not None or item.purpose is Purpose.CHALLENGE or item.id not in verdicts:
        return item
    return replace(item, outcome=_OUTCOMES[verdicts[item.id]])


def calibrated(batches: Iterable[AnnotationBatch]) -> Risk:
    """The risk measured on other streams, moved by the outcomes of this one."""
    known = list(_known(batches))
    if not known:
        return Risk()
    parts = np.array([(item.junk, item.contested, item.influence) for item in known], np.float32)
    return Risk().updated(parts, _bad(known))


def curve(batches: Iterable[AnnotationBatch]) -> Reliability:
    """The risks that candidates were sent with, against what became of them."""
    known = list(_known(batches))
    return reliability(np.array([item.risk for item in known], np.float32), _bad(known))


def _known(batches: Iterable[AnnotationBatch]) -> Iterator[Candidate]:
    return (item for batch in batches for item in batch.items if item.outcome is not None)


def _bad(items: Iterable[Candidate]) -> NDArray[np.bool_]:
    return np.array([item.outcome is not Outcome.USABLE for item in items], np.bool_)
