"""What each role shows among the metrics: where each figure that is asked for comes from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

from service.app.installation import Installation
from service.cycles.standing import all_standings
from service.declarations import Declared
from service.errors import DriftgateError
from service.health import Heartbeats
from service.leading import Leading
from service.logs import dropped
from service.metrics import Metrics, installed, inventory
from service.metrics.alarms import AlarmBook
from service.metrics.monitors import DECLARED, Statuses
from service.metrics.reading import Point, Points
from service.records import Partition, Silence, SilenceState

_CHECKED_SECONDS = 60.0
"""Between two looks at what the policy asks for: it changes by the hour."""


def watch(metrics: Metrics, declared: Mapping[str, Declared]) -> None:
    """These monitors have series from now on."""
    metrics.watch(declared, [name for name, known in declared.items() if known.settings.kserve is not None])


def of_process(metrics: Metrics, heartbeats: Heartbeats) -> None:
    """What every process tells of itself."""
    metrics.shows(inventory.TURNED, lambda: {(loop,): time.time() - age for loop, age in heartbeats.ages().items()})
    metrics.shows(inventory.LOG_DROPPED, lambda: {(): float(dropped())})


def of_worker(metrics: Metrics, installation: Installation, lag: Callable[[], Mapping[Partition, int]] | None) -> None:
    """What is left to read, and payloads that found no room."""
    if lag is not None:
        metrics.reads(lambda: installed.lag(lag(), metrics.reached, now=time.time()), inventory.LAG, inventory.LAG_SECONDS)
    blobs = installation.state.blobs
    if blobs is not None:
        metrics.shows(inventory.BLOBS_REFUSED, lambda: {(): float(blobs.refused)})
    metrics.shows(inventory.PAYLOADS_LEFT_OUT, lambda: {(): float(installation.room.left_out)})


def of_ingest(metrics: Metrics, backlog: Callable[[], tuple[int, int]]) -> None:
    """What was accepted into the embedded log."""

    def points() -> Iterator[Point]:
        size, entries = backlog()
        yield inventory.BACKLOG_BYTES, (), float(size)
        yield inventory.BACKLOG_ENTRIES, (), float(entries)

    metrics.reads(points, inventory.BACKLOG_BYTES, inventory.BACKLOG_ENTRIES)


def of_installation(metrics: Metrics, installation: Installation, leading: Leading, disabled: Callable[[], Mapping[str, str]]) -> None:
    """What the leader alone tells. disabled : destinations that want nothing any more, and why."""
    metrics.led_by(lambda: leading.fence() is not None)
    metrics.shows(inventory.LEADS, lambda: {(): float(leading.fence() is not None)})
    _monitors(metrics, installation, leading)
    _stored(metrics, installation)
    _files(metrics, installation)

    def destinations() -> Mapping[tuple[str, ...], float]:
        gone = disabled()
        return {(each.name,): float(each.name in gone) for each in installation.settings.destinations}

    metrics.shows(inventory.DISABLED, destinations)


def _monitors(metrics: Metrics, installation: Installation, leading: Leading) -> None:
    """What decisions say of monitors, and their alarms."""
    store, declarations = installation.store, installation.declarations

    def overflow(segments: int) -> None:
        metrics.count(inventory.OVERFLOW, "segment", by=segments)

    statuses = Statuses(
        store,
        lambda: declarations.declared,
        lambda: installation.settings.budget,
        term=leading.fence,
        clock=time.time,
        overflow=overflow,
    )
    alarms = AlarmBook(store, lambda: declarations.declared, lambda: installation.settings.budget, term=leading.fence, clock=time.time)
    metrics.decisions.append(statuses.decided)
    metrics.steps.append(alarms.step)
    metrics.reads(statuses.points, *DECLARED)
    metrics.reads(alarms.points, inventory.ALARMS, inventory.BUDGET_USED)


def _stored(metrics: Metrics, installation: Installation) -> None:
    """What else the store holds."""
    store = installation.store

    def names() -> Collection[str]:
        return installation.declarations.declared

    def cycles() -> Iterator[Point]:
        return installed.cycles(all_standings(store, installation.effective), now=time.time())

    cycle = (inventory.CYCLE_STATE, inventory.CYCLE_AGE, inventory.CYCLE_STUCK, inventory.APPROVAL)
    metrics.reads(lambda: installed.entities(store, names), inventory.CYCLES, inventory.BATCHES)
    metrics.reads(cycles, *cycle)
    metrics.reads(lambda: installed.occasional(installation.occasions), inventory.DUE, inventory.FRESHNESS)
    metrics.reads(lambda: installed.outbox(store, now=time.time()), inventory.OUTBOX, inventory.OUTBOX_AGE)
    metrics.reads(lambda: installed.positions(store), inventory.LOST, inventory.STOPPED)
    metrics.shows(inventory.SILENCES, lambda: {(): float(_active(store.tally(Silence)))})
    if installation.settings.kafka is not None:
        metrics.shows(inventory.UNSENT, lambda: {(): float(store.unsent_count())})
    blobs = installation.state.blobs
    if blobs is not None:
        metrics.shows(inventory.BLOB_BYTES, lambda: {(): float(blobs.stored_bytes)})


def _active(tally: Mapping[tuple[str, str], int]) -> int:
    return sum(count for (_, state), count in tally.items() if state == SilenceState.ACTIVE)


def _files(metrics: Metrics, installation: Installation) -> None:
    """What is declared, and what lies in files beside the store: looked at now and then."""

    def monitors() -> Mapping[tuple[str, ...], float]:
        settings = [known.settings for known in installation.declarations.declared.values()]
        return {(each.name, each.team or ""): 1.0 for each in settings}

    def url() -> Mapping[tuple[str, ...], float]:
        public = installation.settings.server.public_url
        return {} if public is None else {(public,): 1.0}

    metrics.shows(inventory.MONITOR, monitors)
    metrics.shows(inventory.PUBLIC_URL, url)
    metrics.reads(_Models(installation).points, inventory.MODEL)
    metrics.reads(_rarely(partial(_compliance, installation), _CHECKED_SECONDS), inventory.POLICY)
    metrics.reads(_rarely(_Covered(installation).points, 0.0), inventory.COVERAGE)


class _Models:
    """The model and reference in force of each monitor; a version's manifest never changes, and is read once."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._known: dict[tuple[str, int], tuple[str, str]] = {}

    def points(self) -> Iterator[Point]:
        declared = self._installation.declarations.declared
        for name, known in declared.items():
            if known.reference is not None:
                fingerprint, model = self._of(name, known.reference)
                yield inventory.MODEL, (name, fingerprint, model, str(known.reference)), 1.0
        for gone in [key for key in self._known if key[0] not in declared]:
            del self._known[gone]

    def _of(self, monitor: str, version: int) -> tuple[str, str]:
        if (monitor, version) not in self._known:
            found = next((each for each in self._installation.references.versions(monitor) if each["version"] == version), {})
            self._known[monitor, version] = str(found.get("fingerprint", ""))[:12], str(found.get("model_version", ""))
        return self._known[monitor, version]


