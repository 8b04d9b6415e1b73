"""Coverage of effect intervals, at alarms and at fixed times, on streams whose law is known.

A window's true effect follows from a large population sample: new content at share s moves every mean by s times as far as new
content alone does. Runs are short, so that a stream without drift alarms soon.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from detectors import Effect
from detectors.model import ScanModel, fit_model
from detectors.panes import NOVELTY_BINS, RARE_BIN
from detectors.stream import StreamScan
from detectors.summarizer import Described
from service.reference import effective_tolerance
from service.settings import MonitorSettings

REFERENCES, STREAMS = 16, 64
ROWS, RUN_LENGTH = 4_000, 500.0
TIMES = (128, 1_024)
LONGEST = 4_096
BEFORE = (0, 256)
"""Samples before the change; streams take turns."""
TIMES_TOLERANCE = (0, 1, 3)
BAR = 0.93
LEVEL = 0.95

DIMENSION, TOPICS, NEW = 48, 24, 6
_POPULATION = 60_000


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval with what it was meant to hold."""

    at: str
    """'alarm', or a fixed number of samples."""
    times: int
    """Effect over tolerance."""
    measure: str
    """'norm', 'scalar' or 'novel share'."""
    reference: int
    truth: float
    found: Effect

    @property
    def covers(self) -> bool:
        """To the precision that a population sample gives the truth."""
        return self.found.low - 1e-6 <= self.truth <= self.found.high + 1e-6


def topics(n: int, rng: np.random.Generator, *, new: bool | NDArray[np.bool_] = False) -> NDArray[np.float32]:
    """(n, 48) unit rows around one of 24 centres, or of 6 others where `new`."""
    centres = np.random.default_rng(5).standard_normal((TOPICS + NEW, DIMENSION))
    which = np.where(new, rng.integers(TOPICS, TOPICS + NEW, n), rng.integers(0, TOPICS, n))
    rows = centres[which] + 0.9 * rng.standard_normal((n, DIMENSION))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Effects of new content alone, from population samples: of each channel (M,), and beyond the rare novelty percentile."""

    effects: NDArray[np.float64]
    ordinary: float
    """Share of ordinary traffic beyond it."""
    new: float

    @classmethod
    def of(cls, model: ScanModel, rng: np.random.Generator) -> Truth:
        """By the model's own features and units."""
        ordinary, new = (_population(model, rng, new=new) for new in (False, True))
        difference, noise = new[0] - ordinary[0], (new[1] + ordinary[1]) / _POPULATION
        squared = model.spectrum.weights @ (np.square(difference) - noise)
        effects = np.concatenate([np.sqrt(squared), new[2] - ordinary[2]]) / model.units
        return cls(effects, ordinary[3], new[3])

    def novel_share(self, share: float) -> float:
        """Of traffic with a share of new content."""
        return share * (self.new - self.ordinary) / (1 - self.ordinary)


