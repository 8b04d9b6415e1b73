"""False alarms on traffic of known law that does not change: independent rows, sessions and a daily cycle, for a monitor and for its
smallest segment. `NULL_TRAFFIC_STREAMS` sets how many streams, 100 by default; each has a reference and a fit of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from benchmarks.trials import run_length, spread
from detectors.model import ScanModel, Slice, fit_model
from detectors.stream import StreamScan
from service.reference import SLICE_ROWS

STREAMS = int(os.environ.get("NULL_TRAFFIC_STREAMS", "100"))
ROWS, LENGTH, ASKED = 4_000, 20_000, 5_000.0
TOPICS, DIMENSION = 64, 128
HIGH = 2.0
"""What the measured run length may be of the asked one, at most."""
DAYS = 5
"""That a reference with a daily cycle covers."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """How rows follow each other."""

    name: str
    session: int = 1
    """Rows in a session, in the mean; a session has one theme and lies within one segment."""
    swing: float = 0.0
    """How much the odds of a topic rise and fall with the hour, each at an hour of its own."""
    segment: float = 1.5 * SLICE_ROWS / ROWS
    """Share of the traffic that is the segment's: its slice of the reference is about the smallest that is tested."""
    low: float = 0.5
    """What the measured run length may be of the asked one, at least."""


KINDS = (Traffic("i.i.d.", low=0.8), Traffic("sessions", session=40, segment=0.4), Traffic("daily cycle", swing=1.0))


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Topics under themes, and a segment that has more of some topics than others."""

    centres: NDArray[np.float64]
    phase: NDArray[np.float64]
    taste: NDArray[np.float64]
    """(topics,) odds of each topic in the segment."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> World:
        """Eight themes of eight topics."""
        themes = 0.7 * rng.standard_normal((8, DIMENSION))
        centres = np.repeat(themes, 8, axis=0) + 0.5 * rng.standard_normal((TOPICS, DIMENSION))
        return cls(centres, rng.uniform(0, 2 * np.pi, TOPICS), np.exp(rng.standard_normal(TOPICS)))

    def rows(
        self, traffic: Traffic, times: NDArray[np.float64], rng: np.random.Generator, *, segment: float
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Unit rows at these times, and which are the segment's; `segment` is its share of the traffic."""
        n = len(times)
        session = np.cumsum(rng.random(n) < 1 / traffic.session) if traffic.session > 1 else np.arange(n)
        member = (rng.random(n + 1) < segment)[session]
        odds = np.where(member[:, None], self.taste, 1.0)
        odds = odds * np.exp(traffic.swing * np.cos(2 * np.pi * times[:, None] / 86_400 - self.phase))
        topic = _chosen(odds, rng.random(n))
        if traffic.session > 1:  # a session stays in the theme of its first row
            first = np.searchsorted(session, np.unique(session))
            theme = (topic[first] // 8)[session - session[0]]
            topic = _chosen(np.where(np.arange(TOPICS) // 8 == theme[:, None], odds, 0.0), rng.random(n))
        found = self.centres[topic] + 0.6 * rng.standard_normal((n, DIMENSION))
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), member


def run(progress: Progress) -> list[Figure]:
    """A figure for each kind of traffic and stream."""
    return [figure for traffic in KINDS for figure in _figures(traffic, progress)]


def _figures(traffic: Traffic, progress: Progress) -> list[Figure]:
    found = spread(partial(trial, traffic), range(STREAMS), lambda text: progress(f"{traffic.name}: {text}"), unit="streams")
    return [_figure(traffic, name, [one[name] for one in found if name in one]) for name in ("monitor", "smallest segment")]


def _figure(traffic: Traffic, name: str, found: list[tuple[float, int]]) -> Figure:
    if not found:
        return Figure(f"{traffic.name}, {name}: run length measured/asked", "no stream with rows enough")
    expected, counted = zip(*found, strict=True)
    ratio = run_length(expected, counted, 1.0)
    asked = LENGTH * len(found) / sum(expected)
    value = f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] of {asked:,.0f}: {sum(counted)} alarms in {len(found)} streams"
    holds = ratio.high >= traffic.low and ratio.low <= HIGH
    return Figure(f"{traffic.name}, {name}: run length measured/asked", value, f"meets {traffic.low:g}-{HIGH:g}", holds)


def trial(traffic: Traffic, seed: int) -> dict[str, tuple[float, int]]:
    """One reference and its two streams: (false alarms expected, alarms) of the monitor and, where it is tested, of the segment."""
    rng = np.random.default_rng(seed)
    world = World.draw(rng)
    times = np.arange(ROWS + LENGTH, dtype=np.float64) * (DAYS * 86_400 / ROWS)
    rows, member = world.rows(traffic, times[:ROWS], rng, segment=traffic.segment)
    model = fit_model(rows, seed=seed, order="time", times=times[:ROWS] if traffic.swing else None)
    asked = min(ASKED, model.calibration.supported)
    members = np.flatnonzero(member)
    own = members[np.linspace(0, len(members) - 1, max(SLICE_ROWS, round(2.5 * model.least_held_out))).astype(np.int64)]
    tested = {"monitor": (model.whole(), traffic.segment, 1.0)}
    if len(np.unique(own)) == len(own) and model.held_out[own].sum() >= model.least_held_out:  # else it has figures and no test
        stamps = times[own] if len(model.times) else None
        segment = model.slice(model.summarizer.describe(rows[own]), model.held_out[own], times=stamps)
        tested["smallest segment"] = (segment, 1.0, 1 / traffic.segment)
    counts = {}
    for name, (part, share, step) in tested.items():
        later = times[ROWS] + (times[ROWS:] - times[ROWS]) * step
        stream, _ = world.rows(traffic, later, rng, segment=share)
        counts[name] = (LENGTH / asked, alarms(model, part, (stream, later), asked))
    return counts


def alarms(model: ScanModel, tested: Slice, stream: tuple[NDArray[np.float32], NDArray[np.float64]], run_length: float) -> int:
    """Alarms of a stream of rows and their times, which begins anew after each."""
    rows, times = stream
    scan, count, described = StreamScan(model, run_length=run_length, slice=tested), 0, model.summarizer.describe(rows)
    for start in range(0, len(rows) - model.pane + 1, model.pane):
        end = start + model.pane
        summary = model.summarizer.summarize(described, slice(start, end))
        if scan.update(summary, span=(times[start], times[end - 1])).alarm:
            count += 1
            scan.reset()
    return count


def _chosen(odds: NDArray[np.float64], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) columns drawn with (n, columns) odds."""
    total = odds.cumsum(1)
    return np.asarray((uniform[:, None] * total[:, -1:] > total).sum(1))
