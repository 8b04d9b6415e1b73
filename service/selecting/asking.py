"""What annotators were asked before, and what they answered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from service.annotation import answers
from service.annotation.preparing import MOST_TEXT
from service.ports import Store
from service.records import AnnotationBatch, BatchState, Candidate, Label, Pooled, Purpose

CHALLENGE = "drawn at random from the drifted traffic, for the challenge set"

MAX_TEXT = MOST_TEXT

_BATCHES = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Candidates of a monitor's batches, and the prevailing answer to each that has one."""

    items: Mapping[str, Candidate] = field(default_factory=dict)
    answers: Mapping[str, Label] = field(default_factory=dict)

    def answered(self) -> Sequence[tuple[Candidate, Label]]:
        """What may be learnt from: challenge rows and those drawn for golden judge models, so nothing is chosen by their labels."""
        return [(item, self.answers[item.id]) for item in self.items.values() if item.id in self.answers and not judges(item)]


def is_challenge(item: Candidate) -> bool:
    """Whether it was drawn to judge models by; batches of former versions say so by their reason alone."""
    return item.purpose is Purpose.CHALLENGE or item.reason == CHALLENGE


def judges(item: Candidate) -> bool:
    """Whether models are judged by it."""
    return is_challenge(item) or item.purpose is Purpose.TOP_UP


def asked(store: Store, batches: Iterable[AnnotationBatch]) -> Asked:
    """What these batches ask, or would have asked had nobody taken it out, and the answers so far. A batch that was cancelled before
    anybody answered asks nothing."""
    batches = list(batches)
    given = {sample: found.label for sample, found in answers(store, batches).items()}
    first = (
        item
        for batch in batches
        for item in batch.chosen
        if not item.again and (batch.state is not BatchState.CANCELLED or item.id in given)
    )
    items = {item.id: item for item in first}
    return Asked(items, {sample: settled(items.get(sample), label) for sample, label in given.items()})


def settled(item: Candidate | None, label: Label) -> Label:
    """The answer that the label checks have settled on, where several differed."""
    if item is None or item.settled is None:
        return label
    return replace(label, label=item.settled or None, unusable=not item.settled)


def batches_of(store: Store, monitor: str) -> Sequence[AnnotationBatch]:
    """All of the monitor's, oldest first."""
    return list(reversed(store.find(AnnotationBatch, monitor=monitor, limit=_BATCHES)))


def found(ids: Collection[str], rows: Iterable[Pooled], reference_version: int) -> dict[str, NDArray[np.float32]]:
    """Embeddings of those of the ids that are still kept, under the reference version."""
    kept = (row for row in rows if row.id in ids and row.reference_version == reference_version)
    return {row.id: row.embedding.astype(np.float32) for row in kept}
