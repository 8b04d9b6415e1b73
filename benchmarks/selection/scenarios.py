"""Refreshes that are worth their labels: a model that fails on a slice of its traffic, and a pool in which that slice is the
smaller part."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from benchmarks.selection.annotator import answers
from benchmarks.selection.head import Head, train
from benchmarks.selection.sources import Rows, Source, clinc150, hwu64, new_garments, snips, turned_garments
from detectors.selection import REJECTED

TRAINED, SELECT, CALIBRATE, TEST, HELD_OUT = 3_000, 800, 3_000, 2_000, 1_000
"""Rows that the old model was trained on, of golden's parts, and of the failing slice that gains are measured on; fewer calibrate
where a set has no more."""

FAILURES = 10
"""Samples on which the old model is known to fail."""

ORDINARY, FAILING, SCATTERED, DENSE, BLENDS, COPIES = 1_510, 410, 500, 205, 95, 250
"""Rows of the pool; the dense junk twice. Copies are of 80 of the others."""

_COPIED, _CANDIDATES = 80, 100
_JITTER = (0.05, 0.3)
"""Distance of a copy, in units of how far a row's nearest training row usually is."""


class Part(IntEnum):
    """What a row of the pool is."""

    ORDINARY = 0
    FAILING = 1
    SCATTERED = 2
    DENSE = 3
    BLEND = 4


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """(n, d) embeddings and (n,) classes."""

    rows: Rows
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, at: NDArray[np.int64] | slice) -> Labelled:
        return Labelled(self.rows[at], self.labels[at])


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """The pool, in no order: of each row (n, d) its part, its true class (REJECTED for junk), what the annotator answers, and which row
    it is a copy of (itself otherwise)."""

    rows: Rows
    part: NDArray[np.int64]
    truth: NDArray[np.int64]
    answers: NDArray[np.int64]
    original: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """One refresh. Classes are 0 to C - 1 as the old model has them; those it never saw follow, `classes` in all."""

    old: Head
    classes: int
    train: Labelled
    select: Labelled
    calibrate: Labelled
    test: Labelled
    held_out: Labelled
    """Of the failing slice."""
    failures: Labelled
    pool: Traffic
    origin: NDArray[np.int64]
    """Which class of the source each class is."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Which slice fails: so many classes, of which the training rows have `kept` each; or, where the source says how samples look
    after the drift, these looks of so many classes."""

    source: Callable[[], Source]
    failing: int
    kept: int = 0
    fewest: int = 0
    """Rows of a class that can be one of them."""


TEXTS: Mapping[str, Scenario] = {
    "CLINC150, absent": Scenario(clinc150, 12),
    "CLINC150, starved": Scenario(clinc150, 12, kept=2),
    "HWU64, starved": Scenario(hwu64, 8, kept=2, fewest=190),
}
IMAGES: Mapping[str, Scenario] = {
    "Fashion-MNIST, rotated": Scenario(turned_garments, 4),
    "Fashion-MNIST, held out": Scenario(new_garments, 2),
}
SCENARIOS: Mapping[str, Scenario] = {**TEXTS, **IMAGES}
UNSEEN: Mapping[str, Scenario] = {"SNIPS, absent": Scenario(snips, 2)}
"""On a set that nothing was tuned on; without bars."""


def world(name: str, seed: int) -> World:
    """A fresh draw of everything: the same for the same seed."""
    return drawn({**SCENARIOS, **UNSEEN}[name], np.random.default_rng([seed, zlib.crc32(name.encode())]))


def drawn(scenario: Scenario, rng: np.random.Generator) -> World:
    """One refresh of a scenario."""
    source = scenario.source()
    slice_, ordinary, seen, origin = _split(scenario, source, rng)
    ordinary, train_rows = ordinary[TRAINED:], ordinary[:TRAINED]
    if scenario.kept:
        rare = np.concatenate([np.flatnonzero(slice_.labels == label)[: scenario.kept] for label in np.unique(slice_.labels)])
        train_rows = _joined(train_rows, slice_[rare])
        slice_ = slice_[np.setdiff1d(np.arange(len(slice_)), rare)]
    old = train(train_rows.rows, train_rows.labels, seen)
    candidates, failing, held_out = slice_[:_CANDIDATES], slice_[_CANDIDATES:][:FAILING], slice_[_CANDIDATES + FAILING :][:HELD_OUT]
    wrong = np.flatnonzero(old.answers(candidates.rows) != candidates.labels)[:FAILURES]
    usual, rest = ordinary[:ORDINARY], ordinary[ORDINARY:]
    select, test, calibrate = rest[:SELECT], rest[SELECT:][:TEST], rest[SELECT + TEST :][:CALIBRATE]
    everything = _joined(train_rows, slice_)
    classes = int(everything.labels.max()) + 1
    means = np.stack([everything.rows[everything.labels == label].mean(0) for label in range(classes)])
    pool = _pool(source, usual, failing, means=means, unit=_usual_distance(select.rows, train_rows.rows), rng=rng)
    return World(old, classes, train_rows, select, calibrate, test, held_out, candidates[wrong], pool, origin)


