"""One controller for 1,000 monitors of ten segments each, every stream with a pane in ten seconds: what deciding them costs.

Detectors are as old as `AGE` panes make them, so that they hold as many window lengths as after an hour and a half. So that a benchmark
need not calibrate 1,000 references, monitors share `REFERENCES` of them; what each costs in memory and at the start is measured on one.
`MANY_MONITORS_RUNS` sets how many rounds of ten seconds are decided, 6 by default.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.figures import Figure, Progress, Skipped
from benchmarks.memory import resident_bytes
from benchmarks.real_servers import RedisWork, redis_server, redis_store
from benchmarks.synthetic import DIMENSION, PER_SECOND, Topics
from detectors import Summary
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.controller import Controller
from service.observe import Silent
from service.ports import Store
from service.records import Assignment, Commit, Decision, Pane, PaneKey, Partition, Sample
from service.reference import Origin, Reference, References
from service.reference_rows import embed_rows
from service.settings import MonitorSettings
from service.streams import MonitorStreams
from tests.servers.redis_server import RedisServer

ROUNDS = int(os.environ.get("MANY_MONITORS_RUNS", "6"))
MONITORS, SEGMENTS, REFERENCES = 1_000, 10, 4
SECONDS = 10.0
"""Between two panes of a stream."""
REFERENCE_ROWS, AGE, POOL = 4_000, 512, 1_024
"""Rows of a reference; panes that every stream has seen; different panes, which each stream takes in turn, from its own place on."""
CHECKPOINT_PANES = 256
"""After so many a controller stores its detectors, so that this share of the monitors is due in each round."""
_COMMIT = 512
_LOG = Partition("benchmark", "1")


@dataclass(frozen=True, slots=True)
class Round:
    """Ten seconds of log time, decided: panes, processor and elapsed seconds."""

    panes: int
    processor: float
    elapsed: float


class World:
    """References and panes that nothing is wrong with, and what a detector of some age remembers."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self.folder = folder
        self.topics = Topics(0)
        self.references = References(folder)
        self.embedder = VectorEmbedder(DIMENSION, normalize=False)
        self.known = [self._reference(f"reference-{n}", progress) for n in range(REFERENCES)]
        progress("letting detectors grow old")
        self.panes = [self._panes(reference) for reference in self.known]
        self.aged = [self._aged(reference, panes) for reference, panes in zip(self.known, self.panes, strict=True)]

    def _reference(self, name: str, progress: Progress) -> Reference:
        progress(f"{name} of {REFERENCES}")
        drawn = zip(range(REFERENCE_ROWS), self.topics.draw(REFERENCE_ROWS), strict=True)
        rows = [Sample(name, f"s{n}", n / PER_SECOND, row, {"tenant": f"t{n % SEGMENTS}"}) for n, row in drawn]
        built = self.references.build(settings(name), embed_rows(rows, self.embedder), Origin(self.embedder.fingerprint, 0.0))
        if len(built.slices) != SEGMENTS + 1:
            raise ValueError(f"{name} has {len(built.slices)} streams, {SEGMENTS + 1} are measured")
        return built

    def _panes(self, reference: Reference) -> list[Summary]:
        size, summarizer = settings("any").detection.pane_samples, reference.summarizer
        return [summarizer.summarize(summarizer.describe(self.topics.draw(size)), slice(0, size)) for _ in range(POOL)]

    def _aged(self, reference: Reference, panes: Sequence[Summary]) -> bytes:
        streams = MonitorStreams(settings("any"), reference)
        for n in range(AGE):
            for number, segment in enumerate(reference.slices):
                key = PaneKey("any", segment, reference.version, _LOG, n)
                streams.apply(Pane(key, n, SECONDS * n, SECONDS * (n + 1), panes[turn(number, n)]))
        return streams.checkpoint()


def run(progress: Progress) -> Sequence[Figure]:
    """Over SQLite on a file and over Redis, both with every write on the disk before its answer."""
    with TemporaryDirectory(prefix="driftgate-bench-") as folder, ExitStack() as stack:
        world = World(Path(folder), progress)
        yields = [*start_figures(world)]
        store = SqliteStore(Path(folder) / "store.sqlite")
        stack.callback(store.close)
        yields += decided_figures("SQLite", world, store, progress)
        try:
            server = stack.enter_context(redis_server())
        except Skipped as reason:
            return [*yields, Figure("Redis", f"left out: {reason}")]
        return [*yields, *redis_figures(world, server, Path(folder), progress)]


def start_figures(world: World) -> Iterator[Figure]:
    """What a monitor costs when its controller begins: the reference from its files, its segments' slices, the checkpoint."""
    loaded, before, started = list[Reference](), resident_bytes(), time.process_time()
    for n in range(REFERENCES):
        loaded.append(References(world.folder).load(f"reference-{n}", 1))
    read = time.process_time()
    streams = [MonitorStreams(settings("any"), reference) for reference in loaded]
    sliced = time.process_time()
    for own, checkpoint in zip(streams, world.aged, strict=True):
        own.restore(checkpoint)
    steps = {"reading its reference": read - started, "slices": sliced - read, "checkpoint": time.process_time() - sliced}
    told = ", ".join(f"{name} {seconds / REFERENCES * 1e3:.0f} ms" for name, seconds in steps.items())
    yield Figure("a monitor's start, one core's time", told)
    yield Figure("memory of a reference", f"{(resident_bytes() - before) / REFERENCES / 2**20:.1f} MB")
    yield Figure(f"checkpoint of {SEGMENTS + 1} streams", f"{np.mean([len(c) for c in world.aged]) / 1e3:.0f} kB")


