"""From a model that came back to one that serves: every act is a step of its cycle, and every step is taken once."""

from __future__ import annotations

import structlog

from service.datasets import DataSets
from service.errors import ConflictError, InputError
from service.ports import Store
from service.promotion import steps
from service.promotion.carrying import Carrying
from service.promotion.ground import Ground
from service.promotion.judging import Judging
from service.promotion.monitors import Monitors
from service.promotion.rebasing import Rebasing
from service.promotion.registering import Given, Shelf
from service.promotion.serving import Serving
from service.promotion.steps import Reason
from service.records import Artefact, CycleState, RefreshCycle, Step
from service.reference import Progress, Reference, References
from service.verifying.report import Verified

_CYCLES = 10_000

log = structlog.get_logger()


class Promotion:
    """What a cycle's model goes through. `step` is the controller's, the others are acts of people and of trainers."""

    def __init__(self, store: Store, references: References, data_sets: DataSets, monitors: Monitors, shelf: Shelf) -> None:
        self._store = store
        self.shelf = shelf
        self._ground = Ground(store, references, monitors, shelf)
        self._rebasing = Rebasing(store, references, data_sets, monitors, shelf)
        self._judging = judging = Judging(store, data_sets, monitors, shelf)
        self._carrying = Carrying(self._ground, Serving(store, data_sets, monitors, shelf), judging, self._rebasing)

    # --- the controller's -----------------------------------------------------------------------------------------------

    def step(self, *, now: float, progress: Progress = lambda *_: None) -> int:
        """Takes the next step of every cycle that has one to take; returns how many moved."""
        return self._carrying.step(now=now, progress=progress)

    def go_on(self, cycle_id: str, *, now: float, progress: Progress = lambda *_: None) -> RefreshCycle:
        """Takes one cycle's steps until it waits for a person, for rows or for production."""
        return self._carrying.go_on(cycle_id, now=now, progress=progress)

    # --- acts -----------------------------------------------------------------------------------------------------------

    def register(self, cycle_id: str, given: Given, *, actor: str, now: float) -> RefreshCycle:
        """Takes a model in for a cycle; the same one again changes nothing, another one before a verdict stands in its place."""
        cycle = self.expects(cycle_id)
        self.shelf.tidy(now=now)
        try:
            self._require_other_version(cycle, given.version)
            model = self.shelf.keep(cycle, given, now=now)
        except InputError as error:
            raise InputError(error.reason, f"the model can't be used: {error}") from error
        if cycle.model is not None and _same(cycle.model, model):
            return cycle
        if cycle.state not in _TAKING:
            raise ConflictError(_not_taking(cycle))
        registered = steps.registered(cycle, model, actor=actor, now=now)
        self._store.save(registered)
        log.info("model registered", monitor=cycle.monitor, cycle=cycle.id, version=model.version, sha256=model.checksum)
        return registered

    def expects(self, cycle_id: str) -> RefreshCycle:
        """The cycle, if a model may come back for it: asked before one is uploaded."""
        cycle = self._store.get(RefreshCycle, cycle_id)
        if cycle.state not in _TAKING and cycle.model is None:
            raise ConflictError(_not_taking(cycle))
        return cycle

    def promote(self, cycle_id: str, *, actor: str, now: float, note: str = "") -> RefreshCycle:
        """A person's word that a proven model is to serve; it is announced in the same transaction."""
        cycle = self._store.get(RefreshCycle, cycle_id)
        if cycle.state in (CycleState.DEPLOYING, CycleState.PROMOTED):
            return cycle
        return self._ground.announce(cycle, Reason.APPROVED, actor=actor, now=now, note=note)

    def decline(self, cycle_id: str, *, actor: str, now: float, note: str = "") -> RefreshCycle:
        """A person's word that it is not; the model in force stays."""
        cycle = self._store.get(RefreshCycle, cycle_id)
        if cycle.state is not CycleState.VERIFIED:
            raise ConflictError(f"refresh cycle {cycle.id} is {cycle.state}; only a verified model can be declined")
        declined = steps.declined(cycle, actor=actor, now=now, note=note)
        self._store.save(declined)
        return declined

    def deployed(self, cycle_id: str, *, actor: str, now: float, note: str = "") -> RefreshCycle:
        """A person's word that production answers with it, for records that carry no version."""
        cycle = self._store.get(RefreshCycle, cycle_id)
        if cycle.state is CycleState.PROMOTED or steps.is_deployed(cycle):
            return cycle
        if cycle.state is not CycleState.DEPLOYING:
            raise ConflictError(f"refresh cycle {cycle.id} is {cycle.state}; a model is deployed after its promotion")
        return self._ground.deploy(cycle, Step(CycleState.DEPLOYING, Reason.SAID, now, actor, note))

    def revert(self, cycle_id: str, *, actor: str, now: float, note: str = "") -> RefreshCycle:
        """Asks for the model before, and goes back to its reference; what is reverted already is only made sure of."""
        cycle = self._store.get(RefreshCycle, cycle_id)
        if cycle.state not in _REVERTED:
            raise ConflictError(f"refresh cycle {cycle.id} is {cycle.state}; a model is reverted after its promotion")
        later = self._built_on(cycle)
        if later and cycle.state is not CycleState.REVERTED:
            raise ConflictError(f"refresh cycle {later.id} ({later.state}) was opened on this one's model: revert or cancel it first")
        if not later:
            self._ground.go_back(cycle)
        if cycle.state is CycleState.REVERTED:
            return cycle
        reverted = steps.reverted(cycle, actor=actor, now=now, note=note)
        before = self._ground.before(cycle)
        content = {"model": steps.cited(cycle.model), "served": steps.cited(cycle.served), "back_to": before}
        self._store.save(reverted, outbox=self._ground.told(reverted, steps.REVERTED, content, now=now))
        log.info("reverted", monitor=cycle.monitor, cycle=cycle.id, reference=before["reference_version"])
        return reverted

    def report(self, cycle_id: str, *, now: float, progress: Progress = lambda *_: None) -> Verified:
        """What its verification found, with rows to look at."""
        return self._judging.report(self._store.get(RefreshCycle, cycle_id), now=now, progress=progress)

    def rebase(self, monitor: str, *, since: float, now: float, progress: Progress = lambda *_: None) -> Reference:
        """A new reference from the recent samples, on the model in force; it comes into force at once."""
        return self._rebasing.by_hand(monitor, since=since, now=now, progress=progress)

    def _built_on(self, cycle: RefreshCycle) -> RefreshCycle | None:
        """The newest later cycle that began with this one's model and was not given up."""
        found = self._store.find(RefreshCycle, monitor=cycle.monitor, limit=_CYCLES)
        later = (each for each in found if each.created > cycle.created and each.state not in _GIVEN_UP)
        return next(later, None) if cycle.state is not CycleState.DEPLOYING else None

    def _require_other_version(self, cycle: RefreshCycle, version: str) -> None:
        in_force = self._ground.in_force(cycle.monitor)
        if in_force is not None and version == in_force.version and not self._ground.serves(cycle):
            raise InputError("version", f"version {version} is the model's in force; production could not tell them apart: give it another")


def _same(kept: Artefact, given: Artefact) -> bool:
    """Whether somebody registers what is registered already."""
    classes = not given.classes or given.classes == kept.classes
    return (kept.checksum, kept.version) == (given.checksum, given.version) and classes


def _not_taking(cycle: RefreshCycle) -> str:
    """Why no model is taken in."""
    if cycle.state is CycleState.ANNOTATING:
        return f"refresh cycle {cycle.id} is annotating; a model is registered after training was asked for"
    return f"refresh cycle {cycle.id} is {cycle.state}, its verdict is in; a model is registered while one is waited for or verified"


_TAKING = frozenset({CycleState.TRAINING, CycleState.VERIFYING})
_REVERTED = frozenset({CycleState.DEPLOYING, CycleState.PROMOTED, CycleState.REVERTED})
_GIVEN_UP = frozenset({CycleState.REJECTED, CycleState.CANCELLED, CycleState.REVERTED})
