"""A simulated annotator: knows the truth, and is hasty now and then."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from service.demo.grammar import pick
from service.records import AnnotationBatch, Candidate, Label


class Annotator:
    """Answers with the true intent (`truth` by sample id, None for junk) and errs on a share of the samples.

    An error names a wrong class, on junk any class: annotators that must choose do force junk into one.
    The same sample always gets the same answer, however often and in whatever order it is asked for.
    """

    def __init__(self, truth: Mapping[str, str | None], *, error: float = 0.03, seed: int = 0, name: str = "simulated") -> None:
        if not 0 <= error <= 1:
            raise ValueError(f"error: a share is between 0 and 1, found {error}")
        self._truth = truth
        self._classes = tuple(sorted({intent for intent in truth.values() if intent is not None}))
        self._error = error
        self._seed = seed
        self._name = name

    def answer(self, batch: AnnotationBatch, *, now: float) -> list[Label]:
        """One label for each item of the batch."""
        return [self._label(batch, item, now) for item in batch.items]

    def _label(self, batch: AnnotationBatch, item: Candidate, now: float) -> Label:
        intent = self._truth[item.id]
        rng = np.random.default_rng((self._seed, zlib.crc32(item.id.encode())))
        if rng.random() < self._error:
            wrong = [name for name in self._classes if name != intent]
            intent = pick(wrong, rng) if wrong else intent
        return Label(batch.monitor, batch.id, item.id, intent, now, self._name, unusable=intent is None)
