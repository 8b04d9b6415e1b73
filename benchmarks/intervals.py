"""Coverage of effect intervals, at alarms and at fixed times, on streams whose law is known.

A window's true effect follows from a large population sample: drifted content at share s moves every mean by s times as far as
drifted content alone does. An effect is told in the channel where the least that is sure is most, so that its cell is known only then:
alarms are put together by the true effect in the channel that they tell, within half of a multiple of the tolerance. Runs are short,
so that a stream without drift alarms soon.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from benchmarks.trials import spread
from detectors import Effect
from detectors.model import ScanModel, fit_model
from detectors.panes import NOVELTY_BINS, RARE_BIN
from detectors.stream import StreamScan
from detectors.summarizer import Described
from service.reference import effective_tolerance
from service.settings import MonitorSettings

REFERENCES, STREAMS, SESSION_REFERENCES = 16, 96, 6
SEED = 1_000
"""Of the first reference: none of those that the intervals were developed on."""
ROWS, RUN_LENGTH = 4_000, 500.0
TIMES = (128, 512)
LONGEST = 4_096
BEFORE = (0, 0, 0, 128)
"""Samples before the change; streams take turns."""
TIMES_TOLERANCE = (0, 1, 3)
BAND = 0.5
"""Half the width of a cell, as a share of its multiple."""
SESSION = 6
"""Mean length, geometric; a session keeps to one topic."""
BAR = 0.93
LEVEL = 0.95

DIMENSION, TOPICS = 48, 24
DRIFTS = {"new topics": range(TOPICS, TOPICS + 6), "changed mix": range(4)}
"""Topics that drifted samples come from; references take turns."""
_POPULATION = 60_000


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval with what it was meant to hold."""

    at: str
    """'alarm', or a fixed number of samples."""
    times: float
    """True effect in the channel told, over the tolerance."""
    measure: str
    """'norm', 'scalar' or 'novel share'."""
    reference: int
    sessions: bool
    truth: float
    found: Effect

    @property
    def covers(self) -> bool:
        """To the precision that a population sample gives the truth."""
        return self.found.low - 1e-6 <= self.truth <= self.found.high + 1e-6


def topics(rng: np.random.Generator, which: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n, 48) unit rows around the centres of (n,) topics."""
    centres = np.random.default_rng(5).standard_normal((TOPICS + 6, DIMENSION))
    rows = centres[which] + 0.9 * rng.standard_normal((len(which), DIMENSION))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Effects of drifted content alone, from population samples: of each channel (M,), and beyond the rare novelty percentile."""

    effects: NDArray[np.float64]
    ordinary: float
    """Share of ordinary traffic beyond it."""
    new: float

    @classmethod
    def of(cls, model: ScanModel, rng: np.random.Generator, drifted: range) -> Truth:
        """By the model's own features and units."""
        ordinary, new = (_population(model, rng, law) for law in (range(TOPICS), drifted))
        difference, noise = new[0] - ordinary[0], (new[1] + ordinary[1]) / _POPULATION
        squared = model.spectrum.weights @ (np.square(difference) - noise)
        effects = np.concatenate([np.sqrt(squared), np.maximum(new[2] - ordinary[2], 0.0)]) / model.units
        return cls(effects, ordinary[3], new[3])

    def novel_share(self, share: float) -> float:
        """Of traffic with a share of drifted content."""
        return share * max(self.new - self.ordinary, 0.0) / (1 - self.ordinary)


