"""One configuration's installation: its state, its artefacts, and its monitors with their embedders and references."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from service.access.auditing import audited
from service.access.quotas import LabelMoney, PayloadRoom
from service.adapters.file_source import FileSource
from service.adapters.onnx_embedder import OnnxEmbedder, load_embedder
from service.allotment import Allotment
from service.app.files import led_up
from service.app.parts import State, open_state, passing_store
from service.app.privacy import places
from service.app.storage import copied_models, open_files
from service.controller import Controller
from service.cycles.occasions import Occasions
from service.datasets import DataSets
from service.deciding import decide_here
from service.declarations import Declarations, Declared
from service.decoding.options import SampleOptions
from service.embedding_map import Maps
from service.errors import ArtefactError, ConfigurationError, RefusedError, UnavailableError
from service.exhibits import Exhibits
from service.explaining.samples import Samples
from service.failures.listing import Failures
from service.health import Condition
from service.label_checks.reviews import Reviews
from service.leading import Leading
from service.links import Links
from service.metrics import timed
from service.notifying.routing import Consequences
from service.observe import Observer, Silent
from service.once import Once
from service.openings import Openings
from service.policies import Policies
from service.ports import Embedder
from service.privacy.forgetting import Forgetting
from service.promotion import Promotion, Shelf
from service.records import Fence
from service.reference import References, effective_tolerance
from service.refresher import Refresher
from service.report.kept import Kept
from service.report.material import Material, Progress
from service.settings import EmbedderSettings, MonitorSettings, Settings
from service.similar.mining import Mining
from service.standing import Standing
from service.watched import Known, WatchedMonitor

CONTROLLER = "controller"
"""The lease of whoever decides."""

_STORE_SECONDS = 1.0

log = structlog.get_logger()


class Installation:
    """Everything that one configuration stands for. Which monitors there are, and which reference of each is in force, is what the
    declarations said at the last `look`."""

    def __init__(self, settings: Settings, state: State, declarations: Declarations, pool_rows: dict[str, int], observer: Observer) -> None:
        self.settings = settings
        self.state = state
        self.store = store = audited(state.store)
        self.declarations = declarations
        self.observer = observer
        self.folders = folders = state.files.folders
        self.references = References(settings.directory / "references", declarations, folders)
        self.data_sets = DataSets(settings.directory, folders)
        self.money = LabelMoney(store, lambda: self.settings)
        self.room = PayloadRoom(store, lambda: self.settings)
        self.links = Links.of(settings)
        self.exhibits = Exhibits(store, self.data_sets)
        self.openings = Openings(store, self.data_sets, self.links, self.exhibits)
        self.standing = Standing(store, self.references, self.effective)
        self.reports = Kept(settings.directory, keep=settings.report.keep, folders=folders)
        self.policies = Policies(store, self.references, self.data_sets, self.reports, self)
        self.load = Once(self._loaded, keep=1)
        self.maps = Maps(store, self.references, self.effective)
        self.samples = Samples(self.material, self.embedder)
        self.refresher = Refresher(store, self.references, self.data_sets, self, links=self.links)
        self.reviews = Reviews(store, self.references, self.data_sets, self)
        self.occasions = Occasions(store, self.references, self.data_sets, self, self.refresher)
        shelf = Shelf(settings.directory, max_bytes=settings.server.max_model_bytes, address=self.links.address, folders=folders)
        self.promotion = Promotion(store, self.references, self.data_sets, self, shelf)
        self.failures = Failures(store, self.references, self.data_sets, self)
        self.forgetting = Forgetting(store, places(settings.directory, folders))
        self.similar = Mining(store, self.references, self.data_sets, self.failures, self, sends=self.refresher)
        self._allotment = Allotment(store, lambda: self.settings)
        self._pool_rows = pool_rows
        self.look()

    # --- what is declared -----------------------------------------------------------------------------------------------

    def look(self) -> Mapping[str, Declared]:
        """Reads the declarations anew, and goes by them from here on."""
        declared = self.declarations.look()
        monitors = tuple(known.settings for known in declared.values())
        if monitors != self.settings.monitors:
            self.settings = self.settings.model_copy(update={"monitors": monitors})
        self._pool_rows.update((monitor.name, monitor.pool.rows) for monitor in monitors)
        self.load.keep = len(monitors) + 1  # those in force, and one on its way in or out
        return declared

    def configure(self, settings: Settings) -> None:
        """Goes by another reading of the configuration, but for what a process is started with; monitors come by `look`."""
        kept = {"monitors": self.settings.monitors, "directory": self.settings.directory}
        self.settings = settings.model_copy(update=kept)

    @property
    def names(self) -> Sequence[str]:
        """The declared monitors."""
        return tuple(self.declarations.declared)

    def declared(self, monitor: str) -> Declared:
        """The monitor as it is declared; ConfigurationError lists those there are."""
        known = self.declarations.declared
        if monitor not in known:
            raise ConfigurationError(f"no monitor {monitor!r} in the configuration; declared: {', '.join(known) or 'none'}")
        return known[monitor]

    def effective(self, monitor: str) -> MonitorSettings:
        """The monitor's settings with the model in force: a promoted one belongs to its reference version. No batch leaves by itself that
        its team can't pay."""
        return self.money.within(self._effective(self.declared(monitor)))

    def version(self, monitor: str) -> int | None:
        """The reference version in force."""
        return self.references.active(monitor)

    def made_with(self, monitor: str, version: int) -> MonitorSettings:
        """The monitor's settings with the model that a reference version belongs to."""
        return self._with_model(self.declared(monitor).settings, *self.references.model(monitor, version))

    def bring_into_force(self, monitor: str, version: int) -> None:
        """Accepts a version, or goes back to it, once its embedder has shown to be the one that made it."""
        reference = self.references.load(monitor, version)
        manifest, settings = reference.manifest, self.made_with(monitor, version)
        found = self.load(settings.embedder).fingerprint
        if found != manifest["fingerprint"]:
            raise ArtefactError(
                f"monitor {monitor}: reference {version} was made with another embedder ({manifest['fingerprint']}, now {found}); "
                "build a reference with this one or restore the other"
            )
        effective_tolerance(settings, reference.model)  # ConfigurationError if it can't decide
        self.references.activate(monitor, version)

    # --- what the roles work with ---------------------------------------------------------------------------------------

    def embedder(self, monitor: str) -> Embedder:
        """The embedder in force, loaded and checked once."""
        return self.load(self.effective(monitor).embedder)

    def inputs(self, settings: EmbedderSettings) -> Sequence[str]:
        """The names under which a model is fed; none of vectors that samples bring."""
        return inputs(self.load(settings))

    def watched(self, monitor: str) -> WatchedMonitor:
        """What a worker needs of a monitor; without an accepted reference it only keeps samples."""
        declared = self.declared(monitor)
        settings = self._effective(declared)
        embedder, room = self.load(settings.embedder), partial(self.room.takes, monitor)
        if declared.reference is None:
            return WatchedMonitor(settings, embedder, shape=declared.shape, room=room)
        reference = self.references.load(monitor, declared.reference)
        effective_tolerance(settings, reference.model)  # one that nobody can decide by makes no panes either
        version = str(reference.manifest.get("model_version", ""))
        return WatchedMonitor(settings, embedder, Known.of(reference), declared.shape, version, room=room)

    def controller_for(
        self, monitor: str, *, following: bool = True, fence: Callable[[], Fence | None] = lambda: None
    ) -> Controller | None:
        """Whoever decides the monitor's log; None before there is a reference. `following`: alarms open refresh cycles."""
        declared = self.declared(monitor)
        if declared.reference is None:
            return None
        follower = Consequences(self.store, lambda: self.settings, self.refresher if following else None)
        reference = self.references.load(monitor, declared.reference)
        return Controller(self._effective(declared), reference, self.store, self.observer, follower=follower, fence=fence)

    def decide(self, monitor: str, sequence: int) -> None:
        """Has a monitor's log decided up to an entry: by whoever leads, else here."""
        leading = Leading(self.store, CONTROLLER, f"command {os.getpid()}", self.settings.roles.lease_seconds)
        decide_here(self.store, leading, lambda: self.controller_for(monitor, fence=leading.right), monitor, sequence, now=time.time())

    def carry_on(self, cycle: str, *, progress: Progress = lambda *_: None) -> None:
        """Takes the next steps of a cycle's model: here where nobody leads, else whoever does takes them."""
        leading = Leading(self.store, CONTROLLER, f"command {os.getpid()}", self.settings.roles.lease_seconds)

        def alive(step: str, done: float) -> None:
            leading.step()
            progress(step, done)

        leading.step()
        try:
            if leading.fence() is not None:
                self.promotion.go_on(cycle, now=time.time(), progress=alive)
        finally:
            leading.release()

    def allot(self, *, now: float) -> int:
        """Shares the budget of false alarms anew where traffic or streams have changed."""
        return self._allotment.step(now=now)

    def files(self, monitor: str, paths: Sequence[Path]) -> FileSource:
        """The files as a source of the monitor's samples."""
        settings = self.declared(monitor).settings
        return FileSource(paths, monitor, SampleOptions.of(settings, self.embedder(monitor).check))

    def material(self, monitor: str, *, now: float, progress: Progress = lambda *_: None) -> Material:
        """What a report of the monitor is made from, read for it alone: it goes with the report."""
        references = References(self.settings.directory / "references", self.declarations, self.folders)
        return Material(self.effective(monitor), self.store, references, self.data_sets, now=now, progress=progress)

    def close(self) -> None:
        """Releases the store."""
        self.store.close()

    def _with_model(self, settings: MonitorSettings, model: str, classes: tuple[str, ...]) -> MonitorSettings:
        """The settings with a promoted model, and what lies beside it; as they are without one."""
        if not model:
            return settings
        copied_models(self.folders, self.settings.directory, Path(model))
        return settings.model_copy(update={"embedder": settings.embedder.with_model(Path(model)), "classes": classes})

    def _loaded(self, embedder: EmbedderSettings) -> Embedder:
        copied_models(self.folders, self.settings.directory, embedder.model)
        return load_embedder(embedder)

    def _effective(self, declared: Declared) -> MonitorSettings:
        if declared.reference is None:
            return declared.settings
        return self._with_model(declared.settings, *self.references.model(declared.settings.name, declared.reference))


