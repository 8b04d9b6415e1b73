"""A simulated annotator: knows the truth, and is hasty now and then."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from service.demo.grammar import pick


class Annotator:
    """Answers with the true intent (`truth` by sample id, None for junk) and errs on a share of the samples.

    An error names a wrong class, on junk any class: annotators that must choose do force junk into one.
    The same sample always gets the same answer, however often and in whatever order it is asked for.
    """

    def __init__(
        self, truth: Mapping[str, str | None], *, known: Collection[str] = (), error: float = 0.03, seed: int = 0, name: str = "simulated"
    ) -> None:
        """`known`: classes of the label scheme; others are proposed. Without any, every name is a class."""
        if not 0 <= error <= 1:
            raise ValueError(f"error: a share is between 0 and 1, found {error}")
        self._truth = truth
        self._known = frozenset(known)
        self._classes = tuple(sorted({intent for intent in truth.values() if intent is not None}))
        self._error = error
        self._seed = seed
        self._name = name

    def answer(self, samples: Sequence[str]) -> list[Mapping[str, Any]]:
        """One label for each sample, as `POST /v1/annotations` takes them."""
        return [self._label(sample) for sample in samples]

    def _label(self, sample: str) -> Mapping[str, Any]:
        intent = self._truth[sample]
        rng = np.random.default_rng((self._seed, zlib.crc32(sample.encode())))
        if rng.random() < self._error:
            wrong = [name for name in self._classes if name != intent]
            intent = pick(wrong, rng) if wrong else intent
        proposed = intent is not None and self._known and intent not in self._known
        return {"id": sample, "label": f"new: {intent}" if proposed else intent, "unusable": intent is None, "annotator": self._name}
