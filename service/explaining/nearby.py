"""The rows that a sample is held against: those it is near, and those that taught the model its answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.clustering import nearest
from detectors.coverage import Reach, remoteness
from detectors.influence import LastLayer
from detectors.neighbours import Neighbours, nearest_rows
from service.datasets import DataSet
from service.explaining.alarms import NOVEL
from service.ports import Embedded
from service.records import Payload
from service.reference import Reference
from service.report.parts import Missing

NEIGHBOURS = 10
"""Nearest rows that are looked at."""
SHOWN = 5
_CUT = 120


@dataclass(frozen=True, slots=True)
class Near:
    """A row close to the sample."""

    id: str
    text: str
    label: str | None
    distance: float
    same: bool | None
    """Whether its label is the sample's, or without one the model's answer; None where there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A training row, and how many nats the loss of the sample's answer would rise without it: above 0 it supports the answer."""

    id: str
    text: str
    label: str | None
    nats: float


@dataclass(frozen=True, slots=True)
class Novelty:
    """How strange the sample is: percentiles, 0 to 1, NaN where not known."""

    reference: float
    """Of its mean distance to the five nearest reference rows, exactly, among theirs to each other."""
    train: float
    """The same of the training set."""
    stream: float
    """Of its distance to the prototypes that the stream goes by."""
    residual: float
    """Of what the reference's leading directions leave of it."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The reference cluster that the sample falls into, `novel` for none, and the one that is nearest, also by its number."""

    cluster: str = ""
    nearest: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Of a reference or a data set; `own` is the sample itself, where it is one of them."""

    ids: Sequence[str]
    text: Callable[[int], str]
    labels: Sequence[str | None]
    embeddings: NDArray[np.float32]
    own: int | None
    held_out: NDArray[np.bool_] | None = None
    """(n,) where neighbours in the rows' order may be one session: those that tell how far apart rows lie."""

    @classmethod
    def of(cls, kept: Reference | DataSet, own: int | None) -> Self:
        """What both have in common."""
        if isinstance(kept, Reference):
            rows, apart = kept.rows, kept.model.held_out if kept.manifest.get("order") == "time" else None
            return cls(rows.ids, rows.texts.__getitem__, rows.labels, rows.embeddings, own, apart)
        samples = kept.samples
        labels = [sample.label for sample in samples]
        return cls([sample.id for sample in samples], lambda at: text_of(samples[at].payload), labels, kept.embeddings, own)

    def nearest(self, vector: NDArray[np.float32]) -> Neighbours | None:
        """Of one (d,) vector, exactly; None where there are no others of its kind."""
        if self.embeddings.shape[1] != len(vector):
            return None
        found = nearest_rows(vector[None], self.embeddings, min(NEIGHBOURS + 1, len(self.ids)))
        others = np.flatnonzero(found.row[0] != (-1 if self.own is None else self.own))[:NEIGHBOURS]
        return Neighbours(found.distance[:, others], found.row[:, others]) if len(others) else None

    def percentile(self, vector: NDArray[np.float32], found: Neighbours) -> float:
        """How remote the vector is, among the rows themselves; NaN where they are too few to tell, or all copies of each other."""
        try:
            reach = Reach.of(self.embeddings, rng=np.random.default_rng(0), held_out=self.held_out)
        except ValueError:
            return math.nan
        return float(reach(vector[None])[0] if self.own is None else reach.percentiles(remoteness(found))[0])

    def shown(self, found: Neighbours, held: str) -> tuple[Near, ...]:
        """The nearest few; `held` is the label that theirs are compared with, '' for none."""
        pairs = zip(found.row[0].tolist(), found.distance[0].tolist(), strict=True)
        return tuple(self._near(at, distance, held) for at, distance in list(pairs)[:SHOWN])

    def _near(self, at: int, distance: float, held: str) -> Near:
        label = self.labels[at]
        return Near(self.ids[at], self.text(at)[:_CUT], label, distance, label == held if label and held else None)


def placed(vector: NDArray[np.float32], reference: Reference) -> Placed:
    """Where a (d,) vector falls."""
    summarizer, names = reference.summarizer, (*reference.cluster_names, NOVEL)
    at = nearest(vector[None] - summarizer.centre, summarizer.prototypes - summarizer.centre)[1][0]
    number = int(summarizer.prototype_cluster[at])
    return Placed(names[summarizer.describe(vector[None]).cluster[0]], names[number], number)


def by_stream(vector: NDArray[np.float32], reference: Reference) -> tuple[float, float]:
    """The percentiles that the stream goes by: novelty and residual."""
    described = reference.summarizer.describe(vector[None])
    residual = described.scalars[0, reference.summarizer.scalar_names.index("residual")]
    return float(described.novelty[0]), float(-np.expm1(-residual))


def taught(
    train: DataSet, embedded: Embedded, given: int | None, own: int | None
) -> tuple[tuple[Taught, ...], tuple[Taught, ...]] | Missing:
    """The training rows that most support an answer (the class of that number), and those that most oppose it."""
    what = "influential training samples"
    if given is None or embedded.logits is None or train.logits is None:
        return Missing(what, "they are told from logits, and the model gives none", "export it with an output `logits`")
    place, said = {name: i for i, name in enumerate(train.classes)}, [row.sample.label for row in train.rows]
    known = [i for i, label in enumerate(said) if label in place and i != own]
    if len(place) != embedded.logits.shape[1] or len(known) < 2:
        why = f"of version {train.version}'s rows {len(known):,} have a label that the model's `classes` name"
        return Missing(what, why, "declare `classes` in the order of the logits, and add the training set again")
    labels = np.array([place[str(said[i])] for i in known])
    layer = LastLayer.fit(train.embeddings[known], labels, _softmax(train.logits[known]))
    nats = layer.on(embedded.embedding[0], _softmax(embedded.logits)[0], label=given)
    order = np.argsort(-nats, kind="stable")
    supporting = [_taught(train, known[at], float(nats[at])) for at in order[:SHOWN] if nats[at] > 0]
    opposing = [_taught(train, known[at], float(nats[at])) for at in order[::-1][:SHOWN] if nats[at] < 0]
    return tuple(supporting), tuple(opposing)


def text_of(payload: Payload) -> str:
    """Images and vectors are shown by id alone."""
    return payload if isinstance(payload, str) else ""


def _taught(train: DataSet, at: int, nats: float) -> Taught:
    sample = train.rows[at].sample
    return Taught(sample.id, text_of(sample.payload)[:_CUT], sample.label, nats)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True), np.float32)
