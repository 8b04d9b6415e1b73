"""Samples to look at: what the new model mends, what stays wrong, and what it breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from service.records import Payload, Sample
from service.verifying.answers import Answers

MOST = 20
"""Of each kind, those first of which the new model is surest."""

KINDS: Mapping[str, str] = MappingProxyType({"fixed": "mended", "still_wrong": "still wrong", "newly_wrong": "newly wrong"})


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Rows that may be looked at one by one, and what both models say of them."""

    name: str
    """Of the set that they are of."""
    samples: Sequence[Sample]
    answers: Answers


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One row."""

    id: str
    of: str
    payload: Payload
    label: str
    old: str
    new: str
    confidence: float | None
    """Of the new model."""


def gallery(shown: Sequence[Shown]) -> dict[str, list[Exhibit]]:
    """By kind, from all sets together."""
    found: dict[str, list[Exhibit]] = {kind: [] for kind in KINDS}
    for each in shown:
        for kind, exhibit in _exhibits(each):
            found[kind].append(exhibit)
    return {kind: sorted(listed, key=lambda each: (-(each.confidence or 0.0), each.id)) for kind, listed in found.items()}


def _exhibits(shown: Shown) -> Iterator[tuple[str, Exhibit]]:
    answers = shown.answers
    if not len(answers):
        return
    old_right, new_right = answers.right
    kinds = {(False, True): "fixed", (False, False): "still_wrong", (True, False): "newly_wrong"}
    for at in np.flatnonzero(~(old_right & new_right)).tolist():
        sample = shown.samples[at]
        sure = None if answers.new_confidence is None else float(answers.new_confidence[at])
        exhibit = Exhibit(sample.id, shown.name, sample.payload, answers.labels[at], answers.old[at], answers.new[at], sure)
        yield kinds[bool(old_right[at]), bool(new_right[at])], exhibit
