"""Whether failure samples are grouped by what they have in common, and whether the likely cause of a group is the one it has."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from benchmarks.selection.head import train
from benchmarks.selection.sources import Source, clinc150, hwu64, turned_garments
from detectors.performance import share
from service.failures.causes import Cause, evidence, likely, places
from service.failures.clusters import clustered
from service.failures.facts import Labelled, facts
from service.failures.known import Failure, loss_of
from service.records import Output, Partition, Pooled
from service.reference import Reference
from service.reference_rows import ReferenceRows

TRAINED, GAPS, SWAPPED, EACH, ORDINARY = 4_000, 4, 3, 12, 60
"""Rows that the model was trained on; classes that it was not, and those whose labels come as another's; samples of each; other errors."""

_GROUPED, _FOUND = 0.8, 0.85
_SETS: tuple[tuple[str, Callable[[], Source]], ...] = (("CLINC150", clinc150), ("HWU64", hwu64), ("Fashion-MNIST", turned_garments))


@dataclass
class Counts:
    """Over seeds."""

    largest: list[float] = field(default_factory=list)
    """Of each failing class, the share that its largest cluster holds."""
    samples: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What a sample is, and what its cluster's likely cause is."""
    doubted: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """What a sample is, and whether its label was found wrong, of those of which it can be told."""


def run(progress: Progress) -> Sequence[Figure]:
    """Ten seeds (`FAILURES_RUNS`)."""
    figures: list[Figure] = []
    for name, source in _SETS:
        counts = Counts()
        for seed in range(int(os.environ.get("FAILURES_RUNS", "10"))):
            progress(f"{name}, seed {seed}")
            _one(source(), seed, counts)
        figures += _figures(name, counts)
    return figures


def _one(source: Source, seed: int, counts: Counts) -> None:
    failures, what, labelled, reference = _world(source, np.random.default_rng([seed, 7]))
    clusters = clustered(failures, reference)
    found = facts([each for cluster in clusters for each in cluster.failures], reference, labelled)
    held = Counter[str]()
    for cluster, at in places(clusters):
        cause = likely(evidence(cluster, at, found, labelled, ()))
        for each, row in zip(cluster.failures, at.tolist(), strict=True):
            kind = what[each.row.id]
            counts.samples[kind, "" if cause is None else cause.cause] += 1
            if not np.isnan(found.wrong[row]):
                counts.doubted[kind, bool(found.wrong[row] >= 0.5)] += 1
        if what[cluster.failures[0].row.id] == Cause.GAP:
            held[str(cluster.label)] = max(held[str(cluster.label)], cluster.samples)
    sizes = Counter(str(each.label) for each in failures if what[each.row.id] == Cause.GAP)
    counts.largest += [held[label] / size for label, size in sizes.items()]


def _world(source: Source, rng: np.random.Generator) -> tuple[list[Failure], dict[str, str], Labelled, Reference]:
    """Failures, what each of them is, and what they are held against."""
    classes = np.unique(source.labels)
    gaps = rng.choice(classes, min(GAPS, len(classes) // 4), replace=False)
    known = rng.permutation(np.flatnonzero(~np.isin(source.labels, gaps)))
    trained, rest = known[:TRAINED], known[TRAINED:]
    names = np.unique(source.labels[trained])
    head = train(source.rows[trained], np.searchsorted(names, source.labels[trained]), len(names))
    chances = head.probabilities(source.rows)
    answers = names[chances.argmax(1)]
    right, wrong = rest[answers[rest] == source.labels[rest]], rest[answers[rest] != source.labels[rest]]
    truth = source.labels.copy()
    kinds: dict[int, str] = {int(row): "ordinary" for row in wrong[:ORDINARY]}
    for gap in gaps:
        kinds |= {int(row): Cause.GAP.value for row in rng.permutation(np.flatnonzero(source.labels == gap))[:EACH]}
    for swapped in rng.choice(names, SWAPPED, replace=False):
        rows = right[source.labels[right] == swapped][:EACH]
        truth[rows] = rng.choice(np.setdiff1d(names, swapped))
        kinds |= {int(row): Cause.LABEL.value for row in rows}
    failures = [_failure(row, source.rows[row], chances[row], names, str(truth[row])) for row in rng.permutation(list(kinds))]
    labels = np.array([str(label) for label in source.labels[trained]], np.str_)
    labelled = Labelled("training set version 1", source.rows[trained], labels, trained=True)
    return failures, {str(row): kind for row, kind in kinds.items()}, labelled, _reference(source.rows[trained], labels)


def _failure(row: int, vector: NDArray[np.float32], chances: NDArray[np.float32], names: NDArray[np.int64], label: str) -> Failure:
    scheme = [str(name) for name in names]
    output = Output(scheme[int(chances.argmax())], tuple(chances.astype(float).tolist()))
    pooled = Pooled("m", str(row), float(row), Partition("b", "b"), row, None, {}, output, None, vector.astype(np.float16), 0.5, 1)
    return Failure(pooled, label, output.label or "", loss_of(output, label, float("nan"), scheme))


def _reference(rows: NDArray[np.float32], labels: NDArray[np.str_]) -> Reference:
    """What failures ask of one: rows and labels."""
    n = len(rows)
    kept = ReferenceRows(("",) * n, ("",) * n, tuple(labels.tolist()), ({},) * n, np.full(n, np.nan, np.float32), rows)
    return Reference("m", 1, {}, cast("Any", None), kept, np.zeros(n, np.int64))


def _figures(name: str, counts: Counts) -> list[Figure]:
    grouped = float(np.mean(counts.largest))
    told = {kind: _share(counts.samples[kind, kind], sum(n for key, n in counts.samples.items() if key[0] == kind)) for kind in _CAUSES}
    doubted = {kind: _share(counts.doubted[kind, True], counts.doubted[kind, True] + counts.doubted[kind, False]) for kind in _DOUBTED}
    found = doubted[Cause.LABEL.value]
    return [
        Figure(f"{name}: share of a new class in its largest cluster", f"{grouped:.2f}", f"≥ {_GROUPED}", grouped >= _GROUPED),
        Figure(f"{name}: wrong labels found, of those that can be told", _written(found), f"≥ {_FOUND}", found[0] >= _FOUND),
        Figure(f"{name}: right labels of a new class doubted, likewise", _written(doubted[Cause.GAP.value])),
        Figure(f"{name}: right labels of ordinary errors doubted, likewise", _written(doubted["ordinary"])),
        *(Figure(f"{name}: samples of a {kind} in clusters of that likely cause", _written(value)) for kind, value in told.items()),
    ]


_CAUSES = (Cause.GAP.value, Cause.LABEL.value)
_DOUBTED = (Cause.LABEL.value, Cause.GAP.value, "ordinary")


def _share(hits: int, rows: int) -> tuple[float, float, float]:
    found = share(hits, rows)
    return found.estimate, found.low, found.high


def _written(value: tuple[float, float, float]) -> str:
    return f"{value[0]:.2f} ({value[1]:.2f} to {value[2]:.2f})"
