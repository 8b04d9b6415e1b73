"""A run once more: as its record says, and held against what it made then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from service.datasets import DataSets, checksum
from service.declarations import Declared
from service.errors import ArtefactError, ConflictError, NotFoundError
from service.ports import Embedder, Store
from service.records import Artefact, RefreshCycle
from service.reference import References
from service.settings import EmbedderSettings, MonitorSettings
from service.training.choosing import Search
from service.training.job import Options, train
from service.training.orders import Order, of_cycle
from service.training.verdicts import Recorded, same_verdict
from service.training.written import changes, checked, environment, lock_file, sha256
from service.verifying import Model
from service.verifying.answers import said

Progress = Callable[[str, float], None]

LEAST_AGREEMENT = 0.999
"""Share of golden labels that have to come out the same."""


class Site(Protocol):
    """What a reproduction asks of the installation."""

    @property
    def store(self) -> Store:
        """Cycles, and looks at golden rows."""

    @property
    def data_sets(self) -> DataSets:
        """Rows."""

    @property
    def references(self) -> References:
        """Which model was in force."""

    def declared(self, monitor: str) -> Declared:
        """The monitor as its configuration has it."""

    def effective(self, monitor: str) -> MonitorSettings:
        """The settings with the model that is in force now."""

    def load(self, settings: EmbedderSettings) -> Embedder:
        """Any embedder."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came out, and in plain words what differs from then. None: there is nothing to compare."""

    identical: bool
    golden_rows: int
    golden_agreement: float | None
    same_verdict: bool | None
    differences: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Golden labels and verdict are the same."""
        return self.identical or ((self.golden_agreement or 0.0) >= LEAST_AGREEMENT and self.same_verdict is not False)

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {"same": self.same, **asdict(self), "differences": list(self.differences)}


def repeat(
    cycle_id: str, site: Site, folder: Path, *, path: Callable[[Artefact], Path], now: float, progress: Progress = lambda *_: None
) -> Reproduction:
    """Trains the cycle's model again, with the recipe search, seed and threads of its record. `path`: where an artefact lies.

    Nothing of the installation changes, and no look at golden rows is spent: of the verdict only whether it is the one on
    record is told.
    """
    cycle = site.store.get(RefreshCycle, cycle_id)
    if cycle.model is None:
        raise ConflictError(f"refresh cycle {cycle.id} has no model yet, so there is nothing to make again")
    run = checked(cycle.model.run, f"refresh cycle {cycle.id}: the record of its model")
    settings = _then(site, cycle)
    order = of_cycle(cycle, site.store, site.data_sets, settings.embedder, settings.classes)
    options = Options(_search(run), int(run["threads"]), lock_file())
    now_here = environment(options.threads, options.lock)
    differences = [*_started(settings, run), *_rows(order, run), *changes(run["environment"], now_here)]
    made = train(order, options, folder, load=site.load, now=now, progress=progress)
    if made.run["model"]["checksum"] == run["model"]["checksum"]:
        return Reproduction(True, 0, None, None, tuple(differences))
    models = [
        Model(site.load(settings.embedder.with_model(file)), classes)
        for file, classes in ((path(cycle.model), cycle.model.classes), (made.model, made.classes))
    ]
    rows, agreement = _agreement(site, cycle.monitor, models, progress)
    verdict = same_verdict(Recorded(cycle, settings, Model(site.load(settings.embedder), settings.classes), *models), site, progress)
    return Reproduction(False, rows, agreement, verdict, tuple(differences or ["nothing that the record names: the file differs alone"]))


def _then(site: Site, cycle: RefreshCycle) -> MonitorSettings:
    """The monitor with the model that was in force when the cycle opened; where its reference is gone, with the one that is now."""
    settings, declared = site.effective(cycle.monitor), site.declared(cycle.monitor).settings
    try:
        model, classes = site.references.model(cycle.monitor, cycle.reference_version)
    except (NotFoundError, ArtefactError):
        return settings
    embedder = declared.embedder.with_model(Path(model)) if model else declared.embedder
    return settings.model_copy(update={"embedder": embedder, "classes": classes or declared.classes})


def _started(settings: MonitorSettings, run: Mapping[str, Any]) -> list[str]:
    """Whether it starts from the same model."""
    then, now = run["old_model"]["checksum"], sha256(settings.embedder.model) if settings.embedder.model else "none"
    return [] if then == now else [f"another model to start from: {then[:12]}, now {now[:12]}"]


def _search(run: Mapping[str, Any]) -> Search:
    return Search(run["recipe"]["head"], int(run["seed"]), int(run["splits"]), float(run["allowed_flips"]))


def _rows(order: Order, run: Mapping[str, Any]) -> list[str]:
    """How the rows differ from those that were trained on."""
    then = run["data"]
    if then["content"] == checksum(order.samples):
        return []
    gone = int(then["rows"]) - len(order.samples)
    erased = f"{gone} rows of the training set were erased since" if gone > 0 else "rows of the training set are not what they were"
    return [erased]


def _agreement(site: Site, monitor: str, models: Sequence[Model], progress: Progress) -> tuple[int, float | None]:
    if not site.data_sets.versions(monitor, "golden"):
        return 0, None
    payloads = [sample.payload for sample in site.data_sets.load(monitor, "golden").samples]
    answers = [said(model, payloads, lambda done: progress("golden labels", done)).classes for model in models]
    same = sum(one == other for one, other in zip(*answers, strict=True))
    return len(payloads), same / len(payloads)