def install(
    settings: Settings,
    *,
    config: Path | None = None,
    observer: Observer | None = None,
    waiting: Callable[[Condition], AbstractContextManager[object]] = nullcontext,
) -> Installation:
    """The installation of a process that serves: the file's monitors are published, and from then on the store's count. It waits for
    a store that can't be reached, and not for one that refuses it. `waiting` is entered meanwhile, and may ask why."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    reason = ""

    def why() -> str:
        return reason

    with ExitStack() as meanwhile:
        while True:
            try:
                return _installed(settings, config, observer or Silent())
            except RefusedError:
                raise
            except UnavailableError as error:
                before, reason = reason, str(error)
            if reason != before:
                log.warning("waiting for the store", reason=reason)
            if not before:
                meanwhile.enter_context(waiting(why))
            time.sleep(_STORE_SECONDS)


def _installed(settings: Settings, config: Path | None, observer: Observer) -> Installation:
    rows = {monitor.name: monitor.pool.rows for monitor in settings.monitors}
    state = open_state(settings, rows)
    state = replace(state, store=timed(state.store, observer.stored, recorded=observer.recorded))
    declarations = Declarations(audited(state.store), settings.directory)
    try:
        declarations.publish(settings.monitors, declarations.origin(config))
        return Installation(settings, state, declarations, rows, observer)
    except BaseException:
        state.store.close()
        raise


@contextmanager
def opened(
    settings: Settings, *, config: Path | None = None, observer: Observer | None = None, in_memory: bool = False
) -> Iterator[Installation]:
    """The installation as a command sees it, by its own configuration file; over its store, or (for replays) over one that is forgotten
    afterwards. Nothing is published."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    rows = {monitor.name: monitor.pool.rows for monitor in settings.monitors}
    with led_up(settings):
        state = State(passing_store(settings, rows), open_files(settings)) if in_memory else open_state(settings, rows)
    declarations = Declarations(audited(state.store), settings.directory)
    declarations.offer(settings.monitors, declarations.origin(config))
    try:
        yield Installation(settings, state, declarations, rows, observer or Silent())
    finally:
        state.store.close()


def inputs(embedder: Embedder) -> Sequence[str]:
    """The names under which a model is fed; none of vectors that samples bring."""
    return embedder.inputs if isinstance(embedder, OnnxEmbedder) else ()
