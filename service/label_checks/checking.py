"""Answers to a batch held against what is known: how likely each is wrong, and which of two that differ is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from detectors.selection.base import UNKNOWN, Known, Pool
from detectors.selection.doubts import USUALLY_WRONG, WITNESSES, Doubts, doubts, settled, wrong
from service.annotation import NONE, Agreement, answers
from service.label_checks.people import Looks, Person, people
from service.records import AnnotationBatch, Candidate
from service.selecting.asking import is_challenge
from service.selecting.gathering import Counts, Gathered
from service.selecting.knowing import Ground, ground, scores_of
from service.selecting.reading import Reading

HALF = 0.5
"""Probability of being wrong above which an answer trains nothing."""

_SPEAKS = 0.5
"""Log-odds from which something is said to speak against an answer."""

_ANNOTATOR, _DIFFER, _MODEL = "annotator", "answers differ", "model"


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch whose candidates know how doubtful their labels are, and what its annotators' answers look like together."""

    batch: AnnotationBatch
    people: tuple[Person, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """Answers that name a class, in the numbers of the methods."""

    items: tuple[Candidate, ...]
    answers: tuple[Agreement, ...]
    again: Mapping[str, Agreement]
    """Second opinions, by sample."""
    base: Ground
    pool: Pool
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What is believed of n answers."""

    rows: NDArray[np.int64]
    doubts: Doubts
    before: NDArray[np.float64]
    """How likely each was to be wrong by who gave it."""
    probability: NDArray[np.float64]
    second: NDArray[np.bool_]
    """Whether the second opinion is believed."""
    told: NDArray[np.bool_]
    """Whether there is one that differs."""

    @property
    def overruled(self) -> NDArray[np.bool_]:
        """(n,) whether another answer than the first is believed."""
        return self.second & self.told


def check(read: Reading, batch: AnnotationBatch, second: AnnotationBatch | None = None) -> Checked:
    """The answered batch, with the second opinions about it where they are in. Answers that name no class are not doubted, nor those whose
    embedding is not kept any more."""
    given = given_to(read, [batch], second)
    if given is None:
        return Checked(batch)
    drawn = np.array([is_challenge(item) for item in given.items], bool)
    learnt, judging = np.flatnonzero(~drawn), np.flatnonzero(drawn)
    found = [_checked(given, learnt, given.base.known)] if len(learnt) else []
    looks = _looks(given, found[0]) if found else None
    if len(judging):
        found.append(_checked(given, judging, _with(given, found)))
    marked = {item.id: item for part in found for item in _marked(given, part)}
    items = tuple(marked.get(item.id, item) for item in batch.items)
    told = people(read.store, batch, looks, given.base.names) if looks else ()
    return Checked(batch if items == batch.items else replace(batch, items=items), told)


def _looks(given: Given, found: _Found) -> Looks:
    """The first answers as they look in the end."""
    agreed = [(given.items[row].id, int(given.labels[row])) for row in found.rows.tolist()]
    return Looks(agreed, found.doubts.heads, np.where(found.overruled, 1 - found.probability, found.probability))


def given_to(read: Reading, batches: Sequence[AnnotationBatch], second: AnnotationBatch | None = None) -> Given | None:
    """The first answers to these batches, the last of them not yet heard; None where none names a class."""
    first = answers(read.store, batches)
    again = answers(read.store, [second]) if second is not None else {}
    asked = [item for batch in batches for item in batch.items]
    named = [item for item in asked if item.id in first and item.id in read.vectors and names_class(first[item.id])]
    if not named:
        return None
    told = [first[item.id] for item in named]
    classes = [each.label.label for each in (*told, *again.values())]
    vectors = np.stack([read.vectors[item.id] for item in named])
    rows = Gathered((), vectors, ((),) * len(named), np.array([item.weight for item in named], np.float32), Counts())
    others = (name for item in named for name in (item.predicted, item.settled))
    base = ground(rows, read.material(unheard=batches[-1].id), named=[*classes, *others])
    predicted = base.names.numbers([item.predicted for item in named])
    pool = replace(base.pool, predicted=predicted, probabilities=_said(read, named))
    return Given(tuple(named), tuple(told), again, base, pool, base.names.numbers([each.label.label for each in told]))


def names_class(answer: Agreement) -> bool:
    """Whether it says what the sample is, not only what it is not."""
    return answer.label.label is not None and answer.label.label != NONE


def _said(read: Reading, items: Sequence[Candidate]) -> NDArray[np.float32] | None:
    """(n, C) what the model in force said, None where it told hardly any."""
    width = len(read.settings.classes)
    outputs = read.outputs({item.id for item in items})
    told = [scores_of(outputs.get(item.id), width) for item in items]
    if not width or 2 * sum(each is not None for each in told) < len(told):
        return None
    return np.stack([np.full(width, np.nan, np.float32) if each is None else each for each in told])


def _with(given: Given, found: Sequence[_Found]) -> Known:
    """What is known for rows that models are judged by: the believed answers to the others too, as none of these is learnt from."""
    known = given.base.known
    kept = found[0].rows[(found[0].probability < HALF) & ~found[0].overruled] if found else np.empty(0, np.int64)
    if not len(kept):
        return known
    vectors, labels, said = given.pool.embeddings[kept], given.labels[kept], np.full(len(kept), UNKNOWN, np.int64)
    if known.answered is None or known.answers is None:
        return replace(known, answered=vectors, answers=labels, answered_predicted=said)
    before = np.full(len(known.answers), UNKNOWN, np.int64) if known.answered_predicted is None else known.answered_predicted
    return replace(
        known,
        answered=np.concatenate([known.answered, vectors]),
        answers=np.concatenate([known.answers, labels]),
        answered_predicted=np.concatenate([before, said]),
    )


def _checked(given: Given, rows: NDArray[np.int64], known: Known) -> _Found:
    pool, labels = part_of(given.pool, rows), given.labels[rows]
    found = doubts(pool, labels, known)
    told = [given.answers[i] for i in rows.tolist()]
    before = np.array([1 - each.probability for each in told])
    probability = wrong(found.odds, before, _alone(told))
    usual = expit(logit(np.clip(probability, 1e-6, 1 - 1e-6)) - found.odds)
    again = [given.again.get(given.items[i].id) for i in rows.tolist()]
    asked = np.flatnonzero([each is not None for each in again])
    second, differs = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    if len(asked):
        others = [each for each in again if each is not None]
        same = np.array([each.label.label == told[i].label.label for each, i in zip(others, asked.tolist(), strict=True)])
        odds = np.column_stack([found.odds[asked], _odds_of(others, labels, asked, pool, known, given)])
        errors = np.column_stack([usual[asked], [1 - each.probability for each in others]])
        second[asked], probability[asked] = settled(odds, errors, same=same)
        differs[asked] = ~same
    return _Found(rows, found, usual, probability, second, differs)


def _odds_of(
    others: Sequence[Agreement], labels: NDArray[np.int64], asked: NDArray[np.int64], pool: Pool, known: Known, given: Given
) -> NDArray[np.float64]:
    """(a,) what is seen of the second opinions in the place of the first ones; 0 for those that name no class."""
    numbers = given.base.names.numbers([each.label.label if names_class(each) else None for each in others])
    instead = labels.copy()
    instead[asked] = np.where(numbers == UNKNOWN, labels[asked], numbers)
    return np.where(numbers == UNKNOWN, 0, doubts(pool, instead, known).odds[asked])


def _alone(told: Sequence[Agreement]) -> NDArray[np.int64]:
    """(n,) a number for each annotator, -1 where several answered."""
    names = sorted({each.label.annotator for each in told})
    return np.array([names.index(each.label.annotator) if each.answers == 1 else -1 for each in told], np.int64)


def part_of(pool: Pool, rows: NDArray[np.int64]) -> Pool:
    """Some of its rows."""
    columns = (pool.probabilities, pool.predicted, pool.weak, pool.counts)
    return Pool(pool.embeddings[rows], *(None if column is None else column[rows] for column in columns))  # type: ignore[arg-type]  # each keeps its kind


def _marked(given: Given, found: _Found) -> list[Candidate]:
    """The candidates with their doubts."""
    marked = []
    for at, row in enumerate(found.rows.tolist()):
        item, answer = given.items[row], given.answers[row]
        again = given.again.get(item.id)
        settles = again.label.label or "" if again and found.second[at] else answer.label.label
        marked.append(
            replace(
                item,
                doubt=round(float(found.probability[at]), 4),
                against=_against(found, at, unanimous=answer.unanimous and not found.told[at]),
                settled=settles if found.told[at] else item.settled,
            )
        )
    return marked


def _against(found: _Found, at: int, *, unanimous: bool) -> tuple[str, ...]:
    """The strongest first; what the model in force says comes last, as it does not count."""
    speaks = dict(zip(WITNESSES, found.doubts.parts[at].tolist(), strict=True))
    speaks[_ANNOTATOR] = float(logit(np.clip(found.before[at], 1e-6, 1 - 1e-6)) - logit(USUALLY_WRONG)) if unanimous else 0.0
    strongest = sorted((name for name, odds in speaks.items() if odds >= _SPEAKS), key=lambda name: -speaks[name])
    return (*(() if unanimous else (_DIFFER,)), *strongest, *((_MODEL,) if found.doubts.model[at] and strongest else ()))
