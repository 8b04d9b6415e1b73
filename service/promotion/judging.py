"""What would be served against what is in force, on golden's *verify* part and on the cycle's challenge rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from service.annotation import naming, scheme_of
from service.datasets import DataSets, Role
from service.errors import ConflictError, InputError, NotFoundError
from service.looks import record
from service.ports import Store
from service.promotion.monitors import Monitors
from service.promotion.registering import Shelf
from service.promotion.steps import cited
from service.records import AnnotationBatch, Artefact, CycleState, RefreshCycle, stable_id
from service.reference import Progress
from service.selecting import challenge
from service.selecting.asking import asked
from service.settings import MonitorSettings
from service.verifying import Judged, Model, judge, look_at
from service.verifying.answers import answers_of
from service.verifying.beside import beside
from service.verifying.correction import labels_before
from service.verifying.gallery import Shown
from service.verifying.report import Verified
from service.verifying.unusable import REASON, blamed
from service.verifying.usable import named

_JUDGING: tuple[Role, ...] = ("golden", "challenge")
_LEARNED = 1_000
"""Rows of the training set that tell how well it was learned."""


class Judging:
    """Every verdict names what it is of (`basis`), so that it is reached once, and anew when rows have come."""

    def __init__(self, store: Store, data_sets: DataSets, monitors: Monitors, shelf: Shelf) -> None:
        self._store = store
        self._data_sets = data_sets
        self._monitors = monitors
        self._shelf = shelf

    def basis(self, cycle: RefreshCycle) -> str:
        """All that a verdict depends on but the rows themselves, whose versions stand for them."""
        newest = [max((int(made["version"]) for made in self._data_sets.versions(cycle.monitor, role)), default=0) for role in _JUDGING]
        served = cycle.served.checksum if cycle.served else ""
        settings, scheme = self._monitors.effective(cycle.monitor), scheme_of(self._store, cycle.monitor)
        gate = settings.refresh.model_dump(mode="json"), settings.classes, settings.segments.tags, scheme.number if scheme else 0
        return stable_id("verdict", served, self._monitors.version(cycle.monitor), *newest, *gate)

    def judge(self, cycle: RefreshCycle, served: Artefact, *, now: float, progress: Progress) -> dict[str, Any]:
        """The verification, ready to be stored. Without the rows it takes it says so: that is no fault of the model's. InputError
        (`unusable_model`) where the model fails on some of them: it is."""
        basis = self.basis(cycle)
        try:
            found = self._verified(cycle, served, now, progress)
        except (InputError, NotFoundError) as error:
            if isinstance(error, InputError) and error.reason == REASON:
                raise
            found = {"verdict": "insufficient", "passed": False, "reasons": [str(error)]}
        return {**found, **_replacing(served, found), "basis": basis}

    def report(self, cycle: RefreshCycle, *, now: float, progress: Progress) -> Verified:
        """The verdict with rows to look at: challenge, and golden's *select* part, which judges nothing. Once the model serves, and where
        nothing was judged, the verdict alone: the one before it is no longer in force, or there is nothing to be held against it."""
        served, settings = cycle.served, self._monitors.effective(cycle.monitor)
        if cycle.verification is None:
            raise ConflictError(f"refresh cycle {cycle.id} is {cycle.state}; nothing was verified yet")
        in_force = settings.embedder.model
        before = {"name": str(in_force), "classes": len(settings.classes)} if in_force is None else named(in_force, settings.classes)
        told = bool(cycle.verification.get("checks")) and cycle.state is not CycleState.PROMOTED
        shown = self._shown(cycle, *self._models(served, settings), progress) if told and served else ()
        return Verified(now, before, self._named(cycle), cycle.verification, shown)

    def _named(self, cycle: RefreshCycle) -> Mapping[str, Any]:
        """The model that was verified, or that could not be."""
        if cycle.served is not None:
            return named(self._shelf.path(cycle.served), cycle.served.classes)
        told = (cycle.verification or {}).get("model") or cited(cycle.model) or {}
        return {"name": Path(told.get("path", "")).name, "checksum": told.get("sha256", ""), "classes": len(told.get("classes", ()))}

    def _shown(self, cycle: RefreshCycle, old: Model, new: Model, progress: Progress) -> Sequence[Shown]:
        drawn = challenge.of_cycle(self._store, self._data_sets, cycle)
        sets = {"challenge": drawn.samples if drawn else ()}
        if self._data_sets.versions(cycle.monitor, "golden"):
            sets["golden (select)"] = self._data_sets.load(cycle.monitor, "golden").part("select").samples
        return [Shown(name, rows, answers_of(rows, old, new, partial(progress, f"{name} rows"))) for name, rows in sets.items() if rows]

    def _models(self, served: Artefact, settings: MonitorSettings) -> tuple[Model, Model]:
        """In force, and to be served."""
        with blamed():
            new = self._monitors.load(settings.embedder.with_model(self._shelf.path(served)))
        scheme = scheme_of(self._store, settings.name)  # labels carry the names of today, models those of when they were made
        old, called = settings.classes, naming(scheme)
        return Model(self._monitors.embedder(settings.name), tuple(map(called, old))), Model(new, tuple(map(called, served.classes)))

    def _verified(self, cycle: RefreshCycle, served: Artefact, now: float, progress: Progress) -> dict[str, Any]:
        settings = self._monitors.effective(cycle.monitor)
        if not settings.classes:
            raise InputError("classes", f"monitor {cycle.monitor}: declare `classes`, the model's class names in the order of its logits")
        old, new = self._models(served, settings)
        drawn = challenge.of_cycle(self._store, self._data_sets, cycle)
        look = look_at(self._store, self._data_sets, settings, old, new, drawn)
        design = self._design(cycle)

        def weigh(ids: Sequence[str], right: Any) -> Mapping[str, Any] | None:
            return challenge.weighted(design, ids, right, confidence=settings.refresh.confidence)

        before = labels_before(self._data_sets, look.golden)
        found = judge(old, new, look, drawn, settings, weigh=weigh, before=before, progress=progress)
        if found.looked:
            record(self._store, look, actor="driftgate", now=now)
        return found.verification | self._beside(cycle, found, old, new)

    def _beside(self, cycle: RefreshCycle, found: Judged, old: Model, new: Model) -> dict[str, Any]:
        """Calibration, latency, and how well it learned: by its run, else by rows of the training set."""
        run = cycle.model.run if cycle.model else {}
        learned = self._data_sets.load(cycle.monitor, "train").samples if self._data_sets.versions(cycle.monitor, "train") else ()
        rows = [] if "figures" in run else [learned[at] for at in np.linspace(0, len(learned) - 1, min(len(learned), _LEARNED)).astype(int)]
        timed = [sample.payload for sample in (self._data_sets.load(cycle.monitor, "golden").part("select").samples or rows)]
        train = answers_of(rows, old, new)
        return beside(found, old, new, timed, rng=np.random.default_rng(0), clock=perf_counter, run=run, train=train)

    def _design(self, cycle: RefreshCycle) -> challenge.Design:
        """How the challenge rows were drawn from the slice that they speak for."""
        history = asked(self._store, [self._store.get(AnnotationBatch, name) for name in cycle.batches])
        return challenge.Design.of(history.items.values(), history.answers)


def _replacing(served: Artefact, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the verdict says beside its figures: the switch's promise; or that a switch is replaced as a whole, and what that breaks."""
    told = {name: served.run[name] for name in ("switch", "no_switch") if name in served.run}
    why = served.run.get("full_replacement")
    if not why:
        return told
    golden = found.get("golden") or {}
    rows, flips = golden.get("rows", 0), golden.get("negative_flips", 0)
    breaks = f"of {rows:,} golden rows {flips:,} that are answered right today would break ({flips / rows:.2%})" if rows else "unknown yet"
    reason = f"a full replacement: {why}; {breaks}"
    return {**told, "full_replacement": reason, "reasons": [*found.get("reasons", ()), reason]}
