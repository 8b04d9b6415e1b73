"""From two models and the rows that judge them to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.datasets import DataSet, DataSets
from service.looks import Attempt, attempt
from service.ports import Store
from service.settings import MonitorSettings, RefreshSettings
from service.verifying.answers import Answers, Model, answers_of
from service.verifying.gate import Gate, promise
from service.verifying.usable import added, lost
from service.verifying.verdict import verify

Progress: TypeAlias = Callable[[str, float], None]
Right: TypeAlias = tuple[NDArray[np.bool_], NDArray[np.bool_]]
Weigh: TypeAlias = Callable[[Sequence[str], Right], Mapping[str, Any] | None]
"""From the ids of the challenge rows, and whether the old and the new model get each right, to figures of all that they were drawn from."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A verdict, as it is kept, and the answers that it stands on."""

    verification: dict[str, Any]
    golden: Answers
    challenge: Answers


def next_look(store: Store, data_sets: DataSets, monitor: str, settings: RefreshSettings, *judged: object) -> Attempt:
    """The golden rows that judge next, one of each group of near-duplicates. `judged`: what decides the verdict beside them."""
    golden = data_sets.load(monitor, "golden")
    return attempt(store, golden, data_sets, "verify", judged=(*judged, *_asked(settings)), promise=promise(settings))


def look_at(store: Store, data_sets: DataSets, settings: MonitorSettings, old: Model, new: Model, challenge: DataSet | None) -> Attempt:
    """The rows for judging this model against that one: the same again for the same two models, which tells nobody anything new."""
    judged = (*old.judged, *new.judged, challenge.checksum if challenge else "", *settings.segments.tags)
    return next_look(store, data_sets, settings.name, settings.refresh, *judged)


def judge(  # noqa: PLR0913 - options by keyword, after what decides the verdict
    old: Model,
    new: Model,
    look: Attempt,
    challenge: DataSet | None,
    settings: MonitorSettings,
    *,
    weigh: Weigh = lambda *_: None,
    progress: Progress = lambda *_: None,
) -> Judged:
    """Nothing is written: whoever asks records the look before the verdict is told."""
    on_golden = answers_of(look.drawn.rows.samples, old, new, lambda done: progress("golden rows", done))
    rows = challenge.samples if challenge else ()
    on_challenge = answers_of(rows, old, new, lambda done: progress("challenge rows", done))
    weighted = weigh([sample.id for sample in rows], on_challenge.right) if rows else None
    found = verify(on_golden, on_challenge, Gate.of(look, settings.refresh), tags=settings.segments.tags, weighted=weighted)
    classes = {"lost_classes": lost(old.classes, new.classes), "new_classes": added(old.classes, new.classes)}
    return Judged({**found, **classes, "golden_version": look.golden.version}, on_golden, on_challenge)


def _asked(settings: RefreshSettings) -> tuple[object, ...]:
    """What else the verdict depends on."""
    return settings.segment_margin, settings.expected_flips, settings.gap, settings.max_negative_flips
