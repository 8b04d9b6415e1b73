"""A set to train on that mends known failures, drawn from a pool set whose labels are noisy: nobody is asked.

What is drawn is never close to what models are judged by, golden and challenge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.evenly import evenly
from detectors.selection import UNKNOWN, Known, Pool
from detectors.selection.kernel import Scales, directions
from detectors.selection.weak import Drawn, draw
from service.datasets import DataSet, DataSets, payload_field
from service.errors import ArtefactError, InputError, NotFoundError
from service.failures.rows import FailureRows
from service.moments import written
from service.ports import Embedder
from service.records import Sample
from service.reference import Reference
from service.reference_rows import embed_rows
from service.selecting.gathering import Likeness
from service.selecting.names import Names

MOST_ROWS, MOST_FAILURES = 100_000, 10_000

_HELD = 5_000
"""Rows that must not regress, evenly spread."""

_ECHO, _CONTRADICTED = 0.9, 0.3
"""Share of the labels that are the model's own answers, where it fails, from which they only teach its errors; share of the labels near
failures that name the right class below which they may do so, too (measured: .08 to .24 of a model's own answers, .34 and more where 20
to 40 % of the labels are wrong)."""

_ADD = "`driftgate dataset add --role pool --input FILE`, each row with a `label`, makes one"


@dataclass(frozen=True, slots=True, eq=False)
class Failing:
    """Failure samples: embeddings (f, d) under the model in force, and the right class of each."""

    embeddings: NDArray[np.float32]
    labels: tuple[str, ...]
    unnamed: int = 0
    """Others, of which nobody said the right class."""

    @classmethod
    def none(cls, dimension: int) -> Failing:
        """Where nothing is known to fail."""
        return cls(np.empty((0, dimension), np.float32), ())


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """A row to train on."""

    sample: Sample
    """With the label it had in the pool."""
    label: str
    """The class believed."""
    right: float
    """Probability that it is right."""
    failing: float
    """Probability that the row is of what fails."""

    @property
    def reason(self) -> str:
        """For people."""
        kept = self.label == self.sample.label
        believed = f"{self.right:.0%} sure of its label" if kept else f"{self.right:.0%} sure that its label was wrong"
        return f"{self.failing:.0%} like the failures, {believed}"


@dataclass(frozen=True, slots=True)
class DebugTrain:
    """The rows, those most surely of use first, and how they came about."""

    rows: tuple[DrawnRow, ...]
    pool: int
    """Version of the pool set."""
    labelled: int
    unlabelled: int
    """Rows of it; those without a label can't be drawn."""
    held_back: int
    """Rows too close to golden or challenge ones."""
    failures: int
    noise: float
    """Estimated share of its labels that are wrong."""
    noise_of: Mapping[str, float] = field(default_factory=dict)
    """Of those that name each class."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """At most so many rows, from which version of the pool set: by default the newest that has labels."""

    count: int
    version: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_ROWS:
            raise InputError("count", f"--count {self.count}: 1 to {MOST_ROWS:,} rows")


def failing_samples(samples: Iterable[Sample], embedder: Embedder) -> Failing:
    """From samples with their right labels."""
    found: list[Sample] = []
    for sample in samples:
        if sample.label is None:
            raise InputError("missing_label", f"failure sample {sample.id}: no label; each needs its right class")
        found.append(sample)
        if len(found) > MOST_FAILURES:
            raise InputError("too_many", f"more than {MOST_FAILURES:,} failure samples; draw a random part of them")
    if not found:
        raise InputError("empty", "no failure samples: the file has none")
    rows = embed_rows(found, embedder)
    return Failing(np.asarray(rows.embeddings, np.float32), tuple(sample.label or "" for sample in found))


def failing_rows(rows: FailureRows) -> Failing:
    """Those that a monitor knows."""
    named = [at for at, label in enumerate(rows.labels) if label]
    return Failing(rows.embeddings[named], tuple(rows.labels[at] or "" for at in named), len(rows) - len(named))


@dataclass(frozen=True, slots=True)
class DebugTraining:
    """Draws for one monitor, whose rows the embedder in force has embedded."""

    monitor: str
    fingerprint: str
    data_sets: DataSets
    reference: Reference | None
    classes: tuple[str, ...] = ()

    def draw(self, failing: Failing, wanted: Wanted, *, progress: Callable[[float], None] = lambda _: None) -> DebugTrain:
        """InputError or NotFoundError say what is missing and what mends it."""
        if not failing.labels:
            unnamed = f" ({failing.unnamed} without one: `driftgate failure mark SAMPLE --label CLASS`)" if failing.unnamed else ""
            raise InputError(
                "failures",
                f"monitor {self.monitor}: no failure samples with a right class{unnamed}; name some with --failures FILE, send labels, "
                "or mark samples with `driftgate failure mark`",
            )
        pool, judged, known = self._pool(wanted.version), self._judged(), self._known()
        names = Names(self.classes, [*(s.label for s in pool.samples), *pool.predicted, *known.labels, *known.predicted, *failing.labels])
        labelled = np.array([bool(sample.label) for sample in pool.samples])
        leaks = _likeness(known.embeddings).near(pool.embeddings, judged)
        able = np.flatnonzero(labelled & ~leaks)
        weak = names.numbers([pool.samples[at].label for at in able.tolist()])
        self._require_two(pool, weak, int((labelled & leaks).sum()))
        ground, rng = known.numbered(names, failing), np.random.default_rng(wanted.seed)
        try:
            drawn = draw(_pool_of(pool, able, weak, names), ground, budget=wanted.count, rng=rng, progress=progress)
        except ValueError as error:  # sets too small or too large to weigh labels in
            raise InputError("pool", f"monitor {self.monitor}: pool set {pool.version}: {error}") from error
        self._require_news(drawn, pool)
        rows = tuple(_row(drawn, at, pool.samples[int(able[at])], names) for at in drawn.rows.tolist())
        return DebugTrain(
            rows,
            pool.version,
            int(labelled.sum()),
            int((~labelled).sum()),
            int((labelled & leaks).sum()),
            len(failing.labels),
            float(_wrong(drawn, weak).mean()),
            {names.name(number): float(share) for number, share in enumerate(drawn.noise) if math.isfinite(share)},
            self._notes(rows, drawn, wanted, failing=failing, known=known),
        )

    def _pool(self, version: int | None) -> DataSet:
        known = self.data_sets.versions(self.monitor, "pool")
        if not known:
            raise NotFoundError(f"monitor {self.monitor}: no pool set to draw from; {_ADD}")
        if version is None:
            labelled = [int(manifest["version"]) for manifest in known if manifest["labels"]]
            if not labelled:
                raise InputError("labels", f"monitor {self.monitor}: no row of its pool sets has a label to draw with; {_ADD}")
            version = labelled[-1]
        return self._embedded_alike(self.data_sets.load(self.monitor, "pool", version))

    def _embedded_alike(self, found: DataSet) -> DataSet:
        if found.manifest["fingerprint"] != self.fingerprint:
            role = found.manifest["role"]
            raise ArtefactError(
                f"monitor {self.monitor}: {role} set {found.version} was embedded by another model; "
                f"add its samples anew: `driftgate dataset add --role {role} --input FILE`"
            )
        return found

    def _require_two(self, pool: DataSet, weak: NDArray[np.int64], leaks: int) -> None:
        which = f"monitor {self.monitor}: pool set {pool.version}"
        if not len(weak):
            left_out = f"; {leaks} rows with one are too close to golden or challenge rows" if leaks else ""
            raise InputError("labels", f"{which} has no row with a label to draw with{left_out}; {_ADD}")
        if len(np.unique(weak)) < 2:
            raise InputError("one_class", f"{which}: all labels name one class: nothing tells wrong ones from right ones; add others")

    def _require_news(self, drawn: Drawn, pool: DataSet) -> None:
        if drawn.echo >= _ECHO:
            raise InputError(
                "labels",
                f"monitor {self.monitor}: pool set {pool.version}: where the model fails, {drawn.echo:.0%} of the labels are its own "
                "answers and would teach its errors again; add labels from elsewhere, or ask annotators: `driftgate candidates`",
            )

    def _judged(self) -> NDArray[np.float32]:
        """(h, d) rows that models are judged by."""
        found = [self._embedded_alike(self.data_sets.load(self.monitor, role)) for role in ("golden", "challenge") if self._has(role)]
        return np.concatenate([part.embeddings for part in found]) if found else np.zeros((0, 0), np.float32)

    def _known(self) -> _Held:
        if self._has("golden"):
            found = self._embedded_alike(self.data_sets.load(self.monitor, "golden")).part("select")
            if len(found.rows) > 1:
                return _Held.of(found.embeddings, [sample.label for sample in found.samples], found.predicted, golden=True)
        if self.reference is None:
            raise InputError(
                "golden",
                f"monitor {self.monitor}: neither a golden set nor a reference says what works and must go on working; "
                "`driftgate dataset add --role golden --input FILE` makes one",
            )
        rows = self.reference.rows
        return _Held.of(rows.embeddings, rows.labels, rows.predicted, golden=False)

    def _has(self, role: Any) -> bool:
        return bool(self.data_sets.versions(self.monitor, role))

    def _notes(self, rows: Sequence[DrawnRow], drawn: Drawn, wanted: Wanted, *, failing: Failing, known: _Held) -> tuple[str, ...]:
        notes = []
        if drawn.agreement < _CONTRADICTED:
            share = f"only {drawn.agreement:.0%} of the labels nearest to the failures name their right class"
            notes.append(f"{share}: whoever labelled the pool may fail where the model does; look at some rows before training on them")
        if len(rows) < wanted.count:
            notes.append(f"{len(rows):,} of {wanted.count:,} rows: no more are surely of what fails and surely labelled right")
        if failing.unnamed:
            notes.append(f"{failing.unnamed:,} failure samples without a right class were left out")
        if not known.golden:
            notes.append("without a golden set the reference stands for what works, and nothing bounds what the next model breaks")
        return tuple(notes)


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """Rows that must not regress."""

    embeddings: NDArray[np.float32]
    labels: Sequence[str | None]
    predicted: Sequence[str]
    golden: bool

    @classmethod
    def of(cls, embeddings: NDArray[np.float32], labels: Sequence[str | None], predicted: Sequence[str], *, golden: bool) -> _Held:
        at = evenly(len(embeddings), _HELD).tolist()
        told = [predicted[i] for i in at] if predicted else []
        return cls(np.asarray(embeddings[at], np.float32), [labels[i] for i in at], told, golden)

    def numbered(self, names: Names, failing: Failing) -> Known:
        """As the method takes it; labels and answers only where some are known."""
        labels, predicted = names.numbers(self.labels), names.numbers(self.predicted)
        return Known(
            self.embeddings,
            labels if (labels != UNKNOWN).any() else None,
            predicted if len(predicted) and (predicted != UNKNOWN).all() else None,
            failures=failing.embeddings,
            failure_labels=names.numbers(failing.labels),
        )


def _pool_of(pool: DataSet, able: NDArray[np.int64], weak: NDArray[np.int64], names: Names) -> Pool:
    return Pool(pool.embeddings[able], predicted=names.numbers([pool.predicted[at] for at in able.tolist()]), weak=weak)


def _likeness(rows: NDArray[np.float32]) -> Likeness:
    centre = rows.mean(0)
    return Likeness(centre, Scales.fit(directions(rows, centre)).duplicate)


def _row(drawn: Drawn, at: int, sample: Sample, names: Names) -> DrawnRow:
    return DrawnRow(sample, names.name(int(drawn.labels[at])), float(drawn.right[at]), float(drawn.failing[at]))


def _wrong(drawn: Drawn, weak: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) probability that each weak label is wrong."""
    return np.where(drawn.labels == weak, 1 - drawn.right, drawn.right)


def document(row: DrawnRow) -> dict[str, Any]:
    """A line of JSON that `dataset add` takes as a sample; what it does not know of stands beside."""
    sample = row.sample
    time = {} if math.isnan(sample.time) else {"time": written(sample.time)}
    segments = {"segments": dict(sample.segments)} if sample.segments else {}
    believed = {"label": row.label, "weak_label": sample.label, "right": round(row.right, 4), "failing": round(row.failing, 4)}
    return {"id": sample.id, **time, **payload_field(sample.payload), **segments, **believed, "why": row.reason}
