"""What runs in a process: the loops of its roles, what they ask of each other, and what they show of themselves."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from service.access.auditing import expired
from service.access.lookups import Lookups
from service.access.quotas import Meter
from service.api import Probes, Service, create_app, create_probes, create_waiting, listen, server_for
from service.app import metering
from service.app.configuration import Configuration, admitted
from service.app.destinations import Destinations, hook_of
from service.app.installation import CONTROLLER, Installation, install
from service.app.metrics_server import serving_metrics
from service.app.parts import Logs, open_logs
from service.app.privacy import keep_log, retain
from service.app.process import Serving, alone, answering
from service.app.telling import telling
from service.backfill import Backfills
from service.collecting import Collecting
from service.cycles.telling import CycleNews
from service.deciding import Deciding, await_decision
from service.declarations import API, Declared
from service.errors import ConfigurationError
from service.failures.gathering import Gathering
from service.following import Following
from service.health import Condition, Heartbeats, Prompt
from service.inbox import Inbox
from service.ingest import Check, Ingest
from service.leading import Leading
from service.metrics import Metrics, Role
from service.operations import Operations
from service.overview import Overview
from service.ports import Sink
from service.privacy.retaining import EVERY_SECONDS
from service.promotion.galleries import Galleries
from service.report.reporting import Reporting, Schedule
from service.serving import Engine, Every, Loop
from service.settings import Settings
from service.silence import Silence
from service.truth.deliveries import Labels
from service.truth.telling import Telling
from service.watched import WatchedMonitor
from service.worker import Worker

_AUDIT_SECONDS = 3_600.0
_LOOK_SECONDS, _TIDY_SECONDS, _STEP_SECONDS, _REPORT_SECONDS, _GLANCE_SECONDS = 1.0, 300.0, 0.2, 5.0, 1.0


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
        blobs = installation.state.blobs and installation.state.blobs.lasting(self.settings.blobs.letter_days * 86_400.0)
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
        self._conditions |= {"partitions": partial(_partitions, worker), "topics": feed.waits_for}
        self._notes.append(lambda: {f"monitor {name}": why for name, why in following.problems.items()})
        metering.of_worker(self.metrics, installation, feed.lag)

    def control(self) -> None:
        """Decides, and does what follows from decisions, while it leads."""
        installation, store = self.installation, self.installation.store
        leading = Leading(store, CONTROLLER, self._holder(), self.settings.roles.lease_seconds)
        make = partial(installation.controller_for, fence=leading.right)
        deciding = Deciding(store, leading, make, beat=self._beat("controller"), lost=self.metrics.lead_lost)
        destinations = Destinations(self.settings, installation.links, installation.exhibits, alive=self._still_turning)
        self._configuration.followers.insert(0, destinations.follow)
        installation.policies.publish(now=time.time())
        self._configuration.followers.append(lambda _: installation.policies.publish(now=time.time()))
        outbox, resending = telling(installation, destinations, self.metrics)
        deciding.declare(installation.declarations.declared)
        self._listeners.append(deciding.declare)

        def led(step: Callable[[float], int]) -> Callable[[], int]:
            return lambda: step(time.time()) if leading.fence() is not None else 0

        metering.of_installation(self.metrics, installation, leading, lambda: outbox.disabled)
        self._add("lease", leading.step)
        self._add("controller", lambda: deciding.step(now=time.time()))
        for name, step in _follows(installation, self.metrics, self._beat("promotion")).items():
            self._add(name, led(step))
        for name, (seconds, step) in _seldom(installation, self._reporting, self.metrics).items():
            self._add(name, Every(seconds, led(step)))
        inbox = self._inbox()
        collecting = Collecting(store, destinations.annotators, inbox)
        leaving = {"inbox": inbox.step, "collecting": collecting.step, "outbox": outbox.step, "resending": resending.step}
        for name, step in leaving.items():
            self._add(name, led(step))
        self._endings += [lambda: deciding.checkpoint(now=time.time()), leading.release]
        self._notes.append(lambda: {f"delivery {name}": "its labels can't be taken, the log says why" for name in inbox.stuck})
        self._notes.append(lambda: {f"answers from {name}": why for name, why in collecting.problems.items()})
        self._notes.append(lambda: {"leader": "yes" if leading.fence() is not None else "no, standing by"})
        self._notes.append(lambda: {f"decisions of {name}": why for name, why in deciding.problems.items()})
        self._notes.append(lambda: {f"destination {name}": why for name, why in outbox.disabled.items()})

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

    def engine(self) -> Engine:
        """Everything, not started yet. Declarations are followed as long as there is anything that goes by them."""
        self._add("declarations", Every(_LOOK_SECONDS, self._follow))
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

    def _still_turning(self) -> None:
        """Of the loop that asks: its thread has its name."""
        self.heartbeats.beat(threading.current_thread().name)

    def _holder(self) -> str:
        """Where one process alone works in the directory it holds its lease over a restart."""
        return "serve" if self.settings.redis is None else f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"

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
        engine = assembly.engine()
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


def _follows(installation: Installation, metrics: Metrics, beat: Callable[[], None]) -> Mapping[str, Callable[[float], int]]:
    """What follows from what is stored, and from the clock, by the name of its loop. `beat`: of one whose steps are long."""
    store = installation.store

    def names() -> Sequence[str]:
        return installation.names

    return {
        "budget": lambda now: installation.allot(now=now),
        "refresh": lambda now: installation.refresher.step(now=now),
        "promotion": lambda now: installation.promotion.step(now=now, progress=lambda *_: beat()),
        "occasions": installation.occasions.step,
        "news": CycleNews(store, installation, installation.occasions.found).step,
        "silence": Silence(store, names, metrics).step,
        "truth": Telling(store, names).step,
        "failures": Gathering(store, installation.failures, names, installation.version).step,
    }


def _seldom(installation: Installation, reporting: Reporting, metrics: Metrics) -> Mapping[str, tuple[float, Callable[[float], int]]]:
    """What is looked after now and then: seconds between, and the step, by the name of its loop."""
    store = installation.store
    schedule = Schedule(reporting, lambda: installation.names, lambda: installation.settings.report.every_hours)

    def tidy(now: float) -> int:
        store.tidy(now=now)
        return 0

    return {
        "reviews": (_REPORT_SECONDS, lambda now: installation.reviews.tend(installation.names, now=now)),
        "upkeep": (_TIDY_SECONDS, tidy),
        "retention": (EVERY_SECONDS, partial(retain, store, lambda: installation.settings, metrics)),
        "forgetting": (_REPORT_SECONDS, lambda now: installation.forgetting.step(installation.names, now=now)),
        "audit": (_AUDIT_SECONDS, lambda now: expired(store, days=installation.settings.access.audit_days, now=now)),
        "reports": (_REPORT_SECONDS, schedule.step),
    }


def _require_shared(settings: Settings, roles: Roles) -> None:
    """Roles of their own need parts that several processes can share."""
    lacking = [name for name in ("kafka", "redis") if getattr(settings, name) is None]
    if roles is not Roles.ALL and lacking:
        missing = " and ".join(f"`{name}`" for name in lacking)
        raise ConfigurationError(f"one role by itself shares its work with other processes: configure {missing}, or run `driftgate serve`")


def _partitions(worker: Worker) -> str:
    stopped = worker.stopped
    if stopped:
        return "; ".join(f"{partition}: {why}" for partition, why in stopped.items())
    return "" if worker.partitions else "no partition is assigned to this worker yet"