def _split(scenario: Scenario, source: Source, rng: np.random.Generator) -> tuple[Labelled, Labelled, int, NDArray[np.int64]]:
    """The failing slice and the ordinary rows, both shuffled, how many classes the old model has, and which class of the source each is;
    failing classes come last."""
    counts = np.bincount(source.labels)
    able = np.array(source.held_out) if source.held_out else np.flatnonzero(counts >= scenario.fewest)
    failing = rng.permutation(able)[: scenario.failing]
    order = np.concatenate([np.setdiff1d(np.arange(len(counts)), failing), failing])
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    labels, shuffled = place[source.labels], rng.permutation(len(source.labels))
    drifts = labels[shuffled] >= len(order) - len(failing)
    if source.turned is not None:
        half = rng.random(len(shuffled)) < 0.5  # a sample is in one of the two slices
        there, here = shuffled[drifts & half], shuffled[~(drifts & half)]
        return Labelled(source.turned[there], labels[there]), Labelled(source.rows[here], labels[here]), len(order), order
    there, here = shuffled[drifts], shuffled[~drifts]
    seen = len(order) if scenario.kept else len(order) - len(failing)
    return Labelled(source.rows[there], labels[there]), Labelled(source.rows[here], labels[here]), seen, order


def _pool(source: Source, usual: Labelled, failing: Labelled, *, means: Rows, unit: float, rng: np.random.Generator) -> Traffic:
    scattered = source.scattered[rng.permutation(len(source.scattered))[:SCATTERED]]
    dense = np.concatenate([_cluster(rows, rng) for rows in source.dense])
    blends = _blended(usual, failing, rng)
    junk = np.full(len(scattered) + len(dense), REJECTED)
    rows = np.concatenate([usual.rows, failing.rows, scattered, dense, blends.rows])
    truth = np.concatenate([usual.labels, failing.labels, junk, blends.labels])
    part = np.repeat([*Part], [len(usual), len(failing), len(scattered), len(dense), len(blends)]).astype(np.int64)
    origin = rng.choice(rng.choice(len(rows), _COPIED, replace=False), COPIES)
    given = answers(rows, truth, means, rng=rng)
    at = np.concatenate([np.arange(len(rows)), origin])
    order = rng.permutation(len(at))
    place = np.empty(len(at), np.int64)
    place[order] = np.arange(len(at))
    everything = np.concatenate([rows, _copies(rows[origin], unit, rng)])
    return Traffic(everything[order], part[at][order], truth[at][order], given[at][order], place[at[order]])


def _cluster(rows: Rows, rng: np.random.Generator) -> Rows:
    """The nearest rows of one of them."""
    anchor = rows[rng.integers(len(rows))]
    nearest = ((rows - anchor) ** 2).sum(1).argsort(kind="stable")
    return np.asarray(rows[nearest[:DENSE]], np.float32)


def _blended(usual: Labelled, failing: Labelled, rng: np.random.Generator) -> Labelled:
    """About half of one row and half of another's, of any two classes; to be taken for the first."""
    both = _joined(usual, failing)
    one, other = rng.integers(0, len(both), (2, BLENDS))
    share = rng.uniform(0.45, 0.6, BLENDS)[:, None]
    rows = share * both.rows[one] + (1 - share) * both.rows[other]
    length = np.linalg.norm(both.rows[one], axis=1, keepdims=True)
    return Labelled((rows * length / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), both.labels[one])


def _copies(rows: Rows, unit: float, rng: np.random.Generator) -> Rows:
    noise = rng.standard_normal(rows.shape)
    noise *= unit * rng.uniform(*_JITTER, (len(rows), 1)) / np.linalg.norm(noise, axis=1, keepdims=True)
    return (rows + noise).astype(np.float32)


def _usual_distance(rows: Rows, near: Rows) -> float:
    squares = (rows**2).sum(1)[:, None] - 2 * rows @ near.T + (near**2).sum(1)
    return float(np.sqrt(np.median(np.maximum(squares, 0).min(1))))


def _joined(*parts: Labelled) -> Labelled:
    return Labelled(np.concatenate([part.rows for part in parts]), np.concatenate([part.labels for part in parts]))
