"""Carries refresh cycles from step to step: from an alarm to candidates, from labels to data sets, from a proven model to a rebase."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog

from detectors.model import rows_needed
from detectors.selection.base import Turn
from service import refresh
from service.alarms import of_drift
from service.datasets import DataSet, DataSets
from service.errors import ConflictError, DriftgateError, InputError, NotFoundError
from service.labelled import LabelledSets, sample_of, whole
from service.looks import record
from service.ports import Embedder, Store
from service.records import (
    WHOLE,
    Alarm,
    AlarmState,
    AnnotationBatch,
    Candidate,
    CycleState,
    Family,
    Pooled,
    RefreshCycle,
    Sample,
)
from service.reference import Origin, Progress, Reference, References
from service.reference_rows import embed_rows
from service.selecting import challenge
from service.selecting.asking import Asked, asked, is_challenge
from service.selecting.interim import failure_rows
from service.selecting.proposal import Proposal
from service.selecting.selection import Round, Selection
from service.selecting.slices import Slice
from service.settings import EmbedderSettings, MonitorSettings
from service.verification import Answers, Gate, next_look, predict, verify

_CYCLES = 10_000
_AGAIN = 128
"""Samples between two attempts to find candidates for a young drift."""

log = structlog.get_logger()


class Monitors(Protocol):
    """What the refresher asks of the installation."""

    def effective(self, monitor: str) -> MonitorSettings:
        """The settings with the model that is in force."""

    def embedder(self, monitor: str) -> Embedder:
        """The monitor's embedder in force."""

    def load(self, settings: EmbedderSettings) -> Embedder:
        """Any embedder."""


