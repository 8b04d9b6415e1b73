"""What would be served against what is in force, on golden's *verify* part and on the cycle's challenge rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.datasets import DataSets, Role
from service.errors import InputError, NotFoundError
from service.looks import record
from service.ports import Store
from service.promotion.monitors import Monitors
from service.promotion.registering import Shelf
from service.records import AnnotationBatch, Artefact, RefreshCycle, stable_id
from service.reference import Progress
from service.selecting import challenge
from service.selecting.asking import asked
from service.verifying import Model, judge, look_at

_JUDGING: tuple[Role, ...] = ("golden", "challenge")


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
        gate = self._monitors.effective(cycle.monitor).refresh.model_dump(mode="json")
        return stable_id("verdict", served, self._monitors.version(cycle.monitor), *newest, gate)

    def judge(self, cycle: RefreshCycle, served: Artefact, *, now: float, progress: Progress) -> dict[str, Any]:
        """The verification, ready to be stored. Without the rows it takes it says so: that is no fault of the model's."""
        basis = self.basis(cycle)
        try:
            found = self._verified(cycle, served, now, progress)
        except (InputError, NotFoundError) as error:
            found = {"verdict": "insufficient", "passed": False, "reasons": [str(error)]}
        return {**found, **_replacing(served, found), "basis": basis}

    def _verified(self, cycle: RefreshCycle, served: Artefact, now: float, progress: Progress) -> dict[str, Any]:
        settings = self._monitors.effective(cycle.monitor)
        if not settings.classes:
            raise InputError("classes", f"monitor {cycle.monitor}: declare `classes`, the model's class names in the order of its logits")
        old = Model(self._monitors.embedder(cycle.monitor), settings.classes)
        new = Model(self._monitors.load(settings.embedder.with_model(self._shelf.path(served))), served.classes)
        drawn = challenge.of_cycle(self._store, self._data_sets, cycle)
        look = look_at(self._store, self._data_sets, settings, old, new, drawn)
        design = self._design(cycle)

        def weigh(ids: Sequence[str], right: Any) -> Mapping[str, Any] | None:
            return challenge.weighted(design, ids, right, confidence=settings.refresh.confidence)

        found = judge(old, new, look, drawn, settings, weigh=weigh, progress=progress)
        record(self._store, look, actor="driftgate", now=now)
        return found.verification

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
