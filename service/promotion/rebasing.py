"""A reference on a promoted model, from what production was asked lately."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from detectors.model import rows_needed
from service.datasets import DataSets
from service.errors import InputError, NotFoundError
from service.golden import join_select
from service.labelled import sample_of, whole
from service.ports import Store
from service.promotion.monitors import Monitors
from service.promotion.registering import Shelf
from service.promotion.steps import has_shown_itself
from service.records import WHOLE, Alarm, Artefact, Pooled, RefreshCycle, Sample
from service.reference import Origin, Progress, Reference, References
from service.reference_rows import embed_rows
from service.selecting import challenge
from service.settings import MonitorSettings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Model:
    """What a reference is made with: the file, '' for the configured one, its classes, and what its outputs are known to carry."""

    path: str = ""
    classes: tuple[str, ...] = ()
    version: str = ""


class Rebasing:
    """Builds references of recent samples. What is built for a cycle is found again by whoever repeats the step."""

    def __init__(self, store: Store, references: References, data_sets: DataSets, monitors: Monitors, shelf: Shelf) -> None:
        self._store = store
        self._references = references
        self._data_sets = data_sets
        self._monitors = monitors
        self._shelf = shelf

    def by_hand(self, monitor: str, *, since: float, now: float, progress: Progress) -> Reference:
        """A new version from the recent samples, on the model in force; it comes into force at once."""
        path, classes = self._references.model(monitor)
        version = next((str(made.get("model_version", "")) for made in self._references.versions(monitor) if made["active"]), "")
        reference = self._built(monitor, since, _Model(path, classes, version), now, progress)
        self._references.activate(monitor, reference.version)
        self._short(reference)
        return reference

    def of_cycle(self, cycle: RefreshCycle, served: Artefact, *, now: float, progress: Progress) -> Mapping[str, Any]:
        """The reference on the cycle's model, in force: its number and what else is kept of it with the cycle."""
        path = str(self._shelf.path(served))
        made = self._made(cycle.monitor, path)
        if made is None:
            model = _Model(path, served.classes, served.version if has_shown_itself(cycle) else "")
            reference = self._built(cycle.monitor, self._since(cycle), model, now, progress)
        else:
            reference = self._references.load(cycle.monitor, made)
        self._join(cycle, served, now=now)
        self._references.activate(cycle.monitor, reference.version)
        short = self._short(reference)
        outcome = {"reference_version": reference.version, **self._counted(cycle, served)}
        return {**outcome, **({"warning": short} if short else {})}

    def _made(self, monitor: str, model: str) -> int | None:
        """The version that was built on this model, where a step that was cut short got so far."""
        return next((int(made["version"]) for made in reversed(self._references.versions(monitor)) if made["model"] == model), None)

    def _counted(self, cycle: RefreshCycle, served: Artefact) -> Mapping[str, int]:
        """Recent samples that another model answered: what it said is no part of the reference."""
        rows = self._store.pool(cycle.monitor, since=self._since(cycle))
        others = sum(_is_others(row, served.version) for row in rows)
        return {"answered_by_others": others} if others and has_shown_itself(cycle) else {}

    def _join(self, cycle: RefreshCycle, served: Artefact, *, now: float) -> None:
        """Challenge rows have judged their model: from now on candidates are chosen by them, in golden's *select* part."""
        drawn = challenge.of_cycle(self._store, self._data_sets, cycle)
        if drawn is None:
            return
        settings = self._monitors.effective(cycle.monitor)
        embedder = self._monitors.load(settings.embedder.with_model(self._shelf.path(served)))
        try:
            join_select(self._data_sets, settings.model_copy(update={"classes": served.classes}), drawn, embedder, now=now)
        except InputError as error:
            log.warning("challenge rows not joined", monitor=cycle.monitor, cycle=cycle.id, reason=str(error))

    def _short(self, reference: Reference) -> str | None:
        """Says so where the pool held too little for the run length that the monitor is asked for; it comes into force all the same."""
        short = shortfall(reference, self._monitors.effective(reference.monitor), self._store.status(reference.monitor))
        if short:
            log.warning("reference too small", monitor=reference.monitor, reason=short)
        return short

    def _built(self, monitor: str, since: float, model: _Model, now: float, progress: Progress) -> Reference:
        settings = self._monitors.effective(monitor)
        embedding = settings.embedder.with_model(Path(model.path)) if model.path else settings.embedder
        embedder = self._monitors.load(embedding)
        pool = whole(self._store.pool(monitor, since=since), settings)
        rows = embed_rows(
            self._answered(pool, settings, model),
            embedder,
            classes=model.classes or settings.classes,
            progress=lambda done: progress("embedding recent samples", done / len(pool)),
        )
        detection = settings.detection.model_copy(update={"accept_supported": True})
        origin = Origin(embedder.fingerprint, now, "recent samples", True, model.path, model.classes, model.version)
        return self._references.build(settings.model_copy(update={"detection": detection}), rows, origin, progress=progress)

    def _answered(self, pool: Sequence[Pooled], settings: MonitorSettings, model: _Model) -> Iterator[Sample]:
        """The pool's samples with the outputs that are this model's own: another's say nothing of how it will answer."""
        made_by = {int(made["version"]): str(made["model"]) for made in self._references.versions(settings.name)}
        for row in pool:
            said = row.output.model_version if row.output else None
            own = said == model.version if said and model.version else made_by.get(row.reference_version, "") == model.path
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


def _is_others(row: Pooled, version: str) -> bool:
    """Whether another model than this one says that it answered."""
    said = row.output.model_version if row.output else None
    return said is not None and said != version
