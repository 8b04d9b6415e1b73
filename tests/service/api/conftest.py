"""The real application over a real store and log in memory, and a client that talks to it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from detectors.selection.base import Turn
from service import annotation, refresh
from service.access import Access
from service.access.auditing import audited
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteLog, SqliteStore
from service.alarms import SAID, Reason
from service.annotation import TakenBack, sending
from service.annotation.editing import edited
from service.api import Service, create_app
from service.app import metering
from service.app.configuration import accepted
from service.app.destinations import hook_of
from service.datasets import DataSets
from service.declarations import Declarations
from service.decoding import envelope
from service.embedding_map import Maps
from service.errors import ConflictError, NotFoundError
from service.exhibits import Exhibits
from service.explaining.samples import Samples
from service.failures.listing import Failures
from service.health import Heartbeats
from service.inbox import Inbox
from service.ingest import Ingest
from service.links import Links
from service.maintenance import paused
from service.metrics import Metrics
from service.notifying import silences
from service.openings import Openings
from service.outbox import replayed
from service.overview import Overview
from service.policies import Policies
from service.ports import Embedder
from service.privacy.forgetting import Forgetting, Places
from service.promotion import Promotion, Shelf
from service.promotion.galleries import Galleries
from service.records import (
    Alarm,
    AlarmState,
    AnnotationBatch,
    Candidate,
    Event,
    Family,
    Item,
    Label,
    LabelScheme,
    Measured,
    OutboxItem,
    Pooled,
    RefreshCycle,
    Severity,
    Silence,
    Step,
    Verdict,
)
from service.reference import References
from service.report.kept import Kept
from service.report.material import Material, Progress
from service.report.reporting import Reporting
from service.selecting.gathering import Counts
from service.selecting.knowing import Situation
from service.selecting.proposal import Proposal
from service.selecting.slices import Slice
from service.selecting.spending import Cost
from service.settings import EmbedderSettings, MonitorSettings, Settings, parse
from service.similar.mining import Mining
from service.standing import Standing
from service.truth.deliveries import Labels

NOW = 1_772_366_400.0
"""2026-03-01T12:00:00Z."""

OPEN = Access(loopback=True)
LINKS = Links(["a-secret-that-signs-links-in-tests"], "https://drift.example/gate")
DIMENSION = 3
SETTINGS = parse(
    {
        "destinations": [{"name": "annotators", "type": "folder", "path": "out"}],
        "policy": {"require": {"segments": True, "golden_rows": 10}},
        "monitors": [
            {
                "name": "support",
                "embedder": {"model": "unused.onnx"},
                "segments": {"tags": ["locale"]},
                "kserve": {"service": "support"},
                "annotation": {"destination": "annotators", "approval": "operator"},
            },
            {"name": "vectors", "embedder": {"model": "unused.onnx", "input": "none", "dimension": DIMENSION}},
        ],
    },
    base=Path("/nowhere"),
)
MONITORS = SETTINGS.monitors
CANDIDATES = [Candidate("m-1", "nearest to what drifted", 0.1, "all", "my card was cloned"), Candidate("m-2", "typical of it", 0.2, "all")]


class StoreActions:
    """The actions as plain changes of the store's entities."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.candidates = CANDIDATES

    def acknowledge(self, alarm_id: str, *, actor: str, note: str, now: float) -> Alarm:
        return self._step(alarm_id, AlarmState.ACKNOWLEDGED, Step("acknowledged", Reason.SEEN, now, actor, note))

    def resolve(self, alarm_id: str, *, actor: str, note: str, now: float) -> Alarm:
        return self._step(alarm_id, AlarmState.RESOLVED, Step("resolved", Reason.CLOSED, now, actor, note))

    def verdict(self, alarm_id: str, verdict: Verdict, *, actor: str, note: str, now: float) -> Alarm:
        alarm = self._store.get(Alarm, alarm_id)
        step = Step(alarm.state, SAID[verdict], now, actor, note)
        judged = replace(alarm, verdict=verdict, history=(*alarm.history, step), version=alarm.version + 1)
        self._store.save(judged)
        return judged

    def silence(
        self, matchers: Mapping[str, str], *, ends: float, actor: str, note: str, now: float, starts: float | None = None
    ) -> Silence:
        made = silences.made(matchers, starts=now if starts is None else starts, ends=ends, actor=actor, note=note, now=now)
        self._store.save(made)
        return made

    def end_silence(self, silence_id: str, *, actor: str, now: float) -> Silence:
        over = silences.ended(self._store.get(Silence, silence_id), actor=actor, now=now)
        self._store.save(over)
        return over

    def pause(self, monitor: str, *, until: float, actor: str, note: str, now: float) -> Event:
        return self._store.record_event(paused(monitor, until, actor=actor, note=note, now=now))

    def unpause(self, monitor: str, *, actor: str, note: str, now: float) -> Event:
        return self._store.record_event(paused(monitor, None, actor=actor, note=note, now=now))

    def open_refresh(self, monitor: str, *, actor: str, note: str, now: float) -> RefreshCycle:  # noqa: ARG002 - the protocol's signature
        return refresh.start(self._store, refresh.Opening(monitor, 1, "request"), self.candidates, MONITORS[0], now=now)

    def send(self, monitor: str, opened_by: str, candidates: Sequence[Candidate], rows: Sequence[Pooled], *, now: float) -> RefreshCycle:
        assert {item.id for item in candidates} == {row.id for row in rows}
        return refresh.start(self._store, refresh.Opening(monitor, 1, opened_by), candidates, SETTINGS.monitor(monitor), now=now)

    def cancel_refresh(self, cycle_id: str, *, actor: str, note: str, now: float) -> RefreshCycle:
        return refresh.cancel(self._store, cycle_id, actor=actor, note=note, now=now)

    def finish_refresh(self, cycle_id: str, *, actor: str, note: str, now: float) -> RefreshCycle:
        return refresh.finish(self._store, cycle_id, actor=actor, note=note, now=now)

    def propose(self, monitor: str, *, alarm: str = "", budget: int | None = None, now: float) -> Proposal:  # noqa: ARG002 - the protocol's
        about = Slice(monitor, 1, since=NOW - 600, alarm=alarm)
        kept = tuple(self.candidates[:budget])
        return Proposal(about, Situation("text", True, 0), Turn(), kept, (), {}, {}, Counts(recent=9), Cost(len(kept), None, ()))

    def approve_batch(self, batch_id: str, *, actor: str, note: str, now: float) -> AnnotationBatch:
        return sending.approve(self._store, batch_id, MONITORS[0].annotation, actor=actor, note=note, now=now)

    def cancel_batch(self, batch_id: str, *, actor: str, note: str, now: float) -> AnnotationBatch:
        return sending.cancel(self._store, batch_id, actor=actor, note=note, now=now)

    def drop_candidates(self, batch_id: str, ids: Collection[str], *, actor: str, note: str, now: float) -> AnnotationBatch:
        return sending.drop(self._store, batch_id, ids, actor=actor, note=note, now=now)

    def restore_candidates(self, batch_id: str, ids: Collection[str], *, actor: str, note: str, now: float) -> AnnotationBatch:
        return sending.restore(self._store, batch_id, ids, actor=actor, note=note, now=now)

    def prioritise_batch(self, batch_id: str, priority: float, *, item: str = "", actor: str, now: float) -> AnnotationBatch:
        return sending.prioritise(self._store, batch_id, priority, item=item, actor=actor, now=now)

    def scheme(self, monitor: str, *, now: float) -> LabelScheme:
        return annotation.in_force(self._store, SETTINGS.monitor(monitor), now=now)

    def edit_scheme(
        self, monitor: str, change: Callable[[LabelScheme], LabelScheme], *, after: int | None = None, now: float
    ) -> LabelScheme:
        return edited(self._store, SETTINGS.monitor(monitor), change, after=after, now=now)

    def close_batch(self, batch_id: str, *, actor: str, note: str, now: float) -> AnnotationBatch:
        closed = annotation.close(self._store.get(AnnotationBatch, batch_id), actor=actor, note=note, now=now)
        self._store.save(closed)
        return closed

    def take_labels(self, labels: Sequence[Label], *, now: float) -> TakenBack:
        return annotation.take_back(self._store, labels, quota=1.0, now=now)

    def replay(self, item_id: str, *, actor: str, now: float) -> OutboxItem:  # noqa: ARG002 - the protocol's signature
        dead = [item for item in self._store.outbox(states=["dead"], limit=1_000) if item.id == item_id]
        if not dead:
            raise NotFoundError(f"no dead item {item_id!r}")
        again = replayed(dead[0], now)
        self._store.settle(again)
        return again

    def _step(self, alarm_id: str, state: AlarmState, step: Step) -> Alarm:
        alarm = self._store.get(Alarm, alarm_id)
        if alarm.state == AlarmState.RESOLVED:
            raise ConflictError(f"alarm {alarm_id} is resolved")
        stepped = replace(alarm, state=state, history=(*alarm.history, step), version=alarm.version + 1)
        self._store.save(stepped)
        return stepped


