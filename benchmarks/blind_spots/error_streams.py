"""Streams of right and wrong answers: drawn, and of a model on real sets of which some classes come to mean something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Progress
from benchmarks.grid.perturbations import encoded
from benchmarks.grid.scenarios import DRIFTED
from benchmarks.public_sets import column, embedded, garments, public_sets, requests

REFERENCE, NULL = 1_000, 12_000
"""Labels of the reference, and at most of a stream without a change."""

TRAINED, RIDGE = 3_000, 1.0
"""Rows that the model learns from, and how much it holds back."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Whether each answer is wrong: of the reference, and of streams by name that change after a while, but for `null`."""

    reference: Flags
    streams: Mapping[str, Flags]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A set: embeddings (n, d) and classes (n,)."""

    embedding: NDArray[np.float32]
    classes: NDArray[np.int64]

    def answered(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows that the model never saw, in random order, and what it answers: least squares on one-hot classes, with a ridge."""
        order = rng.permutation(len(self.classes))
        train, rest = order[:TRAINED], order[TRAINED:]
        centre = self.embedding[train].mean(0)
        rows, target = self.embedding[train] - centre, np.eye(int(self.classes.max()) + 1)[self.classes[train]]
        weights = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(rows.shape[1]), rows.T @ (target - target.mean(0)))
        return rest, ((self.embedding[rest] - centre) @ weights + target.mean(0)).argmax(1)


def sets(progress: Progress) -> dict[str, Labelled]:
    """By name. Nothing was chosen on any of them."""
    requested, shown, path = requests(), garments(), public_sets() / "text"
    intents, domains = (np.array(column(path / "clinc150.parquet", name), np.str_) for name in ("label", "domain"))
    texts, labels = (column(path / "hwu64.parquet", name) for name in ("text", "label"))
    embeddings = (
        embedded("clinc150", requested.embedder, requested.texts.tolist, progress).load()[0],
        embedded("hwu64", requested.embedder, lambda: texts, progress).load()[0],
        embedded("fashion_mnist", shown.embedder, lambda: [encoded(image) for image in shown.images], progress).load()[0],
    )
    classes = (np.unique(names, return_inverse=True)[1] for names in (intents[domains != "oos"], np.array(labels, np.str_), shown.names))
    names = ("CLINC150", "HWU64", "Fashion-MNIST")
    return {name: Labelled(rows, own) for name, rows, own in zip(names, embeddings, classes, strict=True)}


def drawn(before: float, rates: Mapping[str, Callable[[NDArray[np.int64]], NDArray[np.float64]]], change: int, seed: int) -> Trial:
    """Independent errors; `rates` give the error rate by labels since the change, which comes after label `change`."""
    rng = np.random.default_rng(seed)
    streams = {"null": rng.random(NULL) < before}
    for name, rate in rates.items():
        chance = np.concatenate([np.full(change, before), rate(np.arange(DRIFTED))])
        streams[name] = rng.random(len(chance)) < chance
    return Trial(rng.random(REFERENCE) < before, streams)


def real(given: Labelled, shares: Mapping[str, float], change: int, seed: int) -> Trial:
    """Errors of a model trained for this trial; after the change the labels of some classes are permuted, for a share of the traffic."""
    rng = np.random.default_rng(seed)
    rest, answer = given.answered(rng)
    truth = given.classes[rest]
    wrong = answer != truth
    streams = {"null": wrong[REFERENCE:][:NULL]}
    for name, share in shares.items():
        order = REFERENCE + rng.permutation(len(rest) - REFERENCE)[: change + DRIFTED]
        changed = _permuted(truth[order], share, rng)
        streams[name] = np.where(np.arange(len(order)) < change, wrong[order], answer[order] != changed)
    return Trial(wrong[:REFERENCE], streams)


def _permuted(truth: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Labels of which some classes, at least two, have changed places; as many of their rows keep theirs as makes the share exact."""
    order = rng.permutation(int(truth.max()) + 1)
    sizes = np.bincount(truth, minlength=len(order))[order] / len(truth)
    count = max(int(np.searchsorted(np.cumsum(sizes), share)) + 1, 2)
    place = np.arange(len(order))
    place[order[:count]] = np.roll(order[:count], 1)
    moves = rng.random(len(truth)) < share / sizes[:count].sum()
    return np.where(moves, place[truth], truth)
