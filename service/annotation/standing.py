"""How a batch stands, for people: what it costs, what it waits for, what was answered, and how good those are who answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.annotation.adopting import ProposedClass, proposals
from service.annotation.consensus import Accuracy, Agreement, annotators, answers
from service.annotation.manifest import is_intact
from service.annotation.pricing import labels_asked, price_of, waits_for
from service.annotation.scheme import Meaning, Words
from service.annotation.schemes import scheme_of
from service.ports import Store
from service.records import AnnotationBatch, BatchState
from service.settings import AnnotationSettings


@dataclass(frozen=True, slots=True)
class BatchStanding:
    """What is known of a batch beside what it says itself."""

    labels: int
    """Answers asked for."""
    price: float | None
    waits: str
    """Why it is not sent yet; ''."""
    intact: bool
    """Whether it is still what was sealed; true of batches of former versions, which have no seal."""
    agreements: Mapping[str, Agreement]
    annotators: Mapping[str, Accuracy]
    proposed: Sequence[ProposedClass]
    unresolved: Mapping[str, int]
    """Words that the scheme does not know, the commonest first."""


def standing(store: Store, batch: AnnotationBatch, settings: AnnotationSettings) -> BatchStanding:
    """As it is now."""
    found = answers(store, [batch])
    return BatchStanding(
        labels=labels_asked(batch),
        price=price_of(batch, settings.price),
        waits=(waits_for(batch, settings) or "a person") if batch.state is BatchState.PROPOSED else "",
        intact=not batch.manifest or is_intact(batch),
        agreements=found,
        annotators=annotators(store, [batch]),
        proposed=proposals(found),
        unresolved=_unresolved(store, batch),
    )


def _unresolved(store: Store, batch: AnnotationBatch) -> Mapping[str, int]:
    scheme = scheme_of(store, batch.monitor)
    if scheme is None:
        return {}
    words = Words(scheme)
    read = (words.resolve(label.label) for label in store.labels(batch.monitor, batch=batch.id) if label.label)
    return dict(Counter(each.name for each in read if each.meaning is Meaning.UNKNOWN).most_common())
