"""A labelled set of a monitor looked through for wrong labels, worst first, for the report and for `driftgate dataset errors`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.label_errors import EXACT, LabelErrors, label_errors
from service.annotation import answers, trains
from service.datasets import DataSet
from service.records import AnnotationBatch, Measured, Payload
from service.report.material import NONE, Material
from service.report.parts import Missing

LabelledSide: TypeAlias = Literal["train", "golden", "challenge", "returned"]
"""`returned`: labels of recent production samples, from annotators or as truth that came late."""

_BATCHES = 10_000
_CUT = 120
_MOSTLY = 0.5
"""Of what looks wrong, that overlapping classes can't explain."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row whose label may be wrong, and what speaks against it."""

    id: str
    text: str
    """Cut; '' for images and vectors."""
    label: str
    suggested: str
    probability: float
    """That the label is wrong."""
    heads: float
    """Probability of the label by heads that did not see the row."""
    neighbours: float | None
    """Share of the nearest rows with the same label; None where all of them are near-duplicates."""
    influence: float
    """Rank of the self-influence, 0 to 1."""
    confident: bool
    """Whether confident learning counts the row to another class."""


@dataclass(frozen=True, slots=True)
class ClassErrors:
    """A class, how many of the labels that name it are wrong by expectation, and what they should mostly be."""

    label: str
    rows: int
    wrong: float
    instead: str


@dataclass(frozen=True, slots=True)
class Mislabelled:
    """What is known of a set's labels."""

    rows: int
    """That were judged."""
    rate: Measured
    """Share of wrong labels among them."""
    ambiguous: bool
    """Whether most of what looks wrong may as well be right, as classes overlap: then `likely` and `expected` count such rows too."""
    likely: int
    """Rows that are likelier wrong than right."""
    suspects: tuple[Suspect, ...]
    """As many as the budget allows, most probably wrong first."""
    expected: float
    """Wrong labels among the suspects."""
    classes: tuple[ClassErrors, ...]
    """Those with most wrong labels first."""
    outside: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Ids by label that the monitor's classes lack; these rows were not judged."""
    single: tuple[str, ...] = ()
    """Classes of one row: whether it is right can't be told."""
    unlabelled: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    ids: Sequence[str]
    payloads: Sequence[Payload | None]
    labels: Sequence[str | None]
    embeddings: NDArray[np.float32]


def mislabelled(material: Material, side: LabelledSide, budget: int) -> Mislabelled | Missing:
    """The `budget` rows that are worth a second look, or why none can be named."""
    rows = _returned(material) if side == "returned" else _of_set(material.data_set(side))
    if isinstance(rows, Missing):
        return rows
    kept, outside = _within(rows, material.settings.classes)
    names, labels = np.unique([str(rows.labels[at]) for at in kept], return_inverse=True)
    centres = material.regions if len(kept) > EXACT else None
    step = f"labels of {_called(side)}"
    try:
        found = label_errors(
            rows.embeddings[kept],
            np.asarray(labels, np.int64),
            rng=np.random.default_rng(0),
            centres=centres,
            progress=lambda done: material.progress(step, done),
        )
    except ValueError as error:
        return _unjudged(step, str(error), rows, outside)
    return Mislabelled(
        rows=len(kept),
        rate=Measured(*found.rate),
        ambiguous=found.demanded < _MOSTLY,
        likely=int((found.probability > 0.5).sum()),
        suspects=tuple(_suspects(rows, kept, names.tolist(), found, budget)),
        expected=found.expected(budget),
        classes=tuple(_classes(names.tolist(), labels, found)),
        outside=outside,
        single=tuple(names[np.bincount(labels) == 1].tolist()),
        unlabelled=sum(label is None for label in rows.labels),
    )


def _called(side: LabelledSide) -> str:
    return "recent samples" if side == "returned" else f"the {side} set"


