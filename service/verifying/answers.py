"""What two models say of the same labelled rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.comparison import Comparison, compare
from service.errors import InputError
from service.ports import Embedder
from service.records import Payload, Sample
from service.verifying.unusable import blamed

_BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model to be judged, and the names of its classes in the order of its logits."""

    embedder: Embedder
    classes: tuple[str, ...]

    @property
    def judged(self) -> tuple[object, ...]:
        """All of it that decides an answer."""
        return self.embedder.fingerprint, self.classes


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """(n,) a model's answers, how sure it is of each (its largest probability), and (n, d) the rows as it embeds them."""

    classes: Sequence[str]
    confidence: NDArray[np.float32]
    embedding: NDArray[np.float32]

    def only(self, rows: Sequence[int]) -> Said:
        """Of these rows."""
        kept = list(rows)
        return Said([self.classes[row] for row in kept], self.confidence[kept], self.embedding[kept])


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Both models' answers by name, so that the order and number of their classes do not matter."""

    labels: Sequence[str]
    old: Sequence[str]
    new: Sequence[str]
    segments: Sequence[Mapping[str, str]] = field(default=())
    """Tags of each row; empty where none has any."""
    old_confidence: NDArray[np.float32] | None = None
    new_confidence: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(n,) whether the old, and whether the new model gets each row right."""
        truth = np.array(self.labels, object)
        return np.asarray(np.array(self.old, object) == truth, bool), np.asarray(np.array(self.new, object) == truth, bool)

    def compared(self) -> Comparison:
        """Paired counts; ValueError unless all three have the same length, at least 1."""
        return compare(*self.right)

    def by_segment(self, tags: Sequence[str]) -> dict[str, Comparison]:
        """Of each `tag=value` among these tags, those with most rows first."""
        old, new = self.right
        rows: dict[str, list[int]] = {}
        for at, own in enumerate(self.segments):
            for tag in tags:
                if value := own.get(tag):
                    rows.setdefault(f"{tag}={value}", []).append(at)
        ordered = sorted(rows.items(), key=lambda each: (-len(each[1]), each[0]))
        return {name: compare(old[places], new[places]) for name, places in ordered}


NOTHING = Answers((), (), ())


def answers_of(samples: Sequence[Sample], old: Model, new: Model, progress: Callable[[float], None] = lambda _: None) -> Answers:
    """What both say of labelled samples. InputError (`unusable_model`) where the new one fails on rows that the old one answers."""
    if not samples:
        return NOTHING
    payloads = [sample.payload for sample in samples]
    before = said(old, payloads, lambda done: progress(done / 2))
    with blamed():
        after = said(new, payloads, lambda done: progress(0.5 + done / 2))
    return paired(samples, before, after)


def paired(samples: Sequence[Sample], old: Said, new: Said) -> Answers:
    """Of the same labelled samples."""
    labels, tags = [str(sample.label) for sample in samples], [sample.segments for sample in samples]
    return Answers(labels, old.classes, new.classes, tags, old.confidence, new.confidence)


def said(model: Model, payloads: Sequence[Payload], progress: Callable[[float], None] = lambda _: None) -> Said:
    """InputError if the model gives no logits, not one per class, or such as are no numbers."""
    names: list[str] = []
    sure, vectors = [np.empty(0, np.float32)], [np.empty((0, model.embedder.dimension), np.float32)]
    for start in range(0, len(payloads), _BATCH):
        progress(start / len(payloads))
        found = model.embedder.embed(payloads[start : start + _BATCH])
        logits = fitting(found.logits, model.classes)
        names += [model.classes[place] for place in logits.argmax(1).tolist()]
        sure.append(1.0 / np.exp(logits - logits.max(1, keepdims=True)).sum(1))
        vectors.append(found.embedding)
    return Said(names, np.concatenate(sure), np.concatenate(vectors))


def fitting(logits: NDArray[np.float32] | None, classes: Sequence[str]) -> NDArray[np.float32]:
    """(n, classes) finite logits; InputError says what they are instead."""
    if logits is None or logits.shape[1] != len(classes):
        found = "none" if logits is None else str(logits.shape[1])
        raise InputError("no_logits", f"the model must give one logit for each of its {len(classes)} classes; found {found}")
    if not np.isfinite(logits).all():
        bad = int((~np.isfinite(logits)).any(1).sum())
        raise InputError("not_finite", f"the model's logits are not finite numbers on {bad} of {len(logits)} rows")
    return logits
