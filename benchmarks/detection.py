"""Delay and run length of what the service decides, over streams of embeddings, each with a reference and a fit of its own.

Rows are drawn without replacement: streams drawn with replacement from a finite set are not without drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from benchmarks.public_sets import Embedded
from benchmarks.replaying import Split
from benchmarks.trials import run_length, spread
from detectors import DriftScan
from detectors.model import ScanModel, fit_model
from detectors.stream import StreamScan
from detectors.summarizer import Extras
from service.records import WHOLE, AlarmState, Event, Pane, PaneKey, Partition
from service.reference import Reference
from service.reference_rows import ReferenceRows
from service.settings import MonitorSettings
from service.streams import MonitorStreams

DELAY_STREAMS, NULL_STREAMS = 12, 20
DELAY_ROWS, DELAY_RUN_LENGTH, DELAY_SHARE = 5_000, 20_000.0, 0.1
BEFORE, AFTER = 2_000, 6_000
DELAY_BAR = 400.0
"""Samples from the change to the opened alarm, in the mean."""
NULL_ROWS, NULL_RUN_LENGTH = 4_000, 5_000.0
LOW, HIGH = 0.5, 2.0
"""What the measured run length over the asked one may be."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A reference's size and the run length that is asked of it."""

    rows: int
    run_length: float


class Watch(Protocol):
    """A way to decide a stream."""

    def alarms(self, rows: NDArray[np.int64]) -> list[int]:
        """Samples of the stream at each alarm; after an alarm it begins anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """A set of embeddings with confidences."""

    embedding: NDArray[np.float32]
    confidence: NDArray[np.float32]

    @property
    def sure(self) -> NDArray[np.float32] | None:
        """None if the model gives no confidence."""
        return None if np.isnan(self.confidence).any() else self.confidence


class Crossings:
    """`Evidence.alarm` of the whole stream's scan, pane by pane as the service folds it."""

    def __init__(self, arrays: Arrays, model: ScanModel, run_length: float) -> None:
        self._arrays, self._model, self._run_length = arrays, model, run_length

    def alarms(self, rows: NDArray[np.int64]) -> list[int]:
        scan, found = StreamScan(self._model, run_length=self._run_length), []
        described = self._model.summarizer.describe(self._arrays.embedding[rows], confidence=_taken(self._arrays.sure, rows))
        for start in range(0, len(rows) - self._model.pane + 1, self._model.pane):
            if scan.update(self._model.summarizer.summarize(described, slice(start, start + self._model.pane))).alarm:
                found.append(start + self._model.pane)
                scan.reset()
        return found


class Episodes:
    """Alarms that the service opens: its own decisions on panes, with every alarm resolved by a person at once."""

    def __init__(self, arrays: Arrays, reference: Reference, settings: MonitorSettings) -> None:
        self._arrays, self._reference, self._settings = arrays, reference, settings

    def alarms(self, rows: NDArray[np.int64]) -> list[int]:
        streams, model, found = MonitorStreams(self._settings, self._reference), self._reference.model, list[int]()
        described = model.summarizer.describe(self._arrays.embedding[rows], confidence=_taken(self._arrays.sure, rows))
        for start in range(0, len(rows) - model.pane + 1, model.pane):
            end = start + model.pane
            key = PaneKey(self._settings.name, WHOLE, self._reference.version, Partition("bench", "1"), start)
            pane = Pane(key, end - 1, start, end - 1, model.summarizer.summarize(described, slice(start, end)), streams.sequence + 1)
            opened = [alarm for alarm in streams.apply(pane).alarms if alarm.state is AlarmState.OPEN]
            for alarm in opened:
                found.append(end)
                streams.apply(Event(f"resolve-{end}", "bench", "resolve", end, "bench", alarm.id, sequence=streams.sequence + 1))
        return found


class Library:
    """`DriftScan`, as a user of the library meets it."""

    def __init__(self, arrays: Arrays, reference: NDArray[np.int64], run_length: float, seed: int) -> None:
        self._arrays = arrays
        self._scan = DriftScan.fit(arrays.embedding[reference], run_length=run_length, seed=seed, accept_supported=True)

    def alarms(self, rows: NDArray[np.int64]) -> list[int]:
        found = []
        self._scan.reset()
        for start in range(0, len(rows), 16):
            if self._scan.update(self._arrays.embedding[rows[start : start + 16]]).alarm:
                found.append(min(start + 16, len(rows)))
                self._scan.reset()
        return found