class _Covered:
    """How much of the traffic the newest reports say that the training set covers."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._known: dict[str, tuple[float, float | None]] = {}

    def points(self) -> Iterator[Point]:
        reports = self._installation.reports
        for monitor in self._installation.names:
            line = reports.line(monitor)
            if line is None:
                continue
            if self._known.get(monitor, (None, None))[0] != line.made:
                self._known[monitor] = line.made, _covered(reports.newest(monitor, "json"))
            share = self._known[monitor][1]
            if share is not None:
                yield inventory.COVERAGE, (monitor,), share


def _covered(report: str) -> float | None:
    """The first figure of the section on coverage: by the training set where there is one, else by the reference."""
    sections = {section["name"]: section for section in json.loads(report)["sections"]}
    figures = sections.get("coverage", {}).get("figures", ())
    return next((float(figure["value"]["estimate"]) for figure in figures if isinstance(figure["value"], dict)), None)


def _compliance(installation: Installation) -> Iterator[Point]:
    for found in installation.policies.compliance(installation.names, now=time.time()):
        tally: dict[str, int] = {}
        for checked in found.checks:
            tally[checked.finding.value] = tally.get(checked.finding.value, 0) + 1
        for finding, count in tally.items():
            yield inventory.POLICY, (found.monitor, finding), float(count)


def _rarely(points: Points, seconds: float) -> Points:
    """The same answer for so long; what lies in files and can't be read is missing."""
    kept: list[Point] = []
    until = float("-inf")

    def answer() -> list[Point]:
        nonlocal kept, until
        if time.monotonic() >= until:
            try:
                kept = list(points())
            except (DriftgateError, OSError, ValueError, KeyError):
                kept = []
            until = time.monotonic() + seconds
        return kept

    return answer
