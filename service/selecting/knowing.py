"""What is known when candidates are chosen: rows that must not regress, failures, and answers of earlier rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.evenly import evenly
from detectors.selection.base import REJECTED, UNKNOWN, Known, Pool
from service.datasets import DataSet
from service.failures.rows import FailureRows
from service.records import Candidate, Label, Output
from service.reference import Reference
from service.reference_rows import answer
from service.selecting.gathering import Gathered
from service.selecting.names import Names

MOST_ROWS = 5_000
"""Rows that must not regress, evenly spread: each candidate is held against all of them."""

STEADY_ROWS = 800
"""Golden rows below which the reference adds to them: with fewer much of what is ordinary looks new."""

_TEXT = 500


@dataclass(frozen=True, slots=True)
class Situation:
    """What there was to choose by."""

    kind: str
    """`text`, `image` or `vector`."""
    probabilities: bool
    failures: int
    """Known failure samples."""
    answers: int = 0
    """Of earlier rounds."""
    weak: int = 0
    """Rows of the pool with a noisy label."""

    @property
    def words(self) -> str:
        """For people."""
        given = "with the model's probabilities" if self.probabilities else "by embeddings alone"
        failing = f"with {self.failures:,} failure samples" if self.failures else "without failure samples"
        learnt = f", after {self.answers:,} answers" if self.answers else ""
        noisy = f", with {self.weak:,} noisy labels" if self.weak else ""
        return f"{self.kind}, {given}, {failing}{noisy}{learnt}"


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Everything that a choice is made by, in the numbers of the methods."""

    gathered: Gathered
    pool: Pool
    known: Known
    names: Names
    cited: tuple[tuple[str, str], ...]
    """(id, text) of the known rows, in their order."""
    clusters: tuple[str, ...]
    """Of each failure sample, '' for none."""
    situation: Situation
    notes: tuple[str, ...] = ()
    """What could not be used, and what mends it."""

    def take(self, kept: NDArray[np.int64]) -> Ground:
        """The same with some of the pool's rows."""
        columns = {name: getattr(self.pool, name) for name in ("probabilities", "predicted", "weak", "counts")}
        pool = Pool(self.pool.embeddings[kept], **{name: None if column is None else column[kept] for name, column in columns.items()})
        gathered = self.gathered.take(kept)
        return Ground(gathered, pool, self.known, self.names, self.cited, self.clusters, self.situation, self.notes)


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What was read to make the ground of."""

    kind: str
    classes: tuple[str, ...]
    reference: Reference
    golden: DataSet | None
    """Its *select* part, embedded by the model in force."""
    failures: FailureRows
    answered: Sequence[tuple[Candidate, Label, NDArray[np.float32]]]
    notes: tuple[str, ...] = field(default=())


def ground(gathered: Gathered, material: Material, *, named: Sequence[str | None] = ()) -> Ground:
    """The ground of a choice among the rows. `named`: further class names that are to have numbers."""
    failures, answers = material.failures, [label for _, label, _ in material.answered]
    rows = _rows(material)
    told = [*rows.labels, *rows.predicted, *failures.labels, *(label.label for label in answers)]
    names = Names(material.classes, [*told, *named, *gathered.weak, *(answer(row.output, None, material.classes) for row in gathered.rows)])
    pool = _pool(gathered, material.classes, names)
    known = Known(
        rows.embeddings,
        labels=_known(names.numbers(rows.labels)),
        predicted=_known(names.numbers(rows.predicted)),
        probabilities=rows.probabilities,
        failures=failures.embeddings if len(failures.ids) else None,
        failure_labels=names.numbers(failures.labels) if len(failures.ids) else None,
        answered=np.stack([vector for _, _, vector in material.answered]) if answers else None,
        answers=answers_in(names, answers) if answers else None,
        answered_predicted=names.numbers([item.predicted for item, _, _ in material.answered]) if answers else None,
    )
    weak = 0 if pool.weak is None else int((pool.weak != UNKNOWN).sum())
    situation = Situation(material.kind, pool.probabilities is not None, len(failures.ids), len(answers), weak)
    return Ground(gathered, pool, known, names, tuple(rows.cited), failures.clusters, situation, material.notes)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows that must not regress."""

    embeddings: NDArray[np.float32]
    labels: Sequence[str | None]
    predicted: Sequence[str]
    probabilities: NDArray[np.float32] | None
    cited: Sequence[tuple[str, str]]