def watches(arrays: Arrays, reference: NDArray[np.int64], setting: Setting, seed: int) -> dict[str, Watch]:
    """All three, the first two on one fit."""
    detection = {"run_length": setting.run_length, "accept_supported": True, "seed": seed}
    settings = MonitorSettings.model_validate({"name": "bench", "embedder": {"input": "none", "dimension": 1}, "detection": detection})
    embedding, sure = arrays.embedding[reference], _taken(arrays.sure, reference)
    model = fit_model(embedding, seed=seed, pane=settings.detection.pane_samples, extras=Extras(sure))
    nothing = ("",) * len(reference)
    confidence = arrays.confidence[reference]
    rows = ReferenceRows(nothing, nothing, (None,) * len(reference), ({},) * len(reference), confidence, embedding)
    return {
        "opened alarms": Episodes(arrays, Reference("bench", 1, {}, model, rows, np.empty(0, np.int64)), settings),
        "crossings": Crossings(arrays, model, min(setting.run_length, model.calibration.supported)),
        "DriftScan": Library(arrays, reference, setting.run_length, seed),
    }


def delays(path: Embedded, held_out: NDArray[np.bool_], seed: int) -> dict[str, tuple[int, float]]:
    """One stream with a change: (false alarms before it, samples from it to the alarm, infinite if none came)."""
    arrays, rng = Arrays(*path.load()), np.random.default_rng(seed)
    split = Split.of(held_out, DELAY_ROWS, rng)
    stream = split.stream(DELAY_SHARE, rng, before=BEFORE, after=AFTER)
    found = {}
    for name, watch in watches(arrays, split.reference, Setting(DELAY_ROWS, DELAY_RUN_LENGTH), seed).items():
        alarms = watch.alarms(stream)
        late = [at - BEFORE for at in alarms if at > BEFORE]
        found[name] = (len(alarms) - len(late), float(late[0]) if late else float("inf"))
    return found


def null_alarms(path: Embedded, held_out: NDArray[np.bool_], seed: int) -> dict[str, tuple[int, int]]:
    """One stream without a change, all in-domain rows that the reference leaves: (samples, alarms)."""
    arrays, rng = Arrays(*path.load()), np.random.default_rng(1_000 + seed)
    split = Split.of(held_out, NULL_ROWS, rng)
    found = watches(arrays, split.reference, Setting(NULL_ROWS, NULL_RUN_LENGTH), seed)
    return {name: (len(split.ordinary), len(watch.alarms(split.ordinary))) for name, watch in found.items()}


def delay_figures(path: Embedded, held_out: NDArray[np.bool_], progress: Progress) -> list[Figure]:
    """The mean delay of each way to decide; the bar is on what the service opens."""
    results = spread(partial(delays, path, held_out), range(DELAY_STREAMS), lambda text: progress(f"delay: {text}"), unit="streams")
    figures = []
    for name in results[0]:
        late = np.array([result[name][1] for result in results])
        false = sum(result[name][0] for result in results)
        mean, missed = float(late.mean()), int(np.isinf(late).sum())
        value = (
            f"mean {mean:.0f}, median {np.median(late):.0f}, longest {late.max():.0f} samples; {false} false alarms before, {missed} missed"
        )
        bar, holds = (f"mean ≤ {DELAY_BAR:g}", mean <= DELAY_BAR) if name == "opened alarms" else ("", None)
        figures.append(Figure(f"delay of {name} at {DELAY_SHARE:.0%} new, run length {DELAY_RUN_LENGTH:,.0f}", value, bar, holds))
    return figures


def run_length_figures(path: Embedded, held_out: NDArray[np.bool_], progress: Progress) -> list[Figure]:
    """Samples ÷ alarms over what was asked; alarms of one stream share a reference, so the interval resamples streams."""
    trial = partial(null_alarms, path, held_out)
    results = spread(trial, range(NULL_STREAMS), lambda text: progress(f"run length: {text}"), unit="streams")
    figures = []
    for name in results[0]:
        samples, alarms = np.array([result[name] for result in results]).T
        ratio = run_length(samples, alarms, NULL_RUN_LENGTH)
        interval = f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
        value = f"{interval} of {NULL_RUN_LENGTH:,.0f}: {alarms.sum()} alarms in {samples.sum():,} samples"
        holds = ratio.high >= LOW and (name == "opened alarms" or ratio.low <= HIGH)  # fewer open than cross, by design
        bar = f"not below {LOW:g}" if name == "opened alarms" else f"meets {LOW:g}–{HIGH:g}"
        figures.append(Figure(f"run length of {name}, measured over asked", value, bar, holds))
    return figures


def _taken(values: NDArray[np.float32] | None, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
    return None if values is None else values[rows]
