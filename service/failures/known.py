"""Which samples a monitor's model is known to fail on: those whose truth contradicts its answer, and those that people marked."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from service.failures.marks import standing
from service.ports import Store
from service.records import FailureMark, Judgement, Output, Pooled
from service.reference_rows import answer
from service.reserve import failed
from service.settings import MonitorSettings

PART = "failure"
"""Of the reserve, where they are kept when the recent samples have gone."""

MOST_NATS, LEAST_NATS, UNKNOWN_NATS = 5.0, 0.05, 1.0
"""A loss counts no more, no less, and so much where nothing is known of how sure the model was."""


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """A kept sample that the model fails on."""

    row: Pooled
    """With the truth that came later as its label; what a mark says is the mark's alone, and goes with it."""
    label: str | None
    """What is right; None where a person marked it without saying."""
    answer: str
    """The model's; '' where it is not known."""
    loss: float
    """Nats, see `loss_of`."""
    mark: FailureMark | None = None
    count: int = 1
    """Near-duplicates that the reserve merged into it, itself included."""


def known_failures(store: Store, settings: MonitorSettings, *, version: int | None = None) -> Sequence[Failure]:
    """Of the samples that are kept, recent ones and the reserve, oldest first; of one reference version, or of all."""
    counts: dict[str, int] = {}
    rows: dict[str, Pooled] = {}
    for kept in store.reserve(settings.name):
        rows[kept.row.id], counts[kept.row.id] = kept.row, kept.count
    for row in store.pool(settings.name):
        rows[row.id] = _newest(row, rows.get(row.id))
    own = {key: row for key, row in rows.items() if version in {None, row.reference_version}}
    marks, truths = standing(store, settings.name), store.known_truth(settings.name, own)
    found = (_failure(row, truths.get(key), marks.get(key), settings.classes) for key, row in own.items())
    failures = [replace(each, count=counts.get(each.row.id, 1)) for each in found if each is not None]
    return sorted(failures, key=lambda each: (each.row.time, each.row.id))


def gather(store: Store, settings: MonitorSettings, *, now: float) -> int:
    """Keeps those that the recent samples would soon take along, and lets go of those that a corrected label has cleared, or a person;
    returns how many are known. Repeating it changes nothing."""
    failures = known_failures(store, settings)
    keep(store, settings, failures, now=now)
    _drop_cleared(store, settings, [each.row for each in store.reserve(settings.name, part=PART)])
    return len(failures)


def let_go(store: Store, settings: MonitorSettings, sample: str) -> None:
    """Of a sample whose mark was taken back, where no label says that the model failed on it."""
    _drop_cleared(store, settings, [each.row for each in store.reserve(settings.name, part=PART) if each.row.id == sample])


def keep(store: Store, settings: MonitorSettings, failures: Sequence[Failure], *, now: float) -> None:
    """Into the reserve, the dearest with the best prospects to stay."""
    if failures and settings.pool.reserve_rows:
        store.keep_reserved(failed(settings, [each.row for each in failures], [each.loss for each in failures], now=now))


def loss_of(output: Output | None, label: str | None, confidence: float, classes: Sequence[str]) -> float:
    """-log of the probability that the model gave the right class: none to one that it does not have; where it is not known, what the wrong
    answer left is taken to be spread evenly over the other classes."""
    probabilities = _probabilities(output)
    if label is not None and classes and label not in classes:
        right = 0.0
    elif label in classes and len(probabilities) == len(classes):
        right = probabilities[classes.index(label)]
    elif probabilities or not math.isnan(confidence):
        right = (1 - (max(probabilities) if probabilities else confidence)) / max(len(classes) - 1, 1)
    else:
        return UNKNOWN_NATS
    return min(max(-math.log(max(right, 1e-9)), LEAST_NATS), MOST_NATS)


def _drop_cleared(store: Store, settings: MonitorSettings, kept: Sequence[Pooled]) -> None:
    marks, truths = standing(store, settings.name), store.known_truth(settings.name, [row.id for row in kept])
    cleared = [row.id for row in kept if row.id not in marks and not _was_wrong(row, truths.get(row.id), settings.classes)]
    if cleared:
        store.drop_reserved(settings.name, cleared, part=PART)


def unknown_to(failures: Collection[Failure], marks: Mapping[str, FailureMark]) -> Iterator[FailureMark]:
    """Marks whose sample is kept nowhere any more."""
    known = {each.row.id for each in failures}
    return (mark for sample, mark in marks.items() if sample not in known)


def _newest(row: Pooled, kept: Pooled | None) -> Pooled:
    """The recent row, unless the reserve has seen it under a later reference; what the reserve has learnt of it stays."""
    if kept is None or kept.reference_version > row.reference_version:
        return kept or row
    return row if kept.label is None or row.label is not None else replace(row, label=kept.label)


def _was_wrong(row: Pooled, judged: Judgement | None, classes: Sequence[str]) -> bool:
    """Whether the truth, as far as it is known, contradicts the answer of then: one that the model in force gets right stays."""
    said = judged.predicted if judged is not None else answer(row.output, None, classes)
    return (judged.truth if judged is not None else row.label) not in {None, said}


def _failure(row: Pooled, judged: Judgement | None, mark: FailureMark | None, classes: Sequence[str]) -> Failure | None:
    own = answer(row.output, None, classes)
    outdated = judged is None or (own and 0 < judged.reference_version < row.reference_version)
    said = own if outdated or judged is None else judged.predicted
    truth = judged.truth if judged is not None else row.label
    if mark is None and (not truth or not said or truth == said):
        return None
    label = truth if mark is None or (mark.label is None and truth != said) else mark.label
    if label is not None and label == said:
        return None  # the model in force gets it right
    sure = judged.confidence if judged is not None else math.nan
    return Failure(replace(row, label=truth), label, said, loss_of(row.output, label, sure, classes), mark)


def _probabilities(output: Output | None) -> Sequence[float]:
    if output is None or output.probabilities:
        return () if output is None else output.probabilities or ()
    if not output.logits:
        return ()
    raised = np.exp(np.asarray(output.logits, np.float64) - max(output.logits))
    values: list[float] = (raised / raised.sum()).tolist()
    return values