class Refresher:
    """Everything is idempotent: a step that was taken already is found in the store and not taken again."""

    def __init__(self, store: Store, references: References, data_sets: DataSets, monitors: Monitors, *, models: Path) -> None:
        self._store = store
        self._references = references
        self._data_sets = data_sets
        self._sets = LabelledSets(data_sets)
        self._monitors = monitors
        self._models = models
        self.selection = Selection(store, references, data_sets, monitors)
        self._tried: dict[str, int] = {}

    # --- opening ------------------------------------------------------------------------------------------------------

    def follow(self, alarm: Alarm, *, samples: int, now: float) -> None:
        """Opens a cycle for an alarm once its stream has shown enough of the drift."""
        settings = self._monitors.effective(alarm.monitor)
        if samples < self._tried.get(alarm.id, settings.refresh.after_samples - _AGAIN) + _AGAIN:
            return
        self._tried[alarm.id] = samples
        if not refresh.wanted(alarm, settings.refresh, self._store.find(RefreshCycle, monitor=alarm.monitor, limit=_CYCLES)):
            return
        try:
            cycle = self.open(alarm.monitor, alarm.id, now=now)
        except InputError as error:
            log.info("refresh not opened yet", monitor=alarm.monitor, alarm=alarm.id, reason=str(error))
        else:
            log.info("refresh opened", monitor=alarm.monitor, cycle=cycle.id, alarm=alarm.id, batch=cycle.batch)

    def open(self, monitor: str, opened_by: str, *, budget: int | None = None, now: float) -> RefreshCycle:
        """Opens the cycle of an alarm's or request's id with its first candidates, at most `budget`; the same opener gives the same cycle
        while it runs."""
        attempts = [c for c in self._store.find(RefreshCycle, monitor=monitor, limit=_CYCLES) if c.opened_by == opened_by]
        running = next((cycle for cycle in attempts if cycle.state not in refresh.ENDED), None)
        if running is not None:
            return running
        settings = self._monitors.effective(monitor)
        attempt = max((cycle.attempt for cycle in attempts), default=0) + 1
        about = self.about(monitor, opened_by)
        opening = refresh.Opening(monitor, about.reference_version, opened_by, attempt)
        rounds = settings.selection.rounds
        proposal = self.selection.propose(about, Round(opening.cycle, Turn(1, rounds), budget), now=now)
        return self._start(opening, proposal, settings, rounds=rounds, now=now)

    def send(self, monitor: str, opened_by: str, candidates: Sequence[Candidate], rows: Sequence[Pooled], *, now: float) -> RefreshCycle:
        """Opens a cycle of one batch with candidates that a person chose; the same opener gives the same cycle."""
        settings = self._monitors.effective(monitor)
        opening = refresh.Opening(monitor, self._references.load(monitor).version, opened_by)
        self._sets.keep(candidates, {row.id: row for row in rows}, settings, self._monitors.embedder(monitor), now=now)
        return refresh.start(self._store, opening, candidates, settings, now=now)

    def about(self, monitor: str, opened_by: str = "") -> Slice:
        """What a cycle of this opener is about, by the reference in force: the traffic of an alarm, or what is known to fail."""
        version = self._references.load(monitor).version
        alarm = self._alarm(monitor, opened_by)
        if alarm is not None:
            return replace(Slice.of(alarm), reference_version=version)
        if not len(failure_rows(self._store, self._references.load(monitor), self._monitors.effective(monitor))):
            raise ConflictError(
                f"monitor {monitor}: no open alarm, so there is no drifted traffic to select candidates from, and no failure samples either"
            )
        return Slice(monitor, version)

    def _start(self, opening: refresh.Opening, proposal: Proposal, settings: MonitorSettings, *, rounds: int, now: float) -> RefreshCycle:
        if not proposal.candidates:
            raise _nothing(proposal)
        self._sets.keep(proposal.items, proposal.rows, settings, self._monitors.embedder(opening.monitor), now=now)
        plan = refresh.Plan(proposal.about.segment, proposal.about.since, rounds)
        return refresh.start(self._store, opening, proposal.items, settings, now=now, plan=plan)

    def _alarm(self, monitor: str, opened_by: str) -> Alarm | None:
        """The opener itself, or for a person's request the monitor's strongest open alarm."""
        try:
            return self._store.get(Alarm, opened_by)
        except NotFoundError:
            found = self._store.find(Alarm, monitor=monitor, states=[AlarmState.OPEN, AlarmState.ACKNOWLEDGED], limit=1000)
        return max(of_drift(found), key=lambda alarm: (alarm.family is not Family.CONCEPT, alarm.effect.low), default=None)

    def preview(self, about: Slice, *, budget: int | None = None, now: float, progress: Progress = lambda *_: None) -> Proposal:
        """What would be sent now: the next batch of a cycle that is under way on this slice, else the first of a new one."""
        running = self._store.find(RefreshCycle, monitor=about.monitor, states=[CycleState.ANNOTATING], limit=_CYCLES)
        same = next((cycle for cycle in running if (cycle.segment, cycle.since) == (about.segment, about.since)), None)
        if same is not None and len(same.batches) < same.rounds:
            turn = Round(same.id, Turn(len(same.batches) + 1, same.rounds), budget)
        else:
            turn = Round("", Turn(1, self._monitors.effective(about.monitor).selection.rounds), budget)
        return self.selection.propose(about, turn, now=now, progress=progress)

    def candidates(self, alarm: Alarm, *, now: float = 0.0) -> tuple[Candidate, ...]:
        """What the first batch of a cycle opened for the alarm now would ask, its challenge rows last."""
        proposal = self.preview(self.about(alarm.monitor, alarm.id), now=now)
        return (*proposal.candidates, *proposal.challenge)

    # --- labels -------------------------------------------------------------------------------------------------------

    def step(self, *, now: float) -> int:
        """Sends the next batch of cycles whose last one is answered, or turns the answers into data sets and asks for training; returns
        how many cycles moved."""
        waiting = self._store.find(RefreshCycle, states=[CycleState.ANNOTATING], limit=_CYCLES)
        answered = [cycle for cycle in waiting if self._store.get(AnnotationBatch, cycle.batch).state in refresh.ANSWERED]
        return sum(self._go_on(cycle, now) for cycle in answered)

    def _go_on(self, cycle: RefreshCycle, now: float) -> bool:
        """A cycle that can't go on does not hold up the others."""
        try:
            if self._next_round(cycle, now):
                return True
            sets = self._publish(cycle, now)
            refresh.request_training(self._store, cycle.id, sets, self._monitors.effective(cycle.monitor).refresh, now=now)
        except DriftgateError as error:
            log.warning("refresh can't go on", monitor=cycle.monitor, cycle=cycle.id, reason=str(error))
            return False
        log.info("training requested", monitor=cycle.monitor, cycle=cycle.id)
        return True

    def _next_round(self, cycle: RefreshCycle, now: float) -> bool:
        """Whether there was one: rounds end when all are sent, when nothing is left to spend, or when no more is worth asking about."""
        number, settings = len(cycle.batches) + 1, self._monitors.effective(cycle.monitor)
        if number > cycle.rounds or self._references.load(cycle.monitor).version != cycle.reference_version:
            return False
        about = Slice(cycle.monitor, cycle.reference_version, cycle.segment, cycle.since)
        proposal = self.selection.propose(about, Round(cycle.id, Turn(number, cycle.rounds)), now=now)
        if not proposal.candidates:
            log.info("no further round", monitor=cycle.monitor, cycle=cycle.id, reason=str(_nothing(proposal)))
            return False
        self._sets.keep(proposal.items, proposal.rows, settings, self._monitors.embedder(cycle.monitor), now=now)
        refresh.next_round(self._store, cycle, proposal.items, settings.annotation, now=now)
        log.info("next round", monitor=cycle.monitor, cycle=cycle.id, round=number, of=cycle.rounds)
        return True

    def _history(self, cycle: RefreshCycle) -> Asked:
        """What the cycle has asked so far, and the answers."""
        return asked(self._store, [self._store.get(AnnotationBatch, name) for name in cycle.batches])

    def _publish(self, cycle: RefreshCycle, now: float) -> list[Mapping[str, Any]]:
        history = self._history(cycle)
        labels = {key: answer.label for key, answer in history.answers.items() if answer.label is not None}
        drawn = {key for key, item in history.items.items() if is_challenge(item)}
        settings, embedder = self._monitors.effective(cycle.monitor), self._monitors.embedder(cycle.monitor)
        return self._sets.publish(settings, labels, drawn, embedder, now=now)

    # --- verification and rebase --------------------------------------------------------------------------------------

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
        drawn = self._sets.newest(cycle.monitor, "challenge")
        judged = (old.fingerprint, new.fingerprint, drawn.checksum if drawn else "")
        look = next_look(self._store, self._data_sets, cycle.monitor, settings.refresh, *judged)
        classes = classes or settings.classes
        progress("golden rows", 0.0)
        on_golden = _answers(look.drawn.rows, old, settings.classes, new, classes)
        progress("challenge rows", 0.0)
        on_challenge = _answers(drawn, old, settings.classes, new, classes)
        record(self._store, look, actor="driftgate", now=now)
        weighted = self._weighted(cycle, drawn, on_challenge, settings.refresh.confidence)
        found = verify(on_golden, on_challenge, Gate.of(look, settings.refresh), weighted=weighted)
        if found["verdict"] == "promote":
            return self._promote(cycle, found, model, tuple(classes), now, progress)
        return refresh.conclude(self._store, cycle.id, found, model=model.name, now=now)

    def _weighted(self, cycle: RefreshCycle, rows: DataSet | None, answers: Answers, confidence: float) -> Mapping[str, Any] | None:
        """What the challenge rows say of the slice that the cycle drew them from."""
        history = self._history(cycle)
        unusable = {sample for sample, answer in history.answers.items() if answer.unusable}
        truth = np.array(answers.labels, object)
        right = (np.array(answers.old, object) == truth, np.array(answers.new, object) == truth)
        ids = [sample.id for sample in rows.samples] if rows is not None else []
        return challenge.weighted(challenge.Design.of(history.items.values(), unusable), ids, right, confidence=confidence)

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
            self._references.activate(cycle.monitor, version)
        return cycle

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


def _nothing(proposal: Proposal) -> InputError:
    """Why a batch has no candidates."""
    empty = next((purse for purse in proposal.cost.purses if not purse.labels), None)
    monitor = proposal.about.monitor
    if empty is not None:
        return InputError(
            "no_budget", f"monitor {monitor}: {empty.name} are spent ({empty.spent:g} of {empty.limit:g}); raise {empty.setting}"
        )
    risky = f" ({proposal.risky:,} are, but too risky: selection.risk_limit)" if proposal.risky else ""
    return InputError(
        "no_candidates",
        f"monitor {monitor}: no recent sample is both new and in the company of others{risky}, so there is nothing to label; "
        "try again when more traffic has come",
    )


def _answers(rows: DataSet | None, old: Embedder, old_classes: Sequence[str], new: Embedder, new_classes: Sequence[str]) -> Answers:
    """What both models say of a set's rows."""
    if rows is None:
        return Answers((), (), ())
    payloads = [sample.payload for sample in rows.samples]
    labels = [str(sample.label) for sample in rows.samples]
    return Answers(labels, predict(old, payloads, old_classes), predict(new, payloads, new_classes))