def redis_figures(world: World, server: RedisServer, folder: Path, progress: Progress) -> Iterator[Figure]:
    """With what the server had to do."""
    with redis_store(server, folder) as store:
        yield from decided_figures("Redis", world, store, progress, server=server)


def decided_figures(name: str, world: World, store: Store, progress: Progress, *, server: RedisServer | None = None) -> Iterator[Figure]:
    """Rounds of one pane per stream."""
    before = resident_bytes()
    feed, controllers = Feed(world, store), list[Controller]()
    for n in range(MONITORS):
        controllers.append(Controller(settings(monitor(n)), world.known[n % REFERENCES], store, Silent()))
        progress(f"{name}: {n + 1:,} of {MONITORS:,} controllers")
    memory = (resident_bytes() - before) / MONITORS / 2**20
    rounds, works = list[Round](), list[RedisWork]()
    for number in range(ROUNDS):
        feed.panes(number)
        progress(f"{name}: round {number + 1} of {ROUNDS}")
        looked = RedisWork.of(server) if server else None
        rounds.append(decided(controllers, number))
        works += [RedisWork.of(server).since(looked)] if server and looked else []
    yield from _round_figures(name, rounds, works, memory)


def _round_figures(name: str, rounds: Sequence[Round], works: Sequence[RedisWork], memory: float) -> Iterator[Figure]:
    panes = rounds[0].panes
    processor, elapsed = (float(np.median([getattr(each, kind) for each in rounds])) for kind in ("processor", "elapsed"))
    streams = SEGMENTS + 1
    yield Figure(f"{name}: one core's time per pane, decided and written", f"{processor / panes * 1e6:.0f} µs")
    share = f"{processor / SECONDS:.2f} of one core"
    yield Figure(f"{name}: {MONITORS:,} monitors × {streams} streams, a pane each in {SECONDS:g} s", share, "≤ 1", processor <= SECONDS)
    yield Figure(f"{name}: elapsed, other programs' share included", f"{elapsed:.1f} s of {SECONDS:g} s")
    if not works:  # the second time it takes what the first has left
        yield Figure("memory of a controller with its streams, without the reference", f"{memory:.2f} MB")
    else:
        received, sent = (float(np.median([getattr(work, kind) for work in works])) / panes for kind in ("received", "sent"))
        commands = float(np.median([work.commands for work in works])) / panes
        busy = float(np.median([work.processor for work in works])) / SECONDS
        yield Figure(f"{name}: server's traffic per pane", f"{commands:.2f} commands, {received:,.0f} bytes in, {sent:,.0f} bytes out")
        yield Figure(f"{name}: server's processor", f"{busy:.2f} of one core")


def decided(controllers: Sequence[Controller], number: int) -> Round:
    """All that a round has brought; of the monitors those whose turn it is store their detectors, too."""
    now, turns = SECONDS * (AGE + number + 1), CHECKPOINT_PANES // (SEGMENTS + 1)
    processor, elapsed, panes = time.process_time(), time.perf_counter(), 0
    for n, controller in enumerate(controllers):
        panes += controller.step(now=now)
        if n % turns == number % turns:
            controller.checkpoint(now=now)
    return Round(panes, time.process_time() - processor, time.perf_counter() - elapsed)


class Feed:
    """Puts panes into a store, as workers would."""

    def __init__(self, world: World, store: Store) -> None:
        self._world, self._store = world, store
        self._held: Assignment = store.assign(_LOG)
        self._offset = self._held.offset
        for n in range(MONITORS):
            store.decide(Decision(monitor(n), 0, 0, checkpoint=world.aged[n % REFERENCES]))

    def panes(self, number: int) -> None:
        """One of every stream."""
        time = SECONDS * (AGE + number)
        closed = [pane for n in range(MONITORS) for pane in self._of(n, AGE + number)]
        for start in range(0, len(closed), _COMMIT):
            part = tuple(closed[start : start + _COMMIT])
            end = self._offset + 1
            self._store.commit(Commit(_LOG, self._held.epoch, self._offset, end, time + SECONDS, closed=part))
            self._offset = end

    def _of(self, n: int, age: int) -> Iterator[Pane]:
        reference, pool = self._world.known[n % REFERENCES], self._world.panes[n % REFERENCES]
        for number, segment in enumerate(reference.slices):
            key = PaneKey(monitor(n), segment, reference.version, _LOG, self._offset)
            yield Pane(key, self._offset, SECONDS * age, SECONDS * (age + 1), pool[turn(number, age)])


def turn(stream: int, age: int) -> int:
    """Which pane a stream takes: one that it has not had for long, or its windows would tell of the pool."""
    return (stream * POOL // (SEGMENTS + 1) + age) % POOL


def monitor(n: int) -> str:
    """Its name."""
    return f"m{n}"


def settings(name: str) -> MonitorSettings:
    """Ten segments by one tag."""
    document = {"name": name, "embedder": {"input": "none", "dimension": DIMENSION}, "segments": {"tags": ["tenant"]}}
    return MonitorSettings.model_validate(document)