def _population(
    model: ScanModel, rng: np.random.Generator, *, new: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Mean and variance of the features in the spectrum's basis, mean scalars, share beyond the rare percentile."""
    parts: list[Described] = [model.summarizer.describe(topics(4_000, rng, new=new)) for _ in range(_POPULATION // 4_000)]
    features = [(part.features - model.summarizer.mean) @ model.spectrum.basis for part in parts]
    mean = np.mean([part.mean(0, dtype=np.float64) for part in features], axis=0)
    variance = np.mean([part.var(0, dtype=np.float64) for part in features], axis=0)
    scalars = np.mean([part.scalars.mean(0, dtype=np.float64) for part in parts], axis=0)
    return mean, variance, scalars, float(np.mean([(part.novelty >= RARE_BIN / NOVELTY_BINS).mean() for part in parts]))


def intervals(seed: int) -> list[Interval]:
    """All of one reference."""
    rng = np.random.default_rng(seed)
    model = fit_model(topics(ROWS, rng), seed=seed)
    truth = Truth.of(model, rng)
    tolerance = effective_tolerance(MonitorSettings.model_validate({"name": "bench", "embedder": {"input": "none", "dimension": 1}}), model)
    found: list[Interval] = []
    for times in TIMES_TOLERANCE:
        share = times * tolerance / truth.effects[model.spectrum.names.index("mmd")]
        for number in range(STREAMS):
            for at, scan, recent in _stream(model, float(share), BEFORE[number % len(BEFORE)] if times else 0, rng):
                found += _measured(at, times, seed, scan, truth, recent)
    return found


def _stream(model: ScanModel, share: float, before: int, rng: np.random.Generator) -> Iterator[tuple[str, StreamScan, float]]:
    """Moments of one stream, each with the mean share of new content over the most surprising window."""
    scan, alarmed, pane = StreamScan(model, run_length=RUN_LENGTH), False, model.pane
    for start in range(0, LONGEST, 512):
        chance = np.where(np.arange(start, start + 512) >= before, share, 0.0)
        described = model.summarizer.describe(topics(512, rng, new=rng.random(512) < chance))
        for at in range(0, 512, pane):
            evidence = scan.update(model.summarizer.summarize(described, slice(at, at + pane)))
            drifted = min(evidence.samples - before, evidence.scale) / evidence.scale
            if evidence.alarm:
                alarmed = True
                yield "alarm", scan, share * max(drifted, 0.0)
            if evidence.samples in TIMES:
                yield str(evidence.samples), scan, share * max(drifted, 0.0)
        if alarmed and start + 512 >= TIMES[-1]:
            return


def _measured(at: str, times: int, reference: int, scan: StreamScan, truth: Truth, share: float) -> list[Interval]:
    channel = scan.model.channels.index(scan.evidence.channel)
    measure = "norm" if channel < len(scan.model.spectrum.names) else "scalar"
    return [
        Interval(at, times, measure, reference, share * float(truth.effects[channel]), scan.evidence.effect),
        Interval(at, times, "novel share", reference, truth.novel_share(share), scan.novel_share()),
    ]


def coverage(chosen: Sequence[Interval]) -> tuple[float, float, float]:
    """Share that covers, with the 95 % interval of a bootstrap over references: intervals of one share its error."""
    references = sorted({interval.reference for interval in chosen})
    covered = np.array([sum(i.covers for i in chosen if i.reference == r) for r in references])
    count = np.array([sum(i.reference == r for i in chosen) for r in references])
    drawn = np.random.default_rng(0).integers(0, len(references), (4_000, len(references)))
    low, high = np.quantile(covered[drawn].sum(1) / count[drawn].sum(1), [0.025, 0.975])
    return float(covered.sum() / count.sum()), float(low), float(high)


def _figure(name: str, chosen: Sequence[Interval], *, bar: bool) -> Figure:
    share, low, high = coverage(chosen)
    values = np.array([(i.truth, i.found.estimate, i.found.low, i.found.high) for i in chosen])
    truth, middle, bottom, top = values.T
    below, above = (truth < bottom).mean(), (truth > top).mean()
    value = (
        f"{share:.1%} [{low:.1%}, {high:.1%}] of {len(chosen):,}; low bound too high {below:.1%}, high too low {above:.1%}; "
        f"median truth {np.median(truth):.3f}, estimate {np.median(middle):.3f}, width {np.median(top - bottom):.3f}"
    )
    return Figure(name, value, f"not wholly below {BAR:.0%}" if bar else "", high >= BAR if bar else None)


def run(progress: Progress) -> list[Figure]:
    """A line per moment, true effect and kind of effect."""
    found: list[Interval] = []
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        for done, part in enumerate(pool.map(intervals, range(REFERENCES)), 1):
            found += part
            progress(f"{done} of {REFERENCES} references")
    return list(chain.from_iterable(_figures(found, at, times) for at in ("alarm", *map(str, TIMES)) for times in TIMES_TOLERANCE))


def _figures(found: Sequence[Interval], at: str, times: int) -> Iterator[Figure]:
    here = [interval for interval in found if interval.at == at and interval.times == times]
    moment = "at the alarm" if at == "alarm" else f"after {at} samples"
    for title, measures in {"effect": ("norm", "scalar"), "… by a norm": ("norm",), "… by a scalar": ("scalar",)}.items():
        chosen = [interval for interval in here if interval.measure in measures]
        if chosen:
            yield _figure(f"{title} {times} × tolerance, {moment}", chosen, bar=title == "effect" or len(chosen) >= 200)
    yield _figure(f"novel share {times} × tolerance, {moment}", [i for i in here if i.measure == "novel share"], bar=True)
