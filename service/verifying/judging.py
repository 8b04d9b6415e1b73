"""From two models and the rows that judge them to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.datasets import DataSet, DataSets
from service.looks import Attempt, attempt
from service.ports import Store
from service.records import Sample
from service.settings import MonitorSettings, RefreshSettings
from service.verifying.answers import Answers, Model, answers_of
from service.verifying.checks import Outcome
from service.verifying.correction import without_correction
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

    @property
    def looked(self) -> bool:
        """Whether golden rows had a say: where they are too few, the verdict was clear before anything was looked at."""
        return _looked(self.verification)


def next_look(
    store: Store, data_sets: DataSets, monitor: str, settings: RefreshSettings, *judged: object, version: int | None = None
) -> Attempt:
    """The golden rows that judge next, one of each group of near-duplicates. `judged`: what decides the verdict beside them; `version`: of
    golden, the newest by default."""
    golden = data_sets.load(monitor, "golden", version)
    return attempt(store, golden, data_sets, "verify", judged=(*judged, *_asked(settings)), promise=promise(settings))


def look_at(store: Store, data_sets: DataSets, settings: MonitorSettings, old: Model, new: Model, challenge: DataSet | None) -> Attempt:
    """The rows for judging this model against that one: the same again for the same two models, which tells nobody anything new."""
    return next_look(store, data_sets, settings.name, settings.refresh, *decisive(old, new, challenge, settings))


def decisive(old: Model, new: Model, challenge: DataSet | None, settings: MonitorSettings) -> tuple[object, ...]:
    """What a look at golden rows is known again by, beside those rows and what is asked of the model."""
    return (*old.judged, *new.judged, challenge.checksum if challenge else "", *settings.segments.tags)


def judge(  # noqa: PLR0913 - options by keyword, after what decides the verdict
    old: Model,
    new: Model,
    look: Attempt,
    challenge: DataSet | None,
    settings: MonitorSettings,
    *,
    weigh: Weigh = lambda *_: None,
    before: Mapping[str, str] | None = None,
    progress: Progress = lambda *_: None,
) -> Judged:
    """Nothing is written: whoever asks records the look, if it is one, before the verdict is told. `before`: labels that golden's
    correct."""
    golden, rows = look.drawn.rows.samples, challenge.samples if challenge else ()
    on_golden = answers_of(golden, old, new, lambda done: progress("golden rows", done))
    on_challenge = answers_of(rows, old, new, lambda done: progress("challenge rows", done))
    weighted = weigh([sample.id for sample in rows], on_challenge.right) if rows else None
    gate = Gate.of(look, settings.refresh)
    decide = partial(verify, challenge=on_challenge, gate=gate, tags=settings.segments.tags, weighted=weighted)
    found = concluded(decide, golden, on_golden, before) | changed_classes(old, new) | {"golden_version": look.golden.version}
    return Judged(found, on_golden, on_challenge)


def concluded(
    decide: Callable[[Answers], dict[str, Any]], samples: Sequence[Sample], golden: Answers, before: Mapping[str, str] | None
) -> dict[str, Any]:
    """The verdict, and what it would be with the labels from before: where rows are too few, that would be a look."""
    found = decide(golden)
    correction = {"correction": without_correction(samples, golden, before, decide)} if before is not None and _looked(found) else {}
    return found | correction


def _looked(verification: Mapping[str, Any]) -> bool:
    return all(check["outcome"] != Outcome.TOO_FEW for check in verification["checks"] if check["name"] == "accuracy")


def changed_classes(old: Model, new: Model) -> dict[str, list[str]]:
    """By name: their order and number may differ."""
    return {"lost_classes": lost(old.classes, new.classes), "new_classes": added(old.classes, new.classes)}


def _asked(settings: RefreshSettings) -> tuple[object, ...]:
    """What else the verdict depends on."""
    return settings.segment_margin, settings.expected_flips, settings.gap, settings.max_negative_flips
