"""A new model against the old one: judged, and where it is proven brought into force with a reference of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog

from detectors.model import rows_needed
from service import refresh
from service.datasets import DataSets
from service.errors import ConflictError, InputError, NotFoundError
from service.golden import join_select
from service.labelled import sample_of, whole
from service.looks import record
from service.ports import Embedder, Store
from service.records import (
    WHOLE,
    Alarm,
    AnnotationBatch,
    CycleState,
    Pooled,
    RefreshCycle,
    Sample,
)
from service.reference import Origin, Progress, Reference, References
from service.reference_rows import embed_rows
from service.selecting import challenge
from service.selecting.asking import asked
from service.settings import EmbedderSettings, MonitorSettings
from service.verifying import Model, judge, look_at
from service.verifying.judging import Weigh

log = structlog.get_logger()


class Monitors(Protocol):
    """What a promotion asks of the installation."""

    def effective(self, monitor: str) -> MonitorSettings:
        """The settings with the model that is in force."""

    def embedder(self, monitor: str) -> Embedder:
        """The monitor's embedder in force."""

    def load(self, settings: EmbedderSettings) -> Embedder:
        """Any embedder."""


class Promotion:
    """Everything is idempotent: a verdict that was reached already is found in the store and not reached again."""

    def __init__(self, store: Store, references: References, data_sets: DataSets, monitors: Monitors, *, models: Path) -> None:
        self._store = store
        self._references = references
        self._data_sets = data_sets
        self._monitors = monitors
        self._models = models

    def verify(
        self, cycle_id: str, model: Path, classes: Sequence[str], *, now: float, progress: Progress = lambda *_: None
    ) -> RefreshCycle:
        """Judges a new model on golden (verify part) and challenge rows; a proven one is promoted and the reference rebased on it."""
        cycle = self._store.get(RefreshCycle, cycle_id)
        settings, old = self._monitors.effective(cycle.monitor), self._monitors.embedder(cycle.monitor)
        if cycle.state is CycleState.PROMOTED:
            return self._in_force(cycle)
        if cycle.state not in (CycleState.TRAINING, CycleState.VERIFYING):
            raise ConflictError(f"refresh cycle {cycle.id} is {cycle.state}; a model is verified after training was asked for")
        if not settings.classes:
            raise InputError("classes", f"monitor {cycle.monitor}: declare `classes`, the model's class names in the order of its logits")
        new = self._monitors.load(settings.embedder.with_model(model))
        classes = classes or settings.classes
        drawn = challenge.of_cycle(self._store, self._data_sets, cycle)
        models = Model(old, settings.classes), Model(new, tuple(classes))
        look = look_at(self._store, self._data_sets, settings, *models, drawn)
        weigh = self._weighing(cycle, settings.refresh.confidence)
        found = judge(*models, look, drawn, settings, weigh=weigh, progress=progress).verification
        record(self._store, look, actor="driftgate", now=now)
        if found["verdict"] == "promote":
            return self._promote(cycle, found, model, tuple(classes), now, progress)
        return refresh.conclude(self._store, cycle.id, found, model=model.name, now=now)

    def _weighing(self, cycle: RefreshCycle, confidence: float) -> Weigh:
        """What the challenge rows say of the slice that the cycle drew them from."""
        history = asked(self._store, [self._store.get(AnnotationBatch, name) for name in cycle.batches])
        return partial(challenge.weighted, challenge.Design.of(history.items.values(), history.answers), confidence=confidence)

    def _promote(
        self, cycle: RefreshCycle, found: dict[str, object], model: Path, classes: tuple[str, ...], now: float, progress: Progress
    ) -> RefreshCycle:
        """The model is kept beside its reference, so that going back restores both."""
        kept = _kept(model, self._models / cycle.monitor / cycle.id)
        reference = self._rebased(cycle.monitor, self._since(cycle), kept, classes, now, progress)
        short = self._short(reference)
        outcome = {**found, "reference_version": reference.version, **({"warning": short} if short else {})}
        cycle = refresh.conclude(self._store, cycle.id, outcome, model=model.name, now=now)
        log.info("promoted", monitor=cycle.monitor, cycle=cycle.id, reference=reference.version)
        return self._in_force(cycle)

    def _in_force(self, cycle: RefreshCycle) -> RefreshCycle:
        """Also what a crash after the verdict left undone; a newer version that came into force since then stays."""
        version = int((cycle.verification or {})["reference_version"])
        if (self._references.active(cycle.monitor) or 0) < version:
            self._join(cycle, version)
            self._references.activate(cycle.monitor, version)
        return cycle

    def _join(self, cycle: RefreshCycle, version: int) -> None:
        """Challenge rows have judged their model: from now on candidates are chosen by them, in golden's *select* part."""
        drawn = challenge.of_cycle(self._store, self._data_sets, cycle)
        if drawn is None:
            return
        model, classes = self._references.model(cycle.monitor, version)
        settings = self._monitors.effective(cycle.monitor)
        embedder = settings.embedder.with_model(Path(model)) if model else settings.embedder
        settings = settings.model_copy(update={"classes": classes or settings.classes})
        try:
            join_select(self._data_sets, settings, drawn, self._monitors.load(embedder), now=cycle.history[-1].time)
        except InputError as error:
            log.warning("challenge rows not joined", monitor=cycle.monitor, cycle=cycle.id, reason=str(error))

    def rebase(self, monitor: str, *, since: float, now: float, progress: Progress = lambda *_: None) -> Reference:
        """A new version from the recent samples, on the model in force; it comes into force at once."""
        model, classes = self._references.model(monitor)
        reference = self._rebased(monitor, since, Path(model) if model else None, classes, now, progress)
        self._references.activate(monitor, reference.version)
        self._short(reference)
        return reference

    def _short(self, reference: Reference) -> str | None:
        """Says so where the pool held too little for the run length that the monitor is asked for; it comes into force all the same."""
        short = shortfall(reference, self._monitors.effective(reference.monitor), self._store.status(reference.monitor))
        if short:
            log.warning("reference too small", monitor=reference.monitor, reason=short)
        return short

    def _rebased(
        self, monitor: str, since: float, model: Path | None, classes: tuple[str, ...], now: float, progress: Progress
    ) -> Reference:
        settings = self._monitors.effective(monitor)
        embedding = settings.embedder if model is None else settings.embedder.with_model(model)
        embedder = self._monitors.load(embedding)
        pool = whole(self._store.pool(monitor, since=since), settings)
        rows = embed_rows(
            self._answered(pool, settings, model),
            embedder,
            classes=classes or settings.classes,
            progress=lambda done: progress("embedding recent samples", done / len(pool)),
        )
        detection = settings.detection.model_copy(update={"accept_supported": True})
        origin = Origin(embedder.fingerprint, now, "recent samples", True, str(model or ""), classes)
        return self._references.build(settings.model_copy(update={"detection": detection}), rows, origin, progress=progress)

    def _answered(self, pool: Sequence[Pooled], settings: MonitorSettings, model: Path | None) -> Iterator[Sample]:
        """The pool's samples with the outputs that are this model's own: another's say nothing of how it will answer."""
        made_by = {int(made["version"]): str(made["model"]) for made in self._references.versions(settings.name)}
        for row in pool:
            own = made_by.get(row.reference_version, "") == str(model or "")
            yield sample_of(row if own else replace(row, output=None), settings)

    def _since(self, cycle: RefreshCycle) -> float:
        """Where the drift that opened the cycle began."""
        if cycle.segment:
            return cycle.since
        try:
            return self._store.get(Alarm, cycle.opened_by).window_start
        except NotFoundError:
            return 0.0


def shortfall(reference: Reference, settings: MonitorSettings, status: Mapping[str, Any]) -> str | None:
    """What a reference of recent samples can't hold to, and how many it needs; None where it holds to all that is asked.

    `status`: the monitor's last decision, which knows the stream's share of the budget.
    """
    shares = [stream["asked_run_length"] for stream in status.get("streams", ()) if stream["segment"] == WHOLE]
    own, supported = settings.detection.run_length, reference.model.calibration.supported
    asked = own if own is not None else max([settings.detection.first_run_length, *shares])
    if supported >= asked:
        return None
    needed = rows_needed(asked, inflation=reference.model.dependence.inflation)
    small = f"reference {reference.version} of {len(reference.rows):,} recent samples supports a run length of {supported:,.0f}"
    return f"{small}, not the {asked:,.0f} asked for: it takes {needed:,} rows; set pool.rows so, or build a reference from files"


def _kept(model: Path, folder: Path) -> Path:
    """A copy of the model with what belongs to it: external weights and a tokenizer of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (*model.parent.glob(f"{model.name}*"), model.with_name("tokenizer.json")):
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    return folder / model.name
