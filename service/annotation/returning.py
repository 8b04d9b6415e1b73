"""Labels back from annotators: ids and words are put right, the batch moves on, and nothing that came is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.annotation import life
from service.annotation.consensus import agreed, resolved
from service.annotation.errands import came_late
from service.annotation.scheme import UNUSABLE, Meaning, Words
from service.annotation.schemes import scheme_of
from service.annotation.shown import items_by_shown, shown_id
from service.errors import ConflictError, InputError
from service.ports import Store
from service.records import AnnotationBatch, BatchState, Label, Purpose

_BATCHES = 10_000


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What a delivery of labels did."""

    batch: AnnotationBatch
    changed: int
    """Labels that were new or said something else than before."""
    unusable: int
    """Of the batch's items, those answered as unusable so far."""
    unknown: tuple[str, ...] = ()
    """Ids that are not in the batch; their labels were dropped."""
    unresolved: tuple[str, ...] = ()
    """Words that the label scheme does not know: kept, but no answers until it does."""
    proposed: tuple[str, ...] = ()
    """Classes that annotators miss."""
    late: int = 0
    """Labels that came when the batch had ended: kept all the same."""
    conflicting: int = 0
    """Labels by which an annotator says something else than before; the newest counts."""


@dataclass(frozen=True, slots=True)
class _Count:
    answered: int
    """Candidates that have all their answers."""
    gold: int
    """The same of gold."""
    unusable: int
    answers: int


def take_back(store: Store, labels: Sequence[Label], *, quota: float, now: float) -> TakenBack:
    """Keeps the labels of one batch and moves it on. Repeating a delivery changes nothing; closed and cancelled batches still learn."""
    batch = _batch_of(store, labels)
    words = _words(store, batch.monitor)
    keys = _keys(batch)
    known = [_plain(words, replace(label, sample=keys[label.sample])) for label in labels if label.sample in keys]
    before = {(label.sample, label.annotator): label for label in store.labels(batch.monitor, batch=batch.id)}
    changed = store.add_labels(known)
    found = _count(store, batch, words)
    meant = [words.resolve(label.label) for label in known if label.label] if words else []
    moved = _moved(batch, found, quota, now)
    if moved is not batch:
        store.save(moved)
    late = len(known) if batch.state in life.ENDED else 0
    if late:
        came_late(store, batch)
    return TakenBack(
        moved,
        changed,
        found.unusable,
        unknown=tuple(dict.fromkeys(label.sample for label in labels if label.sample not in keys)),
        unresolved=tuple(dict.fromkeys(each.name for each in meant if each.meaning is Meaning.UNKNOWN)),
        proposed=tuple(dict.fromkeys(each.name for each in meant if each.meaning is Meaning.NEW)),
        late=late,
        conflicting=_conflicting(before, known),
    )


def recount(store: Store, monitor: str, *, quota: float, now: float) -> int:
    """Moves on the batches to which another label scheme gives more or fewer answers; returns how many those are."""
    words = _words(store, monitor)
    moved = 0
    for batch in store.find(AnnotationBatch, monitor=monitor, states=list(life.OUT), limit=_BATCHES):
        counted = _moved(batch, _count(store, batch, words), quota, now)
        moved += _saved(store, counted) if counted is not batch else 0
    return moved


def tend(store: Store, *, now: float) -> int:
    """Closes the batches whose deadline has passed with what has come; returns how many. For the controller's loop."""
    out = store.find(AnnotationBatch, states=list(life.OUT), limit=_BATCHES)
    due = [batch for batch in out if batch.deadline and batch.deadline <= now]
    return sum(_saved(store, life.expire(batch, _count(store, batch, _words(store, batch.monitor)).answered, now=now)) for batch in due)


def _saved(store: Store, batch: AnnotationBatch) -> int:
    try:
        store.save(batch)
    except ConflictError:  # labels came meanwhile: they have moved it, or the next look will
        return 0
    return 1


def _batch_of(store: Store, labels: Sequence[Label]) -> AnnotationBatch:
    names = {label.batch for label in labels}
    if len(names) != 1:
        raise InputError("labels", f"a delivery holds the labels of one batch, found {len(names)}; send one per batch")
    batch = store.get(AnnotationBatch, names.pop())
    if batch.state in (BatchState.PROPOSED, BatchState.APPROVED):
        raise ConflictError(f"annotation batch {batch.id} is {batch.state}, so nobody can have been asked yet; approve and send it first")
    return batch


def _words(store: Store, monitor: str) -> Words | None:
    scheme = scheme_of(store, monitor)
    return Words(scheme) if scheme else None


def _keys(batch: AnnotationBatch) -> dict[str, str]:
    """Under which id an answer is kept, by the id that it comes with: a sample's own, and for gold the one that was shown."""
    own = {item.id: item.id for item in batch.items}
    return own | {key: key if item.purpose is Purpose.GOLD else item.id for key, item in items_by_shown(batch).items()}


def _plain(words: Words | None, label: Label) -> Label:
    """The word for unusable as the answer that it is; all others are kept as they were said."""
    if label.label is None:
        return label
    read = words.resolve(label.label).meaning if words else None
    return replace(label, label=None, unusable=True) if read is Meaning.UNUSABLE or label.label == UNUSABLE else label


def _count(store: Store, batch: AnnotationBatch, words: Words | None) -> _Count:
    """What has all its answers, each of another annotator."""
    labels = resolved(words, store.labels(batch.monitor, batch=batch.id))
    given = Counter(label.sample for label in labels)
    ids = {item.id for item in batch.items}
    unusable = sum(answer.unusable for sample, answer in agreed(labels).items() if sample in ids)
    answered = sum(given[item.id] >= item.answers for item in batch.items)
    gold = sum(given[shown_id(batch, item)] >= item.answers for item in batch.gold)
    return _Count(answered, gold, unusable, len(labels))


def _moved(batch: AnnotationBatch, found: _Count, quota: float, now: float) -> AnnotationBatch:
    """The same object where nothing is new; the first answer is a step, though its item may need another one."""
    nothing_yet = batch.state is BatchState.SENT and not found.answers
    if nothing_yet or batch.state not in life.OUT:
        return batch
    moved = life.returned(batch, found.answered, quota=quota, now=now, gold=found.gold)
    return batch if (moved.state, moved.returned) == (batch.state, batch.returned) else moved


def _conflicting(before: dict[tuple[str, str], Label], given: Sequence[Label]) -> int:
    said = {key: (label.label, label.unusable) for key, label in before.items()}
    count = 0
    for label in given:
        key, says = (label.sample, label.annotator), (label.label, label.unusable)
        count += not label.withdrawn and said.get(key, says) != says
        said[key] = says
    return count
