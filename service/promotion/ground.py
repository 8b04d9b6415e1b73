"""What acts of people and steps of the controller have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import ConflictError
from service.ports import Store
from service.promotion import steps
from service.promotion.monitors import Monitors
from service.promotion.registering import Shelf
from service.promotion.steps import Reason
from service.records import Artefact, CycleState, OutboxItem, RefreshCycle, Step
from service.reference import References
from service.refresh_events import event
from service.settings import RefreshSettings


class Ground:
    """A step is saved together with what tells of it."""

    def __init__(self, store: Store, references: References, monitors: Monitors, shelf: Shelf) -> None:
        self.store = store
        self._references = references
        self._monitors = monitors
        self._shelf = shelf

    def settings(self, cycle: RefreshCycle) -> RefreshSettings:
        """What the monitor asks of refreshes."""
        return self._monitors.effective(cycle.monitor).refresh

    def told(
        self, cycle: RefreshCycle, kind: str, content: Mapping[str, Any], *, now: float, of: Sequence[object] = ()
    ) -> Sequence[OutboxItem]:
        """An event for everybody whom the monitor's refreshes are told."""
        common = {"cycle": cycle.id, "monitor": cycle.monitor, "attempt": cycle.attempt, "state": cycle.state.value}
        return event(cycle, kind, {**common, **content}, self.settings(cycle).destinations, now=now, of=of)

    def announce(self, cycle: RefreshCycle, reason: Reason, *, actor: str, now: float, note: str = "") -> RefreshCycle:
        """A verified model is to serve."""
        if cycle.state is not CycleState.VERIFIED:
            raise ConflictError(f"refresh cycle {cycle.id} is {cycle.state}; only a verified model can be promoted")
        promoted = steps.promoted(cycle, reason, actor=actor, now=now, note=note)
        content = steps.promoted_content(promoted, url=self._shelf.url(cycle))
        self.store.save(promoted, outbox=self.told(promoted, steps.PROMOTED, content, now=now))
        return promoted

    def deploy(self, cycle: RefreshCycle, step: Step) -> RefreshCycle:
        """It serves: the reference is to follow."""
        deployed = steps.deployed(cycle, step, in_force=self._monitors.version(cycle.monitor))
        self.store.save(deployed)
        return deployed

    def serves(self, cycle: RefreshCycle) -> bool:
        """Whether the reference in force is on the cycle's model."""
        return cycle.served is not None and self._references.model(cycle.monitor)[0] == str(self._shelf.path(cycle.served))

    def in_force(self, monitor: str) -> Artefact | None:
        """The promoted model that the reference in force is on; None of the configured one."""
        return self._promoted(monitor, self._references.model(monitor)[0])

    def go_back(self, cycle: RefreshCycle) -> None:
        """To the reference that the cycle's took the place of, with its embedder."""
        before = (cycle.verification or {}).get("replaced_reference")
        if before is not None and self.serves(cycle):
            self._monitors.bring_into_force(cycle.monitor, int(before))

    def before(self, cycle: RefreshCycle) -> Mapping[str, Any]:
        """The model and the reference that the cycle's took the place of, or would have."""
        version = (cycle.verification or {}).get("replaced_reference", self._monitors.version(cycle.monitor))
        made = next((made for made in self._references.versions(cycle.monitor) if made["version"] == version), {})
        return {"reference_version": version, "model": steps.cited(self._promoted(cycle.monitor, str(made.get("model", ""))))}

    def _promoted(self, monitor: str, path: str) -> Artefact | None:
        found = self.store.find(RefreshCycle, monitor=monitor, states=[CycleState.PROMOTED], limit=_CYCLES)
        return next((cycle.served for cycle in found if cycle.served and str(self._shelf.path(cycle.served)) == path), None)


_CYCLES = 10_000
