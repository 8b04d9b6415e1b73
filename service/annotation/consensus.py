"""The answers of a monitor's batches: resolved by the label scheme, several of one sample brought together, gold apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detectors.consensus import UNKNOWN_TRUTH, Consensus, consensus
from service.annotation.scheme import Meaning, Words
from service.annotation.schemes import scheme_of
from service.annotation.shown import shown_id
from service.ports import Store
from service.records import AnnotationBatch, BatchState, Label

_FURTHER = 3
"""Answers beside the classes: unusable, none of these, a new class."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the answers to one sample come to."""

    label: Label
    """Of those that say so, the newest; its class is the scheme's, or *none of these*, or *new: NAME*; None for unusable."""
    probability: float
    """That it is right, by what is known of who answered."""
    spread: float
    """How uncertain that probability is itself: a standard deviation."""
    answers: int
    unanimous: bool


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How good an annotator's answers are, shrunk towards what is common among all of them."""

    mean: float
    low: float
    high: float
    """95 % interval."""
    answers: int
    gold: int
    """Of them, those to rows whose answer is known."""
    gold_right: int


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """An answer whose truth is known."""

    annotator: str
    sample: str
    """The golden row."""
    given: str | None
    truth: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """One answer to one thing that was asked; `truth` is known of gold."""

    asked: str
    label: Label
    truth: str = ""


def answers(store: Store, batches: Iterable[AnnotationBatch]) -> dict[str, Agreement]:
    """What the answers to the candidates of these batches of one monitor come to, by sample; a sample that several of them ask has one.
    Words that the scheme does not know are no answers."""
    given, choices = _given(store, list(batches))
    return _agreements(given, choices)


def agreed(labels: Sequence[Label]) -> dict[str, Label]:
    """One answer per sample: the one that most annotators gave, the better ones counting more, the newest of equals."""
    return {sample: found.label for sample, found in _agreements([_Answer(label.sample, label) for label in labels]).items()}


def annotators(store: Store, batches: Iterable[AnnotationBatch]) -> dict[str, Accuracy]:
    """How good those are who answered these batches of one monitor, by gold and by how they agree."""
    given, choices = _given(store, list(batches))
    given = _newest(given)
    if not given:
        return {}
    people, found = _solved(given, choices)
    low, high = found.accuracies.interval()
    return {name: _accuracy(name, given, found.accuracies.mean[at], (low[at], high[at])) for at, name in enumerate(people)}


def gold_answers(store: Store, batch: AnnotationBatch) -> list[GoldAnswer]:
    """What annotators said to the batch's gold."""
    rows = {shown_id(batch, item): item.id for item in batch.gold}
    given, _ = _given(store, [batch])
    return [GoldAnswer(each.label.annotator, rows[each.label.sample], each.label.label, each.truth) for each in given if each.truth]


def resolved(words: Words | None, labels: Iterable[Label]) -> list[Label]:
    """The labels with the classes that their words mean by now, without those that mean nothing."""
    if words is None:
        return list(labels)
    return [each for label in labels if (each := in_words(words, label)) is not None]


def in_words(words: Words, label: Label) -> Label | None:
    """The label as the scheme reads it; None where it knows no such word."""
    if label.label is None:
        return label
    read = words.resolve(label.label)
    if read.meaning is Meaning.UNKNOWN:
        return None
    return replace(label, label=read.word, unusable=read.meaning is Meaning.UNUSABLE)


def _given(store: Store, batches: Sequence[AnnotationBatch]) -> tuple[list[_Answer], int]:
    """The answers to candidates and to gold, and how many there are to choose from."""
    scheme = scheme_of(store, batches[0].monitor) if batches else None
    words = Words(scheme) if scheme else None
    found: list[_Answer] = []
    for batch in batches:
        asked = {item.id for item in batch.items}
        truths = {shown_id(batch, item): words.canonical(item.truth) if words else item.truth for item in batch.gold}
        labels = resolved(words, store.labels(batch.monitor, batch=batch.id)) if _was_sent(batch) else ()
        found += [_Answer(f"{batch.id} {each.sample}", each, truths[each.sample]) for each in labels if each.sample in truths]
        found += [_Answer(each.sample, each) for each in labels if each.sample in asked]
    return found, len(scheme.classes) + _FURTHER if scheme else 0


def _was_sent(batch: AnnotationBatch) -> bool:
    return batch.state not in (BatchState.PROPOSED, BatchState.APPROVED, BatchState.SENT)


# --- numbers ----------------------------------------------------------------------------------------------------------


def _agreements(given: Sequence[_Answer], choices: int = 0) -> dict[str, Agreement]:
    given = _newest(given)
    if not given:
        return {}
    _, found = _solved(given, choices)
    by_sample: dict[str, list[int]] = {}
    for at, answer in enumerate(given):
        if not answer.truth:
            by_sample.setdefault(answer.asked, []).append(at)
    numbers = {asked: number for number, asked in enumerate(dict.fromkeys(answer.asked for answer in given))}
    sure = found.of_answer.round(9)
    return {
        sample: _agreement([given[at].label for at in places], sure[places].tolist(), float(found.spread[numbers[sample]]))
        for sample, places in by_sample.items()
    }


def _agreement(labels: Sequence[Label], sure: Sequence[float], spread: float) -> Agreement:
    probability, label = max(zip(sure, labels, strict=True), key=lambda each: (each[0], each[1].time, each[1].annotator))
    return Agreement(label, probability, spread, len(labels), len({each.label for each in labels}) == 1)


def _solved(given: Sequence[_Answer], choices: int) -> tuple[Sequence[str], Consensus]:
    """Who answered, and the consensus, in the order of these answers."""
    asked = {name: number for number, name in enumerate(dict.fromkeys(answer.asked for answer in given))}
    people = {name: number for number, name in enumerate(sorted({answer.label.annotator for answer in given}))}
    said = [answer.label.label or "" for answer in given]
    truths = {asked[answer.asked]: answer.truth for answer in given if answer.truth}
    classes = {name: number for number, name in enumerate(dict.fromkeys([*said, *truths.values()]))}
    known = np.full(len(asked), UNKNOWN_TRUTH, np.int64)
    known[list(truths)] = [classes[truth] for truth in truths.values()]
    found = consensus(
        np.array([asked[answer.asked] for answer in given], np.int64),
        np.array([people[answer.label.annotator] for answer in given], np.int64),
        np.array([classes[each] for each in said], np.int64),
        classes=max(choices, len(classes), 2),
        truth=known,
    )
    return list(people), found


def _newest(given: Sequence[_Answer]) -> list[_Answer]:
    """Of several answers of one annotator to the same question, in batches of their own, the newest."""
    kept: dict[tuple[str, str], _Answer] = {}
    for answer in sorted(given, key=lambda each: each.label.time):
        kept[answer.asked, answer.label.annotator] = answer
    return list(kept.values())


def _accuracy(name: str, given: Sequence[_Answer], mean: float, bounds: tuple[float, float]) -> Accuracy:
    own = [answer for answer in given if answer.label.annotator == name]
    gold = [answer for answer in own if answer.truth]
    right = sum(answer.label.label == answer.truth for answer in gold)
    return Accuracy(float(mean), float(bounds[0]), float(bounds[1]), len(own), len(gold), right)