def _of_set(found: DataSet | Missing) -> _Rows | Missing:
    if isinstance(found, Missing):
        return found
    samples = found.samples
    return _Rows([one.id for one in samples], [one.payload for one in samples], [one.label for one in samples], found.embeddings)


def _returned(material: Material) -> _Rows | Missing:
    """An annotator's answer goes before truth that was told of the same sample: it was asked for."""
    labels = {one.sample: one.truth for one in material.judgements}
    found = answers(material.store, material.store.find(AnnotationBatch, monitor=material.monitor, limit=_BATCHES))
    labels |= {sample: one.label.label for sample, one in found.items() if one.label.label is not None and trains(one.label.label)}
    kept = [at for at, row in enumerate(material.production) if row.id in labels]
    embeddings = material.embeddings("production")
    if embeddings is None or not kept:
        return Missing("labels of recent samples", NONE, f"driftgate truth add --monitor {material.monitor} --input FILE")
    rows = [material.production[at] for at in kept]
    return _Rows([row.id for row in rows], [row.payload for row in rows], [labels[row.id] for row in rows], embeddings[kept])


def _unjudged(what: str, why: str, rows: _Rows, outside: Mapping[str, Sequence[str]]) -> Missing:
    """Labels that none of the classes can be, or that are not there, are named before classes that lack rows."""
    if outside:
        label, ids = max(outside.items(), key=lambda item: len(item[1]))
        count = sum(map(len, outside.values()))
        such = f"{label[:_CUT]!r} of {ids[0][:_CUT]}"
        rest = f"; of the rest: {why}" if count < sum(label is not None for label in rows.labels) else ""
        said = f"{count:,} rows have a label that is none of the monitor's classes, such as {such}{rest}"
        return Missing(what, said, "correct these labels, or add them to the monitor's `classes`")
    if unlabelled := sum(label is None for label in rows.labels):
        return Missing(what, f"{unlabelled:,} of {len(rows.labels):,} rows have no label; of the rest: {why}", "label more of them")
    return Missing(what, why, "add rows of the classes that it lacks, each different from the others")


def _within(rows: _Rows, scheme: Sequence[str]) -> tuple[NDArray[np.int64], dict[str, list[str]]]:
    """Which rows have a label that may be right, and the ids of those whose label can't, by label."""
    known, outside = set(scheme), dict[str, list[str]]()
    kept = []
    for at, (name, label) in enumerate(zip(rows.ids, rows.labels, strict=True)):
        if label is None:
            continue
        if known and label not in known:
            outside.setdefault(label, []).append(name)
        else:
            kept.append(at)
    return np.array(kept, np.int64), outside


def _suspects(rows: _Rows, kept: NDArray[np.int64], names: Sequence[str], found: LabelErrors, budget: int) -> Iterator[Suspect]:
    position = {name: at for at, name in enumerate(names)}
    for row in found.ranked(budget).tolist():
        at = int(kept[row])
        label, payload, share = str(rows.labels[at]), rows.payloads[at], float(found.neighbours[row])
        yield Suspect(
            id=rows.ids[at],
            text=payload[:_CUT] if isinstance(payload, str) else "",
            label=label,
            suggested=names[found.suggested[row]],
            probability=float(found.probability[row]),
            heads=float(found.held_out[row, position[label]]),
            neighbours=None if np.isnan(share) else share,
            influence=float(found.influence[row]),
            confident=bool(found.confident[row]),
        )


def _classes(names: Sequence[str], labels: NDArray[np.int64], found: LabelErrors) -> Iterator[ClassErrors]:
    wrong, rows = np.bincount(labels, found.probability), np.bincount(labels)
    instead: dict[int, Counter[int]] = {}
    for label, other, chance in zip(labels.tolist(), found.suggested.tolist(), found.probability.tolist(), strict=True):
        instead.setdefault(label, Counter())[other] += chance
    for label in np.argsort(-wrong, kind="stable").tolist():
        yield ClassErrors(names[label], int(rows[label]), float(wrong[label]), names[instead[label].most_common(1)[0][0]])