@dataclass
class Installed:
    """What failures and mining ask of an installation."""

    gather: Callable[..., Material]
    model: Embedder

    @property
    def settings(self) -> Settings:
        return SETTINGS

    @property
    def names(self) -> Sequence[str]:
        return [monitor.name for monitor in MONITORS]

    def effective(self, monitor: str) -> MonitorSettings:
        return SETTINGS.monitor(monitor)

    def embedder(self, monitor: str) -> Embedder:  # noqa: ARG002 - the protocol's signature
        return self.model

    def load(self, settings: EmbedderSettings) -> Embedder:  # noqa: ARG002 - the protocol's signature
        return self.model

    def version(self, monitor: str) -> int | None:  # noqa: ARG002 - the protocol's signature
        return None

    def bring_into_force(self, monitor: str, version: int) -> None:
        """Nobody looks."""

    def inputs(self, settings: EmbedderSettings) -> Sequence[str]:  # noqa: ARG002 - the protocol's signature
        return ()

    def material(self, monitor: str, *, now: float) -> Material:
        return self.gather(monitor, now=now)


@dataclass
class Site:
    """A served application with its insides, so that tests can look at what a request left."""

    client: TestClient
    service: Service
    store: SqliteStore
    log: SqliteLog
    metrics: Metrics
    references: References

    def logged(self) -> list[Item]:
        """What the log holds, decoded."""
        return [envelope.decode(entry.body) for entry in self.log.read(0, 10_000)]


