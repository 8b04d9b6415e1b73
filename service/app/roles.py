"""What runs in a process: the loops of its roles, what they ask of each other, and what they show of themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from enum import Flag, auto
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, ProcessCollector

from service.access import Access, session_key
from service.access.lookups import Lookups
from service.access.quotas import Meter
from service.api import Probes, Service, create_app, create_probes, create_waiting, listen, server_for
from service.app import metering
from service.app.configuration import Configuration, admitted
from service.app.controlling import Controlling
from service.app.destinations import hook_of
from service.app.files import alone
from service.app.installation import install
from service.app.metrics_server import serving_metrics
from service.app.parts import Logs, open_logs
from service.app.presence import EVERY_SECONDS, Presence
from service.app.privacy import keep_log
from service.app.process import Serving, answering
from service.backfill import Backfills
from service.deciding import await_decision
from service.declarations import API, Declared
from service.errors import ConfigurationError
from service.following import Following
from service.health import Condition, Enduring, Heartbeats, Prompt
from service.inbox import Inbox
from service.ingest import Check, Ingest
from service.metrics import Metrics, Role
from service.operations import Operations
from service.overview import Overview
from service.ports import Lasting, Sink
from service.promotion.galleries import Galleries
from service.report.reporting import Reporting
from service.serving import Engine, Every, Loop
from service.settings import Settings
from service.truth.deliveries import Labels
from service.watched import WatchedMonitor
from service.worker import Worker

_LOOK_SECONDS, _STEP_SECONDS, _GLANCE_SECONDS, _SWEEP_SECONDS = 1.0, 0.2, 1.0, 30.0

_SPARE_SECONDS = 30.0
"""A worker that is given no partition for so long gets none: it stands by, and holds up neither a rollout nor a drain."""

_SPARE = "none: others have them all, so this worker stands by"


class Roles(Flag):
    """What a process does."""

    WORKER = auto()
    CONTROLLER = auto()
    API = auto()
    ALL = WORKER | CONTROLLER | API


Waiting: TypeAlias = Callable[[Condition], AbstractContextManager[object]]
"""What goes on while the store is waited for, given why."""


class Assembly:
    """The parts of one process, put together role by role."""

    def __init__(self, settings: Settings, config: Path | None, stack: ExitStack, waiting: Waiting, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.heartbeats, self.stop = Heartbeats(), threading.Event()
        self.installation = install(settings, config=config, observer=self.metrics, waiting=waiting)
        self.installation.state.files.tell(self.heartbeats.turning)
        stack.callback(self.installation.close)
        self._configuration = Configuration(config, self.installation.declarations, settings)
        self._configuration.followers.append(self.installation.configure)
        self._listeners: list[Callable[[Mapping[str, Declared]], object]] = [partial(metering.watch, metrics)]
        self._loops: list[Loop] = []
        self._reporting = Reporting(self.installation.material, self.installation.reports)
        self._endings: list[Callable[[], None]] = [self._reporting.close]
        self._conditions: dict[str, Condition] = {"store": Prompt("store", self._answers)}
        self._notes: list[Callable[[], Mapping[str, str]]] = [self._configured]

    # --- roles ----------------------------------------------------------------------------------------------------------

    def work(self, logs: Logs) -> None:
        """Takes samples in from a log and folds them into panes."""
        installation = self.installation

        def hand_over(name: str, monitor: WatchedMonitor | None) -> None:
            worker.replace(name, monitor)
            self._show(name, monitor)

        following = Following(installation.watched, hand_over, beat=self._beat("declarations"))
        monitors = following.begin(installation.declarations.declared, must=lambda known: known.origin != API)
        blobs = installation.state.blobs and Lasting(installation.state.blobs, self.settings.blobs.letter_days * 86_400.0)
        feed = logs.feed([monitor.settings for monitor in monitors.values()], blobs)
        worker = Worker(feed.source, feed.progress(installation.store), monitors, self.metrics, beat=self._beat("worker"))
        worker.awaits = lambda names: following.awaits(names, installation.declarations.stands)
        worker.follow = lambda monitors: feed.follow([monitor.settings for monitor in monitors])
        for name, monitor in monitors.items():
            self._show(name, monitor)
        self._listeners.append(following.step)
        keep_log(logs.keep, installation.declarations.declared)
        self._listeners.append(partial(keep_log, logs.keep))
        self._add("worker", lambda: worker.step(timeout=_STEP_SECONDS), recover=worker.forget)
        self._endings.append(feed.close)
        spare = Enduring(lambda: not worker.partitions and not feed.waits_for(), _SPARE_SECONDS)
        self._conditions |= {"partitions": partial(_partitions, worker, spare), "topics": feed.waits_for}
        self._notes.append(lambda: {"partitions": _SPARE} if spare() else {})
        self._notes.append(lambda: {f"monitor {name}": why for name, why in following.problems.items()})
        metering.of_worker(self.metrics, installation, feed.lag)

    def control(self) -> None:
        """Decides, and does what follows from decisions, while it leads."""
        controlling = Controlling(self.installation, self.metrics, self.heartbeats, self._reporting, self._inbox())
        self._configuration.followers.insert(0, controlling.follow)
        self._configuration.followers.append(lambda _: controlling.publish())
        self._listeners.append(controlling.declare)
        for name, step in controlling.loops().items():
            self._add(name, step)
        self._endings.append(controlling.close)
        self._notes.append(controlling.notes)

    def answer(self, sink: Sink, access: Access, check: Callable[[str], Check | None]) -> Service:
        """Takes samples in over HTTP, and answers questions."""
        installation, limits = self.installation, self.settings.server
        meter = Meter(lambda: installation.settings)
        ingest = Ingest(sink, installation.settings.monitors, check, observer=self.metrics, max_items=limits.max_items, take=meter.take)
        ingest.forgotten = installation.store.forgotten
        overview = Overview(installation.store, lambda: installation.declarations.declared, installation.policies)
        self._add("overview", Every(_GLANCE_SECONDS, overview.step))
        self._listeners.append(lambda declared: ingest.declare([known.settings for known in declared.values()]))
        return Service(
            **self._probed(access),
            ingest=ingest,
            meter=meter,
            store=installation.store,
            standing=installation.standing,
            actions=self._operations(),
            inbox=self._inbox(),
            hook=lambda name: hook_of(installation.settings, name),
            declaring=installation.declarations,
            accept=lambda monitor, document: admitted(installation.settings, monitor, document),
            backfills=lambda monitor: Backfills(installation.settings.directory).of(monitor, now=time.time()),
            reporting=self._reporting,
            samples=installation.samples,
            failures=installation.failures,
            similar=installation.similar,
            promotion=installation.promotion,
            openings=installation.openings,
            forgetting=installation.forgetting,
            overview=overview,
            policies=installation.policies,
            references=installation.references,
            maps=installation.maps,
            exhibits=installation.exhibits,
            galleries=Galleries(installation.promotion.report),
            settings=lambda: installation.settings,
            labels=Labels(installation.store, installation.effective, self.metrics, max_items=limits.max_items),
            budget=self.settings.budget,
        )

    def probes(self, access: Access) -> Probes:
        """What a process without the API shows of itself."""
        return Probes(**self._probed(access))

    # --- together -------------------------------------------------------------------------------------------------------

    def engine(self, role: str) -> Engine:
        """Everything, not started yet. Declarations are followed as long as there is anything that goes by them."""
        self._add("declarations", Every(_LOOK_SECONDS, self._follow))
        self._add("copies", Every(_SWEEP_SECONDS, self.installation.folders.sweep))
        if (shared := self.installation.state.shared) is not None:
            presence = Presence(shared, role)
            self._add("presence", Every(EVERY_SECONDS, presence.step))
            self._endings.append(presence.end)
        return Engine(self.stop, self._loops, self._endings, grace=self.settings.roles.grace_seconds)

    def check(self, monitor: str) -> Check:
        """Of the embedder in force at the moment of asking."""
        return self.installation.embedder(monitor).check

    def light_check(self, monitor: str) -> Check | None:
        """Where no model is needed for it: a process that only answers loads none."""
        return self.check(monitor) if self.installation.declared(monitor).settings.embedder.input == "none" else None

    def _follow(self) -> int:
        self._configuration.step()
        declared = self.installation.look()
        for listener in self._listeners:
            listener(declared)
        return 0

    def _operations(self) -> Operations:
        installation = self.installation
        return Operations(
            installation.store,
            installation.refresher,
            installation,
            partial(await_decision, installation.store),
            affords=installation.money.require,
        )

    def _inbox(self) -> Inbox:
        return Inbox(self.installation.store, self._operations().take_labels)

    def _add(self, name: str, step: Callable[[], int], *, recover: Callable[[], None] = lambda: None) -> None:
        self._loops.append(Loop(name, step, self.heartbeats, self.stop, recover=recover))

    def _show(self, name: str, monitor: WatchedMonitor | None) -> None:
        if monitor is not None:
            self.metrics.embedder(name, monitor.embedder.fingerprint)

    def _beat(self, loop: str) -> Callable[[], None]:
        return partial(self.heartbeats.beat, loop)

    def _answers(self) -> str:
        self.installation.state.probe()
        return ""

    def _configured(self) -> Mapping[str, str]:
        return {"configuration": self._configuration.problem} if self._configuration.problem else {}

    def _probed(self, access: Access) -> dict[str, Any]:
        return {
            "access": access,
            "lookups": Lookups(self.installation.store),
            "heartbeats": self.heartbeats,
            "registry": None if self.settings.server.metrics_port is not None else self.metrics.registry,
            "seen": self.metrics.requested,
            "serves": self.metrics.serves,
            "conditions": self._conditions,
            "notes": lambda: {name: why for notes in self._notes for name, why in notes().items()},
            "monitors": lambda: self.installation.names,
            "without_reference": lambda: [n for n, known in self.installation.declarations.declared.items() if known.reference is None],
            "max_body_bytes": self.settings.server.max_body_bytes,
            "max_model_bytes": self.settings.server.max_model_bytes,
            "version": version("driftgate"),
        }


@contextmanager
def served(settings: Settings, *, config: Path | None = None, roles: Roles = Roles.ALL) -> Iterator[Serving]:
    """Starts the roles; what was started stops in reverse."""
    _require_shared(settings, roles)
    access = Access.of(settings)
    settings.directory.mkdir(parents=True, exist_ok=True)
    if Roles.API in roles:
        access = replace(access, key=session_key(settings))
    with ExitStack() as stack:
        if settings.redis is None or settings.kafka is None:
            stack.enter_context(alone(settings.directory))
        listening = stack.enter_context(closing(listen(settings.server.host, settings.server.port)))
        metrics = Metrics(
            CollectorRegistry(), [each.name for each in settings.monitors], version=version("driftgate"), role=Role(roles.value)
        )
        ProcessCollector(registry=metrics.registry)
        stack.enter_context(serving_metrics(settings, metrics.registry))
        waiting = partial(_waiting, access, metrics.registry)
        assembly = Assembly(settings, config, stack, lambda why: answering(waiting(why), listening), metrics)
        app = _assembled(assembly, access, roles, stack)
        engine = assembly.engine(str(roles.name).lower())
        stack.callback(engine.close)
        engine.start()
        yield Serving(assembly.installation, server_for(app), listening, assembly.stop)


def _waiting(access: Access, registry: CollectorRegistry, why: Condition) -> FastAPI:
    """What a process shows before it has a store."""
    return create_waiting(Probes(access=access, heartbeats=Heartbeats(), registry=registry, conditions={"store": why}))


def _assembled(assembly: Assembly, access: Access, roles: Roles, stack: ExitStack) -> FastAPI:
    logs = stack.enter_context(open_logs(assembly.settings, assembly.metrics.decoding))
    metering.of_process(assembly.metrics, assembly.heartbeats)
    if Roles.WORKER in roles:
        assembly.work(logs)
    if Roles.CONTROLLER in roles:
        assembly.control()
    if Roles.API not in roles:
        return create_probes(assembly.probes(access))
    if assembly.settings.kafka is None:
        metering.of_ingest(assembly.metrics, logs.backlog)
    return create_app(assembly.answer(logs.sink(), access, assembly.check if Roles.WORKER in roles else assembly.light_check))


def _require_shared(settings: Settings, roles: Roles) -> None:
    """Roles of their own need parts that several processes can share."""
    lacking = [name for name in ("kafka", "redis") if getattr(settings, name) is None]
    if roles is not Roles.ALL and lacking:
        missing = " and ".join(f"`{name}`" for name in lacking)
        raise ConfigurationError(f"one role by itself shares its work with other processes: configure {missing}, or run `driftgate serve`")


def _partitions(worker: Worker, spare: Callable[[], bool]) -> str:
    stopped = worker.stopped
    if stopped:
        return "; ".join(f"{partition}: {why}" for partition, why in stopped.items())
    return "" if worker.partitions or spare() else "no partition is assigned to this worker yet"
