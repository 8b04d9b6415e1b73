"""What would be served of a new model: the model itself, or a switch between the one in force and it, as the monitor's policy says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from service.datasets import DataSets
from service.errors import EmbedderError, InputError
from service.ports import Store
from service.promotion.monitors import Monitors
from service.promotion.registering import Shelf, checksum
from service.promotion.unpacking import Unpacked
from service.records import Artefact, Payload, RefreshCycle
from service.reference import Progress
from service.switching.building import Built, Switches, Wanted
from service.switching.certificate import Certificate, metadata
from service.switching.graph import heads
from service.switching.pairs import class_names
from service.verifying.unusable import REASON, blamed
from service.verifying.usable import TRIED, require_same_inputs, usable

MOST_HEADS = 2
"""Models that answer in one that is served: each costs its time at every request."""

_ALPHA = 0.01
"""Share of answers that a switch may break, where the monitor sets none."""

_MODEL, _SWITCH = "model.onnx", "switch"


@dataclass(frozen=True, slots=True)
class Served:
    """What would be served, and in words why it is that."""

    artefact: Artefact
    says: str


class Serving:
    """Looks whether a model can be used at all, and chooses by policy; builds and calibrates the switch where there is to be one."""

    def __init__(self, store: Store, data_sets: DataSets, monitors: Monitors, shelf: Shelf) -> None:
        self._data_sets = data_sets
        self._monitors = monitors
        self._shelf = shelf
        self._switches = Switches(store, data_sets, monitors)

    def named(self, cycle: RefreshCycle, model: Artefact) -> Artefact:
        """The model with its classes: as whoever registered it said, as its file says, else those in force. InputError where it can't
        be used."""
        path, settings = self._shelf.path(model), self._monitors.effective(cycle.monitor)
        dimension, tried = self._monitors.embedder(cycle.monitor).dimension, self._tried(cycle.monitor)
        fed = settings.embedder.with_model(path)
        with blamed():
            classes = model.classes or class_names(path, metadata(path)) or settings.classes
            new = usable(lambda: self._monitors.load(fed), classes, tried).embedder
        require_same_inputs(self._monitors.inputs(settings.embedder), self._monitors.inputs(fed))
        if new.dimension != dimension:
            raise InputError(
                REASON,
                f"its embedding has {new.dimension} numbers, the one in force {dimension}; samples that are kept could not be held "
                "against new ones. Train on an embedder of the same dimension, or declare a monitor of its own for it",
            )
        return replace(model, classes=tuple(classes))

    def choose(self, cycle: RefreshCycle, model: Artefact, *, now: float, progress: Progress) -> Served | str:
        """What would be served; why nothing is where the policy refuses what can't be a switch."""
        settings = self._monitors.effective(cycle.monitor)
        if settings.refresh.serve == "plain":
            return Served(replace(model, run={**model.run, "serve": "plain"}), "the model itself")
        if heads(metadata(self._shelf.path(model))) > 1:
            return Served(replace(model, run={**model.run, "serve": "plain"}), "the model itself, which is a switch already")
        in_force = settings.embedder.model
        count = heads(metadata(in_force)) if in_force else 1
        if count + 1 > MOST_HEADS:
            stack = f"the model in force is a switch of {count} models, and no more than {MOST_HEADS} stand behind one another"
            why = f"{stack}: this one is to replace it as a whole"
            return Served(replace(model, run={**model.run, "serve": "plain", "full_replacement": why}), why)
        return self._switched(cycle, model, now, progress)

    def _switched(self, cycle: RefreshCycle, model: Artefact, now: float, progress: Progress) -> Served | str:
        refresh = self._monitors.effective(cycle.monitor).refresh
        path = self._shelf.path(model)
        output = path.parent / _SWITCH / _MODEL
        alpha, delta = getattr(refresh, "max_negative_flips", None) or _ALPHA, 1 - refresh.confidence
        wanted = Wanted(cycle.monitor, path, classes=model.classes, alpha=alpha, delta=delta)
        try:
            built = self._switches.build(wanted, output, actor="driftgate", now=now, progress=progress)
        except (EmbedderError, InputError) as error:
            return self._without(model, str(error), refresh.switch_fallback)
        if built.certificate is None:
            return self._without(model, _no_threshold(built), refresh.switch_fallback)
        self._shelf.share(output)
        return self._behind(model, output, built.certificate)

    def _without(self, model: Artefact, why: str, fallback: str) -> Served | str:
        if fallback == "reject":
            return f"no switch can be certified, and without one it is not to be served (refresh.switch_fallback): {why}"
        says = f"the model itself, as no switch can be certified: {why}"
        return Served(replace(model, run={**model.run, "serve": "plain", "no_switch": why}), says)

    def _behind(self, model: Artefact, output: Path, certificate: Certificate) -> Served:
        path = str(output.relative_to(self._shelf.directory))
        told = {"heads": MOST_HEADS, "certificate": f"{path}.certificate.json", **_promised(certificate)}
        served = replace(
            model,
            path=path,
            checksum=checksum(Unpacked(output)),
            classes=certificate.classes,
            uri="",
            run={"serve": "switch", "switch": told},
        )
        says = (
            f"a switch: at most {certificate.alpha:.2%} of answers break (threshold {certificate.threshold:.3f}, {certificate.flips} of "
            f"{certificate.golden.rows} rows flipped)"
        )
        return Served(served, says)

    def _tried(self, monitor: str) -> list[Payload]:
        """Payloads that the model in force can take: of golden, else of what else is labelled."""
        for role in ("golden", "train"):
            if self._data_sets.versions(monitor, role):
                return [sample.payload for sample in self._data_sets.load(monitor, role).samples[:TRIED]]
        return []


def _promised(certificate: Certificate) -> Mapping[str, Any]:
    """What events and reports say of a switch."""
    names = ("alpha", "delta", "threshold", "flips", "bound", "created", "expires")
    return {name: getattr(certificate, name) for name in names} | {"rows": certificate.golden.rows, "use": certificate.golden.use}


def _no_threshold(built: Built) -> str:
    found = built.calibration
    return f"no threshold keeps what breaks below {found.alpha:.2%} on {found.rows} rows at their use {built.use}"
