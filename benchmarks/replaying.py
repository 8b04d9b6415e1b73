"""A stream of files through the whole service, as `driftgate replay` sends it, with a change at a known place."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from service.app import Installation, opened
from service.observe import Silent
from service.records import Alarm, Candidate, Sample
from service.reference import Origin
from service.reference_rows import embed_rows
from service.replay import open_alarms, replay
from service.settings import EmbedderSettings, Settings, parse
from service.worker import Worker

MONITOR, START = "bench", 1_700_000_000.0
REFERENCE, BEFORE, AFTER = 5_000, 4_000, 3_000
"""Rows: the reference, the stream before the change and after it; none is used twice."""

Document: TypeAlias = dict[str, Any]
"""A sample as a line of JSON."""


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What came of a stream: its alarms, oldest first, and the candidates for the first one that is still open."""

    alarms: Sequence[Alarm]
    candidates: Sequence[Candidate]


class Replays:
    """Streams against one reference, each from a store of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.directory

    def learn(self, documents: Iterable[Document], progress: Progress) -> None:
        """Builds the reference."""
        path = self._write("reference", documents)
        with opened(self._settings, in_memory=True) as installation:
            embedder = installation.embedder(MONITOR)
            rows = embed_rows(_samples(installation, path), embedder, progress=lambda done: progress(f"reference, {done:,} embedded"))
            progress("reference, calibrating")
            installation.references.build(self._settings.monitor(MONITOR), rows, Origin(embedder.fingerprint, START))

    def run(
        self, documents: Iterable[Document], progress: Progress, *, watch: Callable[[int, Mapping[str, Any]], None] = lambda *_: None
    ) -> Replayed:
        """One stream; `watch` is given the samples taken and the monitor's status, every few panes."""
        path = self._write("stream", documents)
        with opened(self._settings, in_memory=True) as installation:
            store, source = installation.store, installation.files(MONITOR, [path])

            def turned(taken: int) -> None:
                progress(f"replaying, {taken:,} samples")
                watch(taken, store.status(MONITOR))

            worker = Worker(source, store, {MONITOR: installation.watched(MONITOR)}, Silent(), batch=128)
            replay(worker, installation.controller_for(MONITOR, following=False), source, store, progress=turned)
            alarms = sorted(store.find(Alarm, monitor=MONITOR, limit=1000), key=lambda alarm: alarm.at_sequence)
            still_open = open_alarms(store, MONITOR)
            return Replayed(alarms, installation.refresher.candidates(still_open[0]) if still_open else ())

    def _write(self, name: str, documents: Iterable[Document]) -> Path:
        path = self._folder / f"{name}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(document) + "\n" for document in documents)
        return path


def _samples(installation: Installation, path: Path) -> Iterator[Sample]:
    source = installation.files(MONITOR, [path])
    while not source.ended:
        yield from (item for record in source.poll(512, 0.0) for item in record.items if isinstance(item, Sample))


@contextmanager
def replays(embedder: EmbedderSettings, *, classes: Sequence[str] = (), **detection: object) -> Iterator[Replays]:
    """In a folder that is removed at the end; `detection` settings differ from the defaults."""
    monitor = {"name": MONITOR, "embedder": embedder.model_dump(), "classes": classes, "detection": detection}
    with TemporaryDirectory() as folder:
        yield Replays(parse({"directory": folder, "monitors": [monitor]}, base=Path(folder)))


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows of a set for one experiment, all different: the reference, and pools of ordinary and of new rows for streams."""

    reference: NDArray[np.int64]
    ordinary: NDArray[np.int64]
    new: NDArray[np.int64]

    @classmethod
    def of(cls, held_out: NDArray[np.bool_], reference: int, rng: np.random.Generator) -> Split:
        """At random."""
        ordinary = rng.permutation(np.flatnonzero(~held_out))
        return cls(ordinary[:reference], ordinary[reference:], rng.permutation(np.flatnonzero(held_out)))

    def stream(self, share: float, rng: np.random.Generator, *, before: int, after: int) -> NDArray[np.int64]:
        """Ordinary rows, then a mixture in which each is new with probability `share`."""
        fresh = np.concatenate([np.zeros(before, np.bool_), rng.random(after) < share])
        rows = np.empty(before + after, np.int64)
        rows[fresh], rows[~fresh] = self.new[: fresh.sum()], self.ordinary[: (~fresh).sum()]
        return rows


def change_figures(
    replays: Replays, split: Split, document: Callable[[int], Document], shares: Sequence[float], progress: Progress
) -> Iterator[Figure]:
    """Per share of new content: the first alarm's delay, false alarms, and how much of what was chosen is really new."""
    for share in shares:
        rows = split.stream(share, np.random.default_rng(round(1000 * share)), before=BEFORE, after=AFTER)
        documents = ({"time": START + n, **document(int(row))} for n, row in enumerate(rows))
        found = replays.run(documents, partial(_prefixed, progress, f"{share:.0%} new: "))
        yield from _figures(f"{share:.0%} new", found, {str(row) for row in split.new})


def _prefixed(progress: Progress, prefix: str, text: str) -> None:
    progress(prefix + text)


def _figures(name: str, found: Replayed, new: Collection[str]) -> Iterator[Figure]:
    false = [alarm for alarm in found.alarms if alarm.at_sample <= BEFORE]
    true = [alarm for alarm in found.alarms if alarm.at_sample > BEFORE]
    yield Figure(f"{name}: first alarm", _heard(true[0]) if true else f"none in {AFTER:,} samples")
    yield Figure(f"{name}: false alarms in {BEFORE:,} samples before", str(len(false)))
    right = sum(candidate.id in new for candidate in found.candidates)
    yield Figure(f"{name}: candidates really new", f"{right} of {len(found.candidates)}" if found.candidates else "none chosen")


def _heard(alarm: Alarm) -> str:
    effect, novel = (f"{m.estimate:.2f} [{m.low:.2f}, {m.high:.2f}]" for m in (alarm.effect, alarm.novel_share))
    return f"after {alarm.at_sample - BEFORE} samples: {alarm.kind} ({alarm.channel}); effect {effect}, novel share {novel}"
