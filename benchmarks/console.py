"""What pages cost with 1,000 monitors and 10,000 alarms in the store, beside the same pages over 3 and 10.

Every page of the console that can be read is asked for, in turns between both installations; what counts is the time within the
application, from the request to the last byte of the answer, the median of `CONSOLE_RUNS` (25) requests. Nothing runs beside it but the
store: loops are not started, and the overview that they keep is looked at once before, which is measured by itself.
"""

from __future__ import annotations

import math
import os
import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute, Route
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from benchmarks.figures import Figure, Progress
from service.access import Access
from service.adapters.sqlite import SqliteLog
from service.api import create_app
from service.app.roles import Assembly
from service.metrics import Metrics
from service.ports import Store
from service.records import (
    LEVELS,
    WHOLE,
    Alarm,
    AlarmState,
    AnnotationBatch,
    BatchState,
    Candidate,
    ClusterChange,
    Commit,
    Contribution,
    CycleState,
    DeadLetter,
    Decision,
    Declaration,
    Event,
    Exemplar,
    Family,
    Finding,
    Measured,
    Notice,
    NoticeState,
    OutboxItem,
    Partition,
    Passage,
    Pooled,
    RefreshCycle,
    Rejected,
    Sample,
    Severity,
    Silence,
    Step,
    Term,
)
from service.reference import Origin
from service.reference_rows import embed_rows
from service.settings import Settings, parse

RUNS = int(os.environ.get("CONSOLE_RUNS", "25"))
SMALL, LARGE = (3, 10), (1_000, 10_000)
"""Monitors and alarms."""
MOST = 3.0
DIMENSION, ROWS, POOLED, SEGMENTS = 16, 1_200, 500, 6
NOW = 1_772_366_400.0
ONE, ALARM = "m0000", "a000000"
"""The monitor and the alarm whose pages are looked at; both installations have them alike."""
_PARTITION = Partition("benchmark", "1")


@dataclass
class Site:
    """An application over a filled store, and how long it took for the last answer."""

    app: FastAPI
    client: TestClient
    routes: Sequence[BaseRoute]
    took: float = 0.0

    def ask(self, address: str) -> float:
        """Seconds within the application."""
        answer = self.client.get(address)
        return self.took if answer.status_code == 200 else math.nan


def run(progress: Progress) -> Sequence[Figure]:
    """Every page, small against large."""
    with ExitStack() as stack:
        small, large = (stack.enter_context(site(*size, progress)) for size in (SMALL, LARGE))
        progress("asking for pages")
        figures = [figure(address, small, large) for address in addresses(small)]
        overview = large.app.state.service.overview
        started = time.perf_counter()
        overview.look()
        again = time.perf_counter() - started
    return [*figures, Figure("a look of the overview at 1,000 monitors, nothing changed", f"{1e3 * again:.0f} ms in the background")]


def addresses(asked: Site) -> list[str]:
    """Every page, by the routes that there are; forms and pictures are none."""
    found = []
    for path in sorted(_paths(asked)):
        example = path.replace("{monitor}", ONE).replace("/alarms/{id}", f"/alarms/{ALARM}")
        example = example.replace("/cycles/{id}", "/cycles/c00000").replace("/batches/{id}", "/batches/b00000")
        if "{" not in example and "/static/" not in example:
            found.append(example)
    return [each for each in found if _is_page(asked, each)]


def _is_page(asked: Site, address: str) -> bool:
    """Neither a form's answer nor one that needs a query of its own."""
    answer = asked.client.get(address)
    return answer.status_code != 422 and answer.headers.get("content-type", "").startswith("text/html")


def _paths(asked: Site) -> set[str]:
    page = re.compile(r"/console/(?!static|login|logout)")
    return {path for path in _leaves(asked.routes) if page.match(path)}


def _leaves(routes: Sequence[BaseRoute]) -> Iterator[str]:
    for route in routes:
        if isinstance(route, Route) and "GET" in (route.methods or ()):
            yield route.path
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _leaves(inner.routes)


def figure(address: str, small: Site, large: Site) -> Figure:
    """The page's time in both, and how many times as long it takes."""
    for each in (small, large):
        each.ask(address)
    pairs = [(small.ask(address), large.ask(address)) for _ in range(RUNS)]
    little, much = (statistics.median(times) for times in zip(*pairs, strict=True))
    return Figure(address, f"{1e3 * little:.1f} → {1e3 * much:.1f} ms: {much / little:.2f} ×", f"≤ {MOST:g} ×", much <= MOST * little)


# --- an installation -----------------------------------------------------------------------------------------------------


