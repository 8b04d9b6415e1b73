"""Many streams of one installation: 1,000 quiet segments and 20 that drift, under one budget of a false alarm per 30 epochs.

A run is an epoch of 512 samples on each segment. Quiet segments go on from epoch to epoch of a world; the drifting ones begin anew in
each, with a tenth, a fifth or half of new content. Every sample is drawn, described and summed as in production; so that 25 slices of a
reference do, 40 segments share the law and the slice of one. `MANY_STREAMS_RUNS` sets how many runs, 300 by default.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from benchmarks.trials import spread
from detectors.fleet import EDetector, e_benjamini_hochberg
from detectors.model import ScanModel, Slice, fit_model
from detectors.panes import Summary
from detectors.stream import StreamScan
from service.budget import Demand, allocate
from service.ledger import poisson_interval
from service.reference import effective_tolerance
from service.settings import MonitorSettings

RUNS = int(os.environ.get("MANY_STREAMS_RUNS", "300"))
WORLDS = min(10, RUNS)
"""Each with a reference and a fit of its own."""

QUIET, DRIFTING, SLICES = 1_000, 20, 25
EPOCH, EPOCHS_PER_ALARM = 512, 30
"""Samples of a segment in an epoch, and epochs of the whole installation per false alarm."""
SHARES = (0.1, 0.2, 0.5)
"""Of new content; drifting segments take turns."""
Q = 0.1

ROWS, PANE = 500, 64
"""Of a slice; of a test pane."""
DIMENSION, TOPICS, NEW = 32, 40, 8


@dataclass(frozen=True, slots=True)
class Epoch:
    """What stood at the end of one run: false alarms, and how many of the drifting segments of each share were found."""

    false: int
    found: tuple[int, ...]
    false_together: int
    """By e-BH."""
    found_together: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Topics, and how much each slice's segments like each of them."""

    centres: NDArray[np.float64]
    taste: NDArray[np.float64]
    """(slices, topics) cumulated chances."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> World:
        """A mixture of 40 topics, weighed anew for each slice, and 8 that the reference never holds."""
        odds = np.exp(0.7 * rng.standard_normal((SLICES, TOPICS)))
        return cls(rng.standard_normal((TOPICS + NEW, DIMENSION)), (odds / odds.sum(1, keepdims=True)).cumsum(1))

    def rows(self, at: int, n: int, rng: np.random.Generator, *, new: float = 0.0) -> NDArray[np.float32]:
        """(n, 32) unit rows of one slice's law, a share of them new content."""
        topic = np.searchsorted(self.taste[at, :-1], rng.random(n))
        if new:
            topic = np.where(rng.random(n) < new, rng.integers(TOPICS, TOPICS + NEW, n), topic)
        rows = self.centres[topic].astype(np.float32) + np.float32(0.9) * rng.standard_normal((n, DIMENSION), np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


class Segment:
    """A segment's two detectors."""

    def __init__(self, model: ScanModel, own: Slice, *, run_length: float, tolerance: float) -> None:
        self.scan = StreamScan(model, run_length=run_length, slice=own)
        self.evidence = EDetector(model, own, tolerance=tolerance)

    def take(self, panes: Sequence[Summary]) -> bool:
        """Whether an alarm opens within the panes."""
        crossed = False
        for pane in panes:
            self.evidence.update(self.scan, pane)
            crossed |= self.scan.update(pane).alarm
        return crossed

    def reset(self) -> None:
        """As after a verdict."""
        self.scan.reset()
        self.evidence.reset()


def world(seed: int) -> list[Epoch]:
    """All runs of one world."""
    rng = np.random.default_rng(seed)
    law = World.draw(rng)
    model, slices = _reference(law, rng, seed)
    settings = MonitorSettings.model_validate({"name": "bench", "embedder": {"input": "none", "dimension": DIMENSION}})
    tolerance = effective_tolerance(settings, model)
    demands = [Demand("bench", f"segment={n}", EPOCH) for n in range(QUIET + DRIFTING)]
    segments = [
        Segment(model, slices[n % SLICES], run_length=share.run_length, tolerance=tolerance)
        for n, share in enumerate(allocate(demands, 1 / EPOCHS_PER_ALARM))
    ]
    return [_epoch(law, model, segments, rng) for _ in range(seed, RUNS, WORLDS)]


def _reference(law: World, rng: np.random.Generator, seed: int) -> tuple[ScanModel, list[Slice]]:
    """The model of all slices' rows together, and each slice."""
    rows = np.concatenate([law.rows(at, ROWS, rng) for at in range(SLICES)])
    order = rng.permutation(len(rows))
    model = fit_model(rows[order], seed=seed, pane=PANE)
    described = model.summarizer.describe(rows[order])
    return model, [
        model.slice(described.take(own), model.held_out[own]) for own in (np.flatnonzero(order // ROWS == at) for at in range(SLICES))
    ]


def _epoch(law: World, model: ScanModel, segments: list[Segment], rng: np.random.Generator) -> Epoch:
    for segment in segments[QUIET:]:
        segment.reset()
    opened = np.array([segments[n].take(panes) for n, panes in _traffic(law, model, rng)])
    e_values = np.array([10**segment.evidence.log10 / EPOCH for segment in segments])
    together = e_benjamini_hochberg(e_values, Q)
    for at in np.flatnonzero(opened):
        segments[at].reset()
    return Epoch(int(opened[:QUIET].sum()), _by_share(opened), int(together[:QUIET].sum()), _by_share(together))


def _traffic(law: World, model: ScanModel, rng: np.random.Generator) -> Iterator[tuple[int, list[Summary]]]:
    """Each segment's panes of one epoch."""
    for first in range(0, QUIET + DRIFTING, DRIFTING):
        numbers = range(first, first + DRIFTING)
        rows = [law.rows(n % SLICES, EPOCH, rng, new=_new(n)) for n in numbers]
        described = model.summarizer.describe(np.concatenate(rows))
        for at, n in enumerate(numbers):
            starts = range(at * EPOCH, (at + 1) * EPOCH, PANE)
            yield n, [model.summarizer.summarize(described, slice(start, start + PANE)) for start in starts]


def _new(segment: int) -> float:
    return SHARES[segment % len(SHARES)] if segment >= QUIET else 0.0


def _by_share(marked: NDArray[np.bool_]) -> tuple[int, ...]:
    """How many of the drifting segments are marked, by their share of new content."""
    return tuple(int(sum(marked[n] for n in range(QUIET, QUIET + DRIFTING) if _new(n) == share)) for share in SHARES)


def run(progress: Progress) -> list[Figure]:
    """False alarms against the budget, false ones among those opened, drift found; then what stands together by e-BH."""
    found = spread(world, range(WORLDS), progress, unit="worlds")
    epochs = [epoch for each in found for epoch in each]
    return [
        _false_alarms(epochs),
        _proportion("false among the alarms of an epoch", [[_false_share(e.false, e.found) for e in each] for each in found]),
        *_power("drift found in its epoch", [epoch.found for epoch in epochs]),
        _proportion(
            "… among those that stand together", [[_false_share(e.false_together, e.found_together) for e in each] for each in found]
        ),
        *_power("stands together at the epoch's end", [epoch.found_together for epoch in epochs]),
    ]


def _false_alarms(epochs: Sequence[Epoch]) -> Figure:
    """Counted against the budget; drifting segments have no share in it that could be told."""
    count = sum(epoch.false for epoch in epochs)
    allowed = len(epochs) / EPOCHS_PER_ALARM * QUIET / (QUIET + DRIFTING)
    low, high = poisson_interval(count)
    samples = len(epochs) * QUIET * EPOCH
    value = f"{count} [{low:.1f}, {high:.1f}] in {len(epochs)} epochs, {samples / 1e6:.0f} million samples; {allowed:.1f} allowed for"
    return Figure(f"false alarms on {QUIET:,} quiet segments", value, "not wholly above what is allowed for", low <= allowed)


def _false_share(false: int, true: Sequence[int]) -> float:
    """0 where nothing is marked."""
    return false / max(false + sum(true), 1)


def _proportion(name: str, shares: Sequence[Sequence[float]]) -> Figure:
    """The mean over runs, with the 95 % interval of a bootstrap over worlds."""
    means = np.array([np.mean(each) for each in shares])
    drawn = means[np.random.default_rng(0).integers(0, len(means), (10_000, len(means)))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Figure(name, f"{means.mean():.2%} [{low:.2%}, {high:.2%}]", f"not wholly above {Q:.0%}", bool(low <= Q))


def _power(name: str, found: Sequence[tuple[int, ...]]) -> Iterator[Figure]:
    planted = [sum(_new(n) == share for n in range(QUIET, QUIET + DRIFTING)) for share in SHARES]
    for share, each, hits in zip(SHARES, planted, zip(*found, strict=True), strict=True):
        total = each * len(found)
        yield Figure(f"{name}, {share:.0%} new content", f"{sum(hits) / total:.1%} of {total:,}")
