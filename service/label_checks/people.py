"""How the answers of each annotator look together: gold, agreement, and whether somebody answers at random or always the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.selection.base import UNKNOWN
from detectors.selection.doubts import always_the_same, at_random, chance_of_shuffled
from service.annotation import Accuracy, Words, annotators, resolved, scheme_of
from service.ports import Store
from service.records import AnnotationBatch, stable_id
from service.selecting.names import Names


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of an annotator by one batch."""

    name: str
    answers: int
    """That name a class, and could be looked at."""
    wrong: float
    """Share of them that is wrong, by expectation."""
    accuracy: float | None
    """By gold and by agreement with others, shrunk; None where neither tells."""
    gold: int = 0
    gold_right: int = 0
    random: bool = False
    """Whether their answers fit the samples no better than the same answers in any other order."""
    same: bool = False
    """Whether they mostly answer one class, and are mostly wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What was found of n answers to a batch."""

    agreed: Sequence[tuple[str, int]]
    """Of each row its id and its class."""
    heads: NDArray[np.float32]
    """(n, C) log probabilities."""
    wrong: NDArray[np.float64]
    """(n,)"""


def people(store: Store, batch: AnnotationBatch, looks: Looks, names: Names) -> tuple[Person, ...]:
    """Everybody who answered the batch, by name."""
    known = annotators(store, [batch])
    scheme = scheme_of(store, batch.monitor)
    labels = resolved(Words(scheme) if scheme else None, store.labels(batch.monitor, batch=batch.id))
    place = {sample: at for at, (sample, _) in enumerate(looks.agreed)}
    given: dict[str, list[tuple[int, int]]] = {}
    for label, number in zip(labels, names.numbers([label.label for label in labels]).tolist(), strict=True):
        if label.sample in place and number != UNKNOWN:
            given.setdefault(label.annotator, []).append((place[label.sample], number))
    return tuple(_person(name, np.array(own, np.int64), looks, known.get(name), batch.id) for name, own in sorted(given.items()))


def _person(name: str, given: NDArray[np.int64], looks: Looks, known: Accuracy | None, batch: str) -> Person:
    """given : (a, 2) rows and classes."""
    rows, classes = given.T
    agreed = np.array([label for _, label in looks.agreed], np.int64)[rows]
    wrong = np.where(agreed == classes, looks.wrong[rows], 1 - looks.wrong[rows])
    rng = np.random.default_rng(int(stable_id("people", batch, name), 16) % 2**63)
    return Person(
        name=name,
        answers=len(rows),
        wrong=round(float(wrong.mean()), 4),
        accuracy=round(known.mean, 4) if known else None,
        gold=known.gold if known else 0,
        gold_right=known.gold_right if known else 0,
        random=at_random(chance_of_shuffled(looks.heads[rows], classes, rng=rng)),
        same=always_the_same(classes, wrong),
    )