@contextmanager
def site(monitors: int, alarms: int, progress: Progress) -> Iterator[Site]:
    """A store with so many of each; nothing of it is kept."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        progress(f"filling a store with {monitors:,} monitors and {alarms:,} alarms")
        settings = configuration(Path(folder), monitors)
        metrics = Metrics(CollectorRegistry(), [], version="benchmark")
        assembly = Assembly(settings, None, stack, lambda _: nullcontext(), metrics)
        learn(assembly)
        fill(assembly.installation.store, monitors, alarms)
        assembly.installation.look()
        log = stack.enter_context(closing(SqliteLog(":memory:", backlog_bytes=1_000_000, retention_bytes=0)))
        service = assembly.answer(log, Access(loopback=True), assembly.check)
        app = create_app(service)
        service.overview.look()
        measured = Site(app, TestClient(app), app.routes)
        measured.client = TestClient(_timed(app, measured), base_url="http://127.0.0.1", raise_server_exceptions=False)
        yield measured


def _timed(app: FastAPI, measured: Site) -> Any:
    async def timed(scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        await app(scope, receive, send)
        measured.took = time.perf_counter() - started

    return timed


def configuration(folder: Path, monitors: int) -> Settings:
    """Monitors of vectors, by turns of ten teams."""
    teams = [{"name": f"team{number}"} for number in range(10)]
    entries = [
        {
            "name": f"m{number:04}",
            "team": f"team{number % 10}",
            "embedder": {"input": "none", "dimension": DIMENSION},
            "detection": {"run_length": 2_000},
            "annotation": {"destination": "out", "price": 0.1},
        }
        for number in range(monitors)
    ]
    out = {"name": "out", "type": "folder", "path": "out"}
    policy = {"require": {"team": True, "notify": True}}
    document = {"directory": "state", "teams": teams, "policy": policy, "destinations": [out], "monitors": entries}
    return parse(document, base=folder)


def learn(assembly: Assembly) -> None:
    """One monitor has a reference and recent samples; of the others only figures are shown."""
    installation = assembly.installation
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(ROWS, DIMENSION)).astype(np.float32)
    embedder = installation.embedder(ONE)
    samples = [Sample(ONE, f"r{number}", float(number), row) for number, row in enumerate(rows)]
    installation.references.build(installation.settings.monitor(ONE), embed_rows(samples, embedder), Origin(embedder.fingerprint, 1.0))
    learnt = installation.settings.directory / "references" / ONE
    for monitor in installation.settings.monitors[1:]:
        learnt.with_name(monitor.name).symlink_to(learnt)
    store = installation.store
    epoch = store.assign(_PARTITION).epoch
    recent = tuple(
        Pooled(ONE, f"s{n}", NOW + n, _PARTITION, n, row, {}, None, None, row.astype(np.float16), 0.5, 1)
        for n, row in enumerate(rows[:POOLED])
    )
    store.commit(Commit(_PARTITION, epoch, 0, POOLED, NOW, pooled=recent, counts={ONE: POOLED}))


def fill(store: Store, monitors: int, alarms: int) -> None:
    """Figures, timelines and declarations of monitors; alarms, cycles, batches and what else grows with them."""
    names = [f"m{number:04}" for number in range(monitors)]
    for number, name in enumerate(names):
        declaration = store.get(Declaration, name)
        store.save(replace(declaration, reference=1, version=declaration.version + 1))
        store.record_event(Event(f"e{name}", name, "note", NOW, "ada"))
        state = msgspec.json.encode(status(number))
        store.decide(Decision(name, 0, 1, state=state, timeline=tuple(passages(number))))
    for start in range(0, alarms, 500):
        numbers = range(start, min(start + 500, alarms))
        store.save(*(alarm(number, names[number % monitors]) for number in numbers))
        store.save(*(notice(number, names[number % monitors]) for number in numbers))
        store.add_dead_letters(
            [DeadLetter(_PARTITION, n, NOW, Rejected("not_json", "no JSON", b"{", 1, names[n % monitors])) for n in numbers]
        )
    for number in range(alarms // 10):
        name = names[number % monitors]
        store.save(batch(number, name), cycle(number, name), silence(number, name), outbox=[item(number)])


def status(number: int) -> Mapping[str, Any]:
    """As a decision writes it."""
    stream = {
        "samples": 9_000,
        "regime": "active",
        "run_length": 2_000.0,
        "asked_run_length": 2_000.0,
        "traffic_per_second": 3.0,
        "evidence": 1.5,
        "threshold": 3.4,
        "e_log10": -2.0,
        "channel": "mmd",
        "window_samples": 512,
        "effect": {"estimate": 0.03, "low": 0.0, "high": 0.08},
        "effect_channel": "mmd",
        "novel_share": {"estimate": 0.01, "low": 0.0, "high": 0.03},
        "accuracy": None,
        "alarm": None,
        "crossings": 0,
        "opened": 0,
        "withheld": 0,
    }
    segments = [WHOLE, *(f"locale=l{number}" for number in range(SEGMENTS))]
    return {
        "state": "drifting" if number % 50 == 0 else "watching",
        "mode": "active",
        "reference_version": 1,
        "run_length": 2_000.0,
        "inflation": 1.0,
        "supported_run_length": 2_000.0,
        "tolerance": 0.05,
        "samples": 9_000,
        "missing_samples": 0,
        "sequence": 1,
        "traffic_per_second": 3.0,
        "traffic_seconds": 3_000.0,
        "last_time": NOW,
        "expected_delay": [{"share": 0.1, "samples": 300.0, "seconds": 100.0}],
        "longest_window": {"samples": 4_096, "seconds": 1_400.0, "pane_samples": None},
        "streams": [{"segment": segment, **stream} for segment in segments],
        "allocation": None,
        "exposures": [],
        "other_versions": 0,
        "untimed": 0,
        "untimed_share": 0.0,
        "feed": {
            "blind": False,
            "silent": False,
            "alarms": [],
            "lost_share": 0.0,
            "unanswered_share": 0.0,
            "unmatched_share": 0.0,
            "window": {"samples": 0, "lost": 0, "reasons": {}},
            "day": {"samples": 0, "lost": 0, "reasons": {}},
            "total": {},
            "silence_after": None,
        },
        "truth": None,
    }


def passages(number: int) -> Iterator[Passage]:
    """Full levels of the whole stream."""
    for seconds, kept in LEVELS:
        for back in range(kept):
            start = (NOW // seconds - back) * seconds
            yield Passage(WHOLE, seconds, start, 100, 1.0 + (back + number) % 3, 3.4, Measured(0.03, 0.0, 0.08), 1)


def alarm(number: int, monitor: str) -> Alarm:
    """With everything that explains one; a fiftieth is open."""
    exemplars = tuple(Exemplar(f"s{each}", f"a text that shows what moved, number {each}", 0.9) for each in range(10))
    changes = tuple(ClusterChange(f"words, of, {each}", 0.02, 0.2, exemplars[:3], Measured(0.18, 0.1, 0.2)) for each in range(8))
    state = AlarmState.OPEN if number % 50 == 0 else AlarmState.RESOLVED
    return Alarm(
        id=f"a{number:06}",
        monitor=monitor,
        segment=WHOLE,
        family=Family.INPUT,
        reference_version=1,
        kind="new content",
        severity=Severity.CRITICAL if number % 7 == 0 else Severity.WARNING,
        state=state,
        at_sample=3_000,
        at_sequence=1,
        opened=NOW - number,
        window_samples=512,
        window_start=NOW - number - 100,
        effect=Measured(0.12, 0.08, 0.17),
        novel_share=Measured(0.1, 0.07, 0.13),
        channel="mmd",
        exemplars=exemplars,
        missed=exemplars,
        clusters=changes,
        findings=(Finding("copies", 0.1, 0.0, "look"),),
        terms=tuple(Term(f"word{each}", 0.3, 0.0) for each in range(12)),
        contributions=(Contribution("locale=de", 0.8, 0.3),),
        history=(Step("open", "evidence above the threshold", NOW), Step(state, "calm", NOW)),
        version=1,
    )


def notice(number: int, monitor: str) -> Notice:
    return Notice(f"n{number:06}", f"a{number:06}", "out", monitor, NoticeState.FIRING, "warning", NOW, "first notification", created=NOW)


def batch(number: int, monitor: str) -> AnnotationBatch:
    items = tuple(Candidate(f"s{each}", "nearest to what drifted", 0.1, WHOLE, f"a text, number {each}") for each in range(24))
    state = BatchState.PROPOSED if number < 5 else BatchState.CLOSED
    return AnnotationBatch(
        f"b{number:05}", monitor, f"c{number:05}", 1, state, items, NOW - number, history=(Step(state, "chosen", NOW),), version=1
    )


def cycle(number: int, monitor: str) -> RefreshCycle:
    state = CycleState.ANNOTATING if number < 5 else CycleState.CANCELLED
    steps = (Step(state, "an alarm", NOW - number),)
    return RefreshCycle(f"c{number:05}", monitor, 1, f"a{number:06}", 1, state, NOW - number, f"b{number:05}", history=steps, version=1)


def silence(number: int, monitor: str) -> Silence:
    starts = NOW - number * 60.0
    return Silence(f"i{number:05}", {"monitor": monitor}, starts, starts + 3_600.0, "ada", "planned work", starts, monitor=monitor)


def item(number: int) -> OutboxItem:
    state = "dead" if number % 10 == 0 else "delivered"
    return OutboxItem(f"o{number:05}", "alarm.opened", "out", {"alarm": f"a{number:06}"}, created=NOW - number, state=state)