class MakeSite(Protocol):
    def __call__(self, *, access: Access = ..., backlog_bytes: int = ..., **options: Any) -> Site: ...


def sites(tmp_path: Path) -> Iterator[MakeSite]:
    """What makes sites below a folder, and closes them."""
    opened: list[SqliteStore | SqliteLog] = []

    def make(*, access: Access = OPEN, backlog_bytes: int = 1_000_000, max_items: int = 100, **options: Any) -> Site:
        store = cast("SqliteStore", audited(SqliteStore(":memory:"), clock=lambda: NOW))
        log = SqliteLog(":memory:", backlog_bytes=backlog_bytes, retention_bytes=0)
        opened.extend((store, log))
        names = [monitor.name for monitor in MONITORS]
        registry = CollectorRegistry()
        metrics = Metrics(registry, names, version="1.2.3")
        metering.of_ingest(metrics, lambda: (log.backlog, 0))
        embedder = VectorEmbedder(DIMENSION, normalize=False)
        checks = {"vectors": embedder.check}
        ingest = Ingest(log, MONITORS, checks.get, observer=metrics, max_items=max_items)
        references, declarations = References(tmp_path), Declarations(store, tmp_path, clock=lambda: NOW)
        declarations.publish(MONITORS, "driftgate.yaml")
        standing = Standing(store, references, SETTINGS.monitor)

        def gather(monitor: str, *, now: float, progress: Progress = lambda *_: None) -> Material:
            return Material(SETTINGS.monitor(monitor), store, references, DataSets(tmp_path), now=now, progress=progress)

        reporting, actions, installed = Reporting(gather, Kept(tmp_path, keep=2)), StoreActions(store), Installed(gather, embedder)
        failures = Failures(store, references, DataSets(tmp_path), installed)
        promotion = Promotion(store, references, DataSets(tmp_path), installed, Shelf(tmp_path, max_bytes=100_000))
        policies = Policies(store, references, DataSets(tmp_path), Kept(tmp_path, keep=1), installed)
        service = Service(
            ingest=ingest, store=store, standing=standing, actions=actions, access=access, registry=registry,
            declaring=declarations, reporting=reporting, samples=Samples(gather, lambda _: embedder),
            failures=failures, similar=Mining(store, references, DataSets(tmp_path), failures, installed, sends=actions),
            inbox=Inbox(store, actions.take_labels),
            promotion=promotion, galleries=Galleries(promotion.report),
            labels=Labels(store, SETTINGS.monitor, metrics, max_items=max_items),
            forgetting=Forgetting(store, Places(tmp_path)),
            openings=Openings(store, DataSets(tmp_path), LINKS, Exhibits(store, DataSets(tmp_path))),
            references=references, maps=Maps(store, references, SETTINGS.monitor),
            exhibits=Exhibits(store, DataSets(tmp_path)), settings=lambda: SETTINGS,
            policies=policies, overview=Overview(store, lambda: declarations.declared, policies, lambda: NOW),
            accept=lambda name, document: accepted(SETTINGS, name, document),
            version="1.2.3", **{"clock": lambda: NOW, "heartbeats": Heartbeats(), "hook": partial(hook_of, SETTINGS), **options},
        )  # fmt: skip
        client = TestClient(create_app(service), base_url="http://127.0.0.1:8080", raise_server_exceptions=False)
        return Site(client, service, store, log, metrics, references)

    yield make
    for part in opened:
        part.close()


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    yield from sites(tmp_path)


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """On loopback, without a token."""
    return make_site()


@pytest.fixture
def webhook_secret() -> str:
    return "whsec_" + base64.b64encode(bytes(range(32))).decode()


def an_alarm(id: str = "a1", **changes: Any) -> Alarm:
    alarm = Alarm(
        id=id, monitor="support", segment="all", family=Family.INPUT, reference_version=1, kind="new content",
        severity=Severity.WARNING, state=AlarmState.OPEN, at_sample=3_200, at_sequence=100, opened=NOW,
        window_samples=400, window_start=NOW - 600, effect=Measured(0.12, 0.08, 0.17), novel_share=Measured(0.1, 0.07, 0.13),
        channel="features", history=(Step("open", Reason.DRIFT, NOW),), version=1,
    )  # fmt: skip
    return replace(alarm, **changes)


@pytest.fixture
def make_alarm() -> Callable[..., Alarm]:
    return an_alarm
