"""Two models and files of labelled samples: the same verdict without an installation, and without a count of looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from detectors.selection.duplicates import duplicate_groups
from service.datasets import MAX_GOLDEN_ROWS, checksum
from service.errors import InputError
from service.records import Sample
from service.settings import RefreshSettings
from service.verifying.answers import Answers, Model, answers_of, paired, said
from service.verifying.beside import beside
from service.verifying.correction import labels_of
from service.verifying.gallery import Shown
from service.verifying.gate import Gate
from service.verifying.judging import Judged, Progress, changed_classes, concluded
from service.verifying.unusable import blamed
from service.verifying.verdict import verify


@dataclass(frozen=True, slots=True, eq=False)
class Sets:
    """Labelled samples from files."""

    golden: Sequence[Sample]
    challenge: Sequence[Sample] = ()
    before: Sequence[Sample] = ()
    """Golden rows with the labels that they had before a correction."""
    train: Sequence[Sample] = ()
    """What the new model learned from, where its run does not tell how it answers that."""
    run: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """The verdict with all that is told beside it, and the rows that may be shown."""

    verification: dict[str, Any]
    shown: Sequence[Shown]


def compare(  # noqa: PLR0913 - options by keyword, after what decides the verdict
    old: Model,
    new: Model,
    sets: Sets,
    settings: RefreshSettings,
    *,
    tags: Sequence[str] = (),
    show_golden: bool = False,
    rng: np.random.Generator,
    clock: Callable[[], float],
    progress: Progress = lambda *_: None,
) -> Compared:
    """Golden rows count once for each group of near-duplicates. `show_golden`: golden rows may be looked at one by one, which uses them."""
    golden, on_golden = _distinct(sets.golden, old, new, progress)
    on_challenge = answers_of(sets.challenge, old, new, lambda done: progress("challenge rows", done))
    decide = partial(verify, challenge=on_challenge, gate=Gate.asked(settings, checksum(golden), counted=False), tags=tags)
    before = labels_of(sets.before) if sets.before else None
    judged = Judged(concluded(decide, golden, on_golden, before) | changed_classes(old, new), on_golden, on_challenge)
    learned = answers_of(sets.train, old, new, lambda done: progress("training rows", done))
    progress("latency", 0.0)
    told = beside(judged, old, new, [sample.payload for sample in golden], rng=rng, clock=clock, run=sets.run, train=learned)
    shown = [Shown("challenge", sets.challenge, on_challenge)] if sets.challenge else []
    shown += [Shown("golden", golden, on_golden)] if show_golden and judged.looked else []
    left_out = {"golden_duplicates": len(sets.golden) - len(golden)}
    return Compared({**judged.verification, **left_out, **told}, shown)


def _distinct(samples: Sequence[Sample], old: Model, new: Model, progress: Progress) -> tuple[list[Sample], Answers]:
    """One of each group of near-duplicates, and what both say of it."""
    if len(samples) > MAX_GOLDEN_ROWS:
        raise InputError("too_many", f"golden: at most {MAX_GOLDEN_ROWS:,} rows, found {len(samples):,}; draw a random part of them")
    payloads = [sample.payload for sample in samples]
    before = said(old, payloads, lambda done: progress("old model on golden rows", done))
    _, first = np.unique(duplicate_groups(before.embedding), return_index=True) if payloads else ((), np.empty(0, np.int64))
    rows = np.sort(first).tolist()
    kept = [samples[row] for row in rows]
    with blamed():
        after = said(new, [sample.payload for sample in kept], lambda done: progress("new model on golden rows", done))
    return kept, paired(kept, before.only(rows), after)