def _rows(material: Material) -> _Rows:
    """Golden's, with rows of the reference where they are few; without golden the reference's."""
    if material.golden is None:
        return _reference_rows(material.reference, MOST_ROWS)
    own = _golden_rows(material.golden, material.classes)
    if len(own.embeddings) >= STEADY_ROWS:
        return own
    more = _reference_rows(material.reference, STEADY_ROWS - len(own.embeddings))
    silent = np.full((len(more.embeddings), len(material.classes)), np.nan, np.float32)
    return _Rows(
        np.concatenate([own.embeddings, more.embeddings]),
        [*own.labels, *more.labels],
        [*own.predicted, *more.predicted],
        None if own.probabilities is None else np.concatenate([own.probabilities, silent]),
        [*own.cited, *more.cited],
    )


def _golden_rows(golden: DataSet, classes: Sequence[str]) -> _Rows:
    spread = evenly(len(golden.rows), MOST_ROWS)
    chosen = [golden.samples[i] for i in spread.tolist()]
    logits = golden.logits if golden.logits is not None and golden.logits.shape[1] == len(classes) else None
    return _Rows(
        golden.embeddings[spread],
        [sample.label for sample in chosen],
        [golden.predicted[i] for i in spread.tolist()],
        None if logits is None else _softmax(logits[spread]),
        [(sample.id, sample.payload[:_TEXT] if isinstance(sample.payload, str) else "") for sample in chosen],
    )


def _reference_rows(reference: Reference, most: int) -> _Rows:
    rows = reference.rows
    spread = evenly(len(rows), most)
    at = spread.tolist()
    predicted = [rows.predicted[i] if rows.predicted else "" for i in at]
    cited = [(rows.ids[i], rows.texts[i]) for i in at]
    return _Rows(np.asarray(rows.embeddings[spread], np.float32), [rows.labels[i] for i in at], predicted, None, cited)


def _pool(gathered: Gathered, classes: Sequence[str], names: Names) -> Pool:
    """Probabilities only where most rows have them: methods tell rows apart by them."""
    outputs = [row.output for row in gathered.rows]
    scores = [scores_of(output, len(classes)) for output in outputs]
    known = sum(score is not None for score in scores)
    probabilities = None
    if known and 2 * known >= len(scores):
        missing = np.full(len(classes), np.nan, np.float32)
        probabilities = np.stack([missing if score is None else score for score in scores])
    predicted = names.numbers([answer(output, None, classes) for output in outputs])
    weak = _known(names.numbers(gathered.weak)) if gathered.weak else None
    return Pool(gathered.embeddings, probabilities, _known(predicted), weak, gathered.weights)


def scores_of(output: Output | None, classes: int) -> NDArray[np.float32] | None:
    """(C,) probabilities, where it tells them of as many classes."""
    if output is None:
        return None
    if output.probabilities and len(output.probabilities) == classes:
        return np.array(output.probabilities, np.float32)
    if output.logits and len(output.logits) == classes:
        return np.asarray(_softmax(np.array([output.logits], np.float32))[0], np.float32)
    return None


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shares / shares.sum(1, keepdims=True), np.float32)


def answers_in(names: Names, answers: Sequence[Label]) -> NDArray[np.int64]:
    """(n,) classes, REJECTED for what was no use."""
    return np.where([given.label is None for given in answers], REJECTED, names.numbers([given.label for given in answers]))


def _known(numbers: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """None where nothing is known."""
    return numbers if (numbers != UNKNOWN).any() else None


def cited(ground: Ground, ids: Sequence[str]) -> Mapping[str, str]:
    """Texts of known rows, by id."""
    wanted = set(ids)
    return {row: text for row, text in ground.cited if row in wanted}
