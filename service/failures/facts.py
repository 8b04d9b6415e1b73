"""What can be measured of each failure sample that speaks for one cause or another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.coverage import Reach
from detectors.evenly import evenly
from detectors.label_errors import label_errors
from detectors.neighbours import nearest_rows
from service.datasets import DataSet
from service.failures.known import Failure
from service.reference import Reference

NOVEL = 0.95
"""Percentile of distance from which a sample counts as far from a set: one of twenty of the set's own rows."""

_WRONG, _CLAIM, _CLEAR, _NEIGHBOURS = 0.5, 0.2, 0.6, 20
"""Probability from which a label counts as wrong; shares of the neighbours from which a class has a claim, and nothing is torn."""
_TAIL = 0.005
_MOST_TRUSTED, _MOST_NEAR = 3_000, 10_000
"""Labelled rows that labels are held against, and rows that distances are measured to."""
_TOLD = {
    ("length", False): "hardly any text",
    ("symbols", True): "mostly symbols",
    ("spelling", True): "garbled, or of another language",
    ("brightness", False): "dark",
    ("brightness", True): "overexposed",
    ("contrast", False): "without contrast",
    ("sharpness", False): "blurred",
    ("sharpness", True): "noisy",
    ("evenness", True): "blank",
    ("patches", True): "with dead or covered patches",
}
"""What a measure that is too low (False) or too high (True) means; other tails are no damage."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Labelled rows of the model in force: the training set's, else the reference's."""

    source: str
    embeddings: NDArray[np.float32]
    labels: NDArray[np.str_]
    """(m,) '' where a row has none."""
    trained: bool
    """Whether the model was trained on them."""

    @classmethod
    def of(cls, reference: Reference, train: DataSet | None) -> Self:
        """Of a training set that the same model embedded, and of a reference in its place."""
        if train is not None:
            labels = np.array([sample.label or "" for sample in train.samples], np.str_)
            return cls(f"training set version {train.version}", train.embeddings, labels, trained=True)
        named = np.array([label or "" for label in reference.rows.labels], np.str_)
        return cls(f"reference version {reference.version}", reference.rows.embeddings, named, trained=False)


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Of n failures, a column each."""

    damage: Sequence[str | None]
    """How the payload is damaged, '' where it is like the reference's, None where that can't be told."""
    novel: NDArray[np.bool_]
    """(n,) farther from the reference than 95 % of its own rows."""
    remote: NDArray[np.float64]
    """(n,) percentile of the distance to the labelled rows, NaN where that is not known."""
    rows_of_class: NDArray[np.int64]
    """(n,) labelled rows of the right class, -1 where nobody named it."""
    wrong: NDArray[np.float64]
    """(n,) probability that the label is wrong, NaN where that can't be told: of a sample far from all labelled rows neighbours say
    nothing."""
    instead: Sequence[str]
    """(n,) the likeliest other class, '' where that is not known."""
    torn: NDArray[np.float64]
    """(n,) 1 where the labelled neighbours are of several minds, 0 where they are not, NaN where there are none."""

    def suspects(self, at: int) -> tuple[str, ...]:
        """Why a failure sample may itself be at fault."""
        damaged, wrong = self.damage[at], self.wrong[at] >= _WRONG
        return (*((damaged,) if damaged else ()), *((f"its label may be wrong: {self.instead[at]}",) if wrong else ()))


def facts(
    failures: Sequence[Failure], reference: Reference, labelled: Labelled, *, progress: Callable[[float], None] = lambda _: None
) -> Facts:
    """Everything about them; costs a look at up to 10,000 labelled rows for each, and a look for wrong labels among 3,000."""
    rows = np.stack([each.row.embedding for each in failures]).astype(np.float32)
    known = np.flatnonzero(labelled.labels != "")
    near = known[evenly(len(known), _MOST_NEAR)]
    remote = _remote(rows, labelled.embeddings[near])
    progress(0.2)
    wrong, instead = _doubted(failures, rows, labelled, known, progress)
    counts = dict(zip(*np.unique(labelled.labels[known], return_counts=True), strict=True))
    return Facts(
        damage=_damage(failures, reference),
        novel=np.array([each.row.novelty > NOVEL for each in failures], np.bool_),
        remote=remote,
        rows_of_class=np.array([-1 if each.label is None else counts.get(each.label, 0) for each in failures], np.int64),
        wrong=np.where(remote > NOVEL, np.nan, wrong),
        instead=instead,
        torn=_torn(failures, rows, labelled.embeddings[near], labelled.labels[near]),
    )


def _remote(rows: NDArray[np.float32], among: NDArray[np.float32]) -> NDArray[np.float64]:
    try:
        return Reach.of(among, rng=np.random.default_rng(0))(rows).astype(np.float64)
    except ValueError:  # too few rows, or all alike
        return np.full(len(rows), np.nan)


def _doubted(
    failures: Sequence[Failure], rows: NDArray[np.float32], labelled: Labelled, known: NDArray[np.int64], progress: Callable[[float], None]
) -> tuple[NDArray[np.float64], list[str]]:
    """(n,) probabilities that labels are wrong, told among labelled rows of the classes that are in question, and what they should be."""
    wrong, instead = np.full(len(failures), np.nan), [""] * len(failures)
    at = np.array([i for i, each in enumerate(failures) if each.label is not None], np.int64)
    asked = {name for each in failures for name in (each.label, each.answer) if name}
    alike = known[np.isin(labelled.labels[known], sorted(asked))]
    beside = alike[evenly(len(alike), _MOST_TRUSTED)]
    names, codes = np.unique([*labelled.labels[beside], *(str(failures[i].label) for i in at)], return_inverse=True)
    try:
        found = label_errors(
            np.concatenate([labelled.embeddings[beside], rows[at]]),
            codes.astype(np.int64),
            rng=np.random.default_rng(0),
            progress=lambda done: progress(0.2 + 0.7 * done),
        )
    except ValueError:  # one class, or too few rows
        return wrong, instead
    wrong[at] = found.probability[len(beside) :]
    for i, suggested in zip(at.tolist(), found.suggested[len(beside) :].tolist(), strict=True):
        instead[i] = str(names[suggested])
    return wrong, instead


def _torn(
    failures: Sequence[Failure], rows: NDArray[np.float32], among: NDArray[np.float32], labels: NDArray[np.str_]
) -> NDArray[np.float64]:
    if len(among) < _NEIGHBOURS:
        return np.full(len(failures), np.nan)
    near = labels[nearest_rows(rows, among, _NEIGHBOURS).row]
    said = np.array([each.answer for each in failures], np.str_)
    meant = np.array([each.label or "" for each in failures], np.str_)
    for_answer, for_label = (near == said[:, None]).mean(1), (near == meant[:, None]).mean(1)
    split = np.array([np.unique(row, return_counts=True)[1].max() / _NEIGHBOURS < _CLEAR for row in near])
    between = np.minimum(for_answer, for_label) >= _CLAIM
    return np.where((meant == "") | (said == ""), split, between).astype(np.float64)


def _damage(failures: Sequence[Failure], reference: Reference) -> list[str | None]:
    """By the reference's own gauge: beyond all but a two-hundredth of its rows."""
    gauge, own = reference.gauge, reference.rows.quality
    told: list[str | None] = [None] * len(failures)
    at = [i for i, each in enumerate(failures) if each.row.payload is not None]
    if gauge is None or own is None or not at:
        return told
    measured = gauge.measure([payload for i in at if (payload := failures[i].row.payload) is not None])
    low, high = np.nanquantile(own, [_TAIL, 1 - _TAIL], axis=0)
    for i, values in zip(at, measured, strict=True):
        below, above = values < low, values > high
        tails = [(name, bool(above[column])) for column, name in enumerate(gauge.names) if below[column] or above[column]]
        told[i] = ", ".join(_TOLD[tail] for tail in tails if tail in _TOLD)
    return told