def _population(
    model: ScanModel, rng: np.random.Generator, law: range
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Mean and variance of the features in the spectrum's basis, mean scalars, share beyond the rare percentile."""
    parts: list[Described] = [model.summarizer.describe(topics(rng, rng.choice(law, 4_000))) for _ in range(_POPULATION // 4_000)]
    features = [(part.features - model.summarizer.mean) @ model.spectrum.basis for part in parts]
    mean = np.mean([part.mean(0, dtype=np.float64) for part in features], axis=0)
    variance = np.mean([part.var(0, dtype=np.float64) for part in features], axis=0)
    scalars = np.mean([part.scalars.mean(0, dtype=np.float64) for part in parts], axis=0)
    return mean, variance, scalars, float(np.mean([(part.novelty >= RARE_BIN / NOVELTY_BINS).mean() for part in parts]))


def intervals(number: int) -> list[Interval]:
    """All of one reference; the last ones are of session traffic."""
    seed, sessions = SEED + number, number >= REFERENCES
    rng, drifted = np.random.default_rng(seed), list(DRIFTS.values())[number % len(DRIFTS)]
    ordinary = Traffic(0.0, 0, drifted, sessions)
    model = fit_model(topics(rng, ordinary.draw(rng, 0, ROWS)), seed=seed, order="time" if sessions else "iid")
    truth = Truth.of(model, rng, drifted)
    settings = MonitorSettings.model_validate({"name": "bench", "embedder": {"input": "none", "dimension": 1}})
    bench = Bench(model, truth, seed, effective_tolerance(settings, model))
    found: list[Interval] = []
    for share in bench.shares():
        for stream in range(STREAMS):
            traffic = Traffic(share, BEFORE[stream % len(BEFORE)] if share else 0, drifted, sessions)
            for at, scan, recent in _stream(model, traffic, rng):
                found += bench.measured(at, scan, recent, sessions=sessions)
    return found


@dataclass(frozen=True, slots=True)
class Traffic:
    """From a sample on, a share of the stream is drifted; whole sessions of it where there are sessions."""

    share: float
    before: int
    drifted: range
    sessions: bool

    def draw(self, rng: np.random.Generator, start: int, n: int) -> NDArray[np.int64]:
        """(n,) topics."""
        begins = rng.random(n) < 1 / SESSION if self.sessions else np.ones(n, np.bool_)
        begins[0] = True
        chance = np.where(np.arange(start, start + n) >= self.before, self.share, 0.0)
        each = np.where(rng.random(n) < chance, rng.choice(self.drifted, n), rng.integers(0, TOPICS, n))
        return np.asarray(each[np.maximum.accumulate(np.where(begins, np.arange(n), 0))])

    def within(self, samples: int, window: int) -> float:
        """Mean share over the last samples."""
        return self.share * min(max(samples - self.before, 0), window) / window


def _stream(model: ScanModel, traffic: Traffic, rng: np.random.Generator) -> Iterator[tuple[str, StreamScan, float]]:
    """Moments of one stream, each with the mean share of drifted content over the most surprising window."""
    scan, alarmed, pane = StreamScan(model, run_length=RUN_LENGTH), False, model.pane
    for start in range(0, LONGEST, 512):
        described = model.summarizer.describe(topics(rng, traffic.draw(rng, start, 512)))
        for at in range(0, 512, pane):
            evidence = scan.update(model.summarizer.summarize(described, slice(at, at + pane)))
            alarmed |= evidence.alarm
            moments = ["alarm"] * evidence.alarm + [str(evidence.samples)] * (evidence.samples in TIMES)
            for moment in moments:
                yield moment, scan, traffic.within(evidence.samples, evidence.scale)
        if alarmed and start + 512 >= TIMES[-1]:
            return


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """One reference under test."""

    model: ScanModel
    truth: Truth
    reference: int
    tolerance: float

    def shares(self) -> list[float]:
        """Of drifted content: none, and those that are 1 and 3 times the tolerance in the unwhitened norm and in the strongest channel."""
        effects = (float(self.truth.effects[self.model.spectrum.names.index("mmd")]), float(self.truth.effects.max()))
        return [0.0, *(min(times * self.tolerance / effect, 1.0) for effect in effects for times in TIMES_TOLERANCE[1:])]

    def measured(self, at: str, scan: StreamScan, share: float, *, sessions: bool) -> list[Interval]:
        """What the scan tells now, of a window with a share of drifted content."""
        evidence = scan.evidence
        channel = self.model.channels.index(evidence.effect_channel)
        true = share * float(self.truth.effects[channel])
        measure = "norm" if channel < len(self.model.spectrum.names) else "scalar"
        about = (at, true / self.tolerance)
        return [
            Interval(*about, measure, self.reference, sessions, true, evidence.effect),
            Interval(*about, "novel share", self.reference, sessions, self.truth.novel_share(share), scan.novel_share()),
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
    """A line per traffic, moment, true effect and kind of effect."""
    found = list(chain.from_iterable(spread(intervals, range(REFERENCES + SESSION_REFERENCES), progress, unit="references")))
    cells = [(sessions, at, times) for sessions in (False, True) for at in ("alarm", *map(str, TIMES)) for times in TIMES_TOLERANCE]
    return list(chain.from_iterable(_figures(found, *cell) for cell in cells))


def _figures(found: Sequence[Interval], sessions: bool, at: str, times: int) -> Iterator[Figure]:
    cell = [i for i in found if i.sessions == sessions and i.at == at and abs(i.times - times) <= BAND * times]
    moment = ("at the alarm" if at == "alarm" else f"after {at} samples") + (", sessions" if sessions else "")
    for title, measures in {"effect": ("norm", "scalar"), "… by a norm": ("norm",), "… by a scalar": ("scalar",)}.items():
        chosen = [interval for interval in cell if interval.measure in measures]
        if chosen:
            barred = not sessions and (title == "effect" or len(chosen) >= 200)
            yield _figure(f"{title} {times} × tolerance, {moment}", chosen, bar=barred)
    if novel := [i for i in cell if i.measure == "novel share"]:
        yield _figure(f"novel share {times} × tolerance, {moment}", novel, bar=not sessions)
