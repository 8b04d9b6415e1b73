"""What an alarm shows, held against what was planted: a new topic, a domain that gives way to another, a drift of one segment alone.

Streams go through the service's own folding and decisions, their kept samples through its explanation: at the alarm, and when an open
alarm is told again for the first time, its window being four times as long or of 1,000 samples. Nothing is labelled, so that names come
from the samples alone. Bars are for the later one and all sets together, while a set's own must not lie wholly below: the first windows
hold some dozen samples of a new topic. When the change began is held to its bar at both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from benchmarks.grid.perturbations import encoded
from benchmarks.grid.worlds import HWU_HELD_OUT
from benchmarks.public_sets import CLINC_HELD_OUT, FASHION_HELD_OUT, column, embedded, garments, public_sets, requests
from benchmarks.trials import Estimate, spread
from detectors.model import fit_model
from detectors.summarizer import Extras
from service.explaining.alarms import Recent, explain, is_due
from service.folding import Folder, PaneRules
from service.quality import LOOK, learn, surface
from service.records import Alarm, ClusterChange, Family, Pane, Partition, Payload, Pooled
from service.reference import Reference
from service.reference_rows import ReferenceRows
from service.settings import MonitorSettings
from service.streams import MonitorStreams

SEEDS = range(20, 30)
"""Of the references; the explanation was developed on seeds 0 to 3."""
STREAMS = 2
"""Of each plant, for each reference."""
REFERENCE, EARLIEST, LATEST, AFTER = 4_000, 128, 1_200, 1_800
"""Rows of the reference; samples before the change, at random, and after it."""
NEW, WITHIN = 0.2, 0.5
"""Share of a new topic in the traffic; in the one segment that drifts."""
LEAST_SHARE = 0.08
"""Of the traffic, which a domain has that grows or shrinks."""
TAGS: Mapping[str, Mapping[str, float]] = {
    "product": {"basic": 0.5, "plus": 0.3, "trial": 0.2},
    "locale": {"en": 0.6, "de": 0.25, "fr": 0.15},
}
PLANTS = ("new topic", "mix shift", "segment")
MOMENTS = ("at the alarm", "told again")
EXEMPLARS_BAR, TOPIC_BAR, SEGMENT_BAR, ONSET_BAR = 8.0, 0.90, 0.95, 0.85

_PARTITION, _RATE = Partition("bench", "1"), 10.0


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """One set: payloads (n,), embeddings (n, d), topics (n,), and those held out of ordinary traffic."""

    payloads: Sequence[Payload]
    embedding: NDArray[np.float32]
    topic: NDArray[np.str_]
    held_out: tuple[str, ...]


class Shown(NamedTuple):
    """What one alarm showed at one moment: 1 or 0, or how many of ten; NaN for what its plant has no bar for."""

    world: str
    plant: str
    moment: str
    seed: int
    exemplars: float
    first: float
    grown: float
    shrunk: float
    segment: float
    covered: float
    width: float
    """Of the interval of the change's beginning, in samples."""


def run(progress: Progress) -> Sequence[Figure]:
    """All sets."""
    for name in WORLDS:
        world(name)  # embeds, before several processes would
    jobs = [(name, seed) for name in WORLDS for seed in SEEDS]
    found = list(chain.from_iterable(spread(against, jobs, progress, unit="references")))
    return list(_figures(found))


def against(job: tuple[str, int]) -> list[Shown]:
    """Every plant's streams against a fresh reference; a job is a set and the reference's seed."""
    name, seed = job
    known, rng = world(name), np.random.default_rng(seed)
    ordinary = rng.permutation(np.flatnonzero(~np.isin(known.topic, known.held_out)))
    reference, traffic = _reference(known, ordinary[:REFERENCE], rng, seed), ordinary[REFERENCE:]
    found = list[Shown]()
    for number in range(STREAMS):
        for plant in PLANTS:
            stream = _planted(known, plant, traffic, number, rng)
            for moment, alarm in zip(MOMENTS, _alarms(known, reference, stream), strict=False):
                found.append(_shown((name, plant, moment, seed), alarm, stream, known))
    return found


# --- what is planted ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Rows of a set in order with their tags; from `change` on the plant is among them."""

    rows: NDArray[np.int64]
    tags: Sequence[Mapping[str, str]]
    change: int
    grown: str
    shrunk: str = ""
    segment: str = ""


def _tags(n: int, rng: np.random.Generator) -> list[dict[str, str]]:
    drawn = {tag: rng.choice(list(values), n, p=list(values.values())) for tag, values in TAGS.items()}
    return [{tag: str(values[i]) for tag, values in drawn.items()} for i in range(n)]


def _planted(known: World, plant: str, traffic: NDArray[np.int64], number: int, rng: np.random.Generator) -> Stream:
    change = int(rng.integers(EARLIEST, LATEST))
    rows, tags = rng.permutation(traffic)[: change + AFTER], _tags(change + AFTER, rng)
    after = np.arange(len(rows)) >= change
    if plant == "mix shift":
        return _mixed(known, rows, tags, change, rng)
    grown = known.held_out[number % len(known.held_out)]
    segment = "product=trial" if number % 2 else "locale=de"
    tag, value = segment.split("=")
    inside = np.array([own[tag] == value for own in tags]) if plant == "segment" else np.ones(len(rows), np.bool_)
    at = np.flatnonzero(after & inside & (rng.random(len(rows)) < (WITHIN if plant == "segment" else NEW)))
    new = rng.permutation(np.flatnonzero(known.topic == grown))[: len(at)]
    rows = rows.copy()
    rows[at[: len(new)]] = new
    end = at[len(new)] if len(new) < len(at) else len(rows)
    return Stream(rows[:end], tags[:end], change, grown, segment=segment if plant == "segment" else "")


def _mixed(known: World, rows: NDArray[np.int64], tags: Sequence[Mapping[str, str]], change: int, rng: np.random.Generator) -> Stream:
    """One domain gives way to another."""
    names, counts = np.unique(known.topic[rows], return_counts=True)
    grown, shrunk = rng.choice(names[counts >= LEAST_SHARE * len(rows)], 2, replace=False)
    gone = change + np.flatnonzero(known.topic[rows[change:]] == shrunk)
    more = rng.permutation(np.setdiff1d(np.flatnonzero(known.topic == grown), rows))[: len(gone)]
    rows = rows.copy()
    rows[gone[: len(more)]] = more
    end = gone[len(more)] if len(more) < len(gone) else len(rows)
    return Stream(rows[:end], tags[:end], change, str(grown), str(shrunk))


# --- the service --------------------------------------------------------------------------------------------------------


def _reference(known: World, rows: NDArray[np.int64], rng: np.random.Generator, seed: int) -> Reference:
    """As the service learns one, but that the quality of images is left out: to decode every stream's takes longer than all else."""
    payloads = [known.payloads[row] for row in rows]
    texts = tuple(payload if isinstance(payload, str) else "" for payload in payloads)
    gauge, quality = learn([text[:LOOK] for text in texts], surface(payloads)) if all(texts) else (None, None)
    kept = ReferenceRows(
        ids=tuple(map(str, rows)),
        texts=texts,
        labels=(None,) * len(rows),
        segments=tuple(_tags(len(rows), rng)),
        confidence=np.full(len(rows), np.nan, np.float32),
        embeddings=known.embedding[rows],
        quality=quality,
        gauge=gauge,
    )
    extras = Extras(quality={} if gauge is None or quality is None else dict(zip(gauge.names, quality.T, strict=True)))
    model = fit_model(kept.embeddings, seed=seed, pane=_settings().detection.pane_samples, extras=extras)
    clusters = model.summarizer.describe(kept.embeddings).cluster
    return Reference("bench", 1, {"fingerprint": "", "classes": ()}, model, kept, clusters, {tag: tuple(of) for tag, of in TAGS.items()})


@cache
def _settings() -> MonitorSettings:
    return MonitorSettings.model_validate(
        {
            "name": "bench",
            "embedder": {"input": "none", "dimension": 1},
            "segments": {"tags": list(TAGS)},
            "detection": {"run_length": 10_000, "accept_supported": True},
        }
    )


def _alarms(known: World, reference: Reference, stream: Stream) -> Iterator[Alarm]:
    """The first alarm on the inputs after the change, explained when it opens and when it is first told again."""
    streams, pool = MonitorStreams(_settings(), reference), _pool(known, reference, stream)
    opened: Alarm | None = None
    for pane in _panes(reference, pool):
        outcome = streams.apply(pane)
        if opened is None:
            before = any(pane.last_offset < stream.change for alarm in outcome.opened)
            opened = next((a for a in outcome.alarms if a.id in outcome.opened and a.family is Family.INPUT), None)
            if before:
                return  # a false alarm: its window is not of the plant
            due = opened is not None
        else:
            due = pane.key.segment == opened.segment and is_due(opened, streams.samples_since(opened), pane.summary.count)
        if opened is not None and due:
            yield explain(opened, streams.streams[opened.segment], pane, Recent(pool[: pane.last_offset + 1]), reference)


def _pool(known: World, reference: Reference, stream: Stream) -> list[Pooled]:
    """Every sample, one tenth of a second apart; its offset is its place."""
    novelty = reference.summarizer.describe(known.embedding[stream.rows]).novelty.tolist()
    return [
        Pooled(
            "bench", str(row), at / _RATE, _PARTITION, at, known.payloads[row], tags, None, None,
            known.embedding[row].astype(np.float16), new, reference.version,
        )
        for at, (row, tags, new) in enumerate(zip(stream.rows.tolist(), stream.tags, novelty, strict=True))
    ]  # fmt: skip


def _panes(reference: Reference, pool: Sequence[Pooled]) -> Iterator[Pane]:
    """As a worker folds them, numbered in the order in which they close."""
    detection, gauge = _settings().detection, reference.gauge
    named = {tag: {value: f"{tag}={value}" for value in values} for tag, values in TAGS.items()}
    rules = PaneRules("bench", 1, reference.summarizer, detection.pane_samples, 1e9, named, gauge)
    folder = Folder(_PARTITION, time=0.0)
    for row in pool:
        folder.advance(row.offset, row.time)
        folder.add(rules, row.segments, row.offset)
        folder.settle()
    quality = None if gauge is None else gauge.measure([row.payload for row in pool if row.payload is not None])
    described = reference.summarizer.describe(np.stack([row.embedding for row in pool]).astype(np.float32), quality=quality)
    closed, _ = folder.collect({"bench": described})
    for number, pane in enumerate(sorted(closed, key=lambda each: each.last_offset), 1):
        yield Pane(pane.key, pane.last_offset, pane.first_time, pane.last_time, pane.summary, number)


# --- what is counted ----------------------------------------------------------------------------------------------------


def _shown(about: tuple[str, str, str, int], alarm: Alarm, stream: Stream, known: World) -> Shown:
    def share(change: ClusterChange | None, topic: str) -> float:
        """Whether most of what is shown of a group is the topic's."""
        shown = [] if change is None else [known.topic[int(exemplar.id)] == topic for exemplar in change.exemplars]
        return float(2 * sum(shown) > len(shown))

    gained = [change for change in alarm.clusters if change.window_share > change.reference_share]
    lost = [change for change in alarm.clusters if change.window_share < change.reference_share]
    new, mixed, split = (about[1] == plant for plant in PLANTS)
    count = sum(known.topic[int(exemplar.id)] == stream.grown for exemplar in alarm.exemplars)
    onset, first = alarm.onset, next(iter(alarm.contributions), None)
    times = (0.0, 0.0) if onset is None else (onset.earliest * _RATE, onset.latest * _RATE)
    return Shown(
        *about,
        exemplars=10 * count / max(len(alarm.exemplars), 1) if new else np.nan,
        first=share(next(iter(alarm.clusters), None), stream.grown) if new else np.nan,
        grown=share(next(iter(gained), None), stream.grown) if mixed else np.nan,
        shrunk=share(next(iter(lost), None), stream.shrunk) if mixed else np.nan,
        segment=float(first is not None and first.segment == stream.segment) if split else np.nan,
        covered=float(onset is not None and times[0] - 0.5 <= stream.change <= times[1] + 0.5),
        width=times[1] - times[0] if onset is not None else np.nan,
    )


def _figures(found: Sequence[Shown]) -> Iterator[Figure]:
    wanted = {
        "exemplars": ("new topic: of ten exemplars", EXEMPLARS_BAR),
        "first": ("new topic: its group first", TOPIC_BAR),
        "grown": ("mix shift: the grown domain first", TOPIC_BAR),
        "shrunk": ("mix shift: the shrunk domain first", TOPIC_BAR),
        "segment": ("segment alone: ranked first", SEGMENT_BAR),
    }
    for moment in MOMENTS:
        for name, (title, bar) in wanted.items():
            for world in (*WORLDS, ""):
                value = _mean([each for each in found if each.moment == moment and world in ("", each.world)], name)
                limit, holds = "", None
                if moment == MOMENTS[1]:
                    least = f"{bar:g}" if name == "exemplars" else f"{bar:.0%}"
                    limit = f"not wholly below {least}" if world else f"≥ {least}"
                    holds = (value.high if world else value.value) >= bar
                yield Figure(f"{title}, {moment}, {world or 'all'}", _said(value, name), limit, holds)
        for plant in (*PLANTS, ""):
            for world in (*WORLDS, ""):
                mine = [each for each in found if each.moment == moment and plant in ("", each.plant) and world in ("", each.world)]
                value, width = _mean(mine, "covered"), float(np.nanmedian([each.width for each in mine]))
                said = f"{_said(value, 'covered')} of {len(mine)}, median width {width:.0f} samples"
                yield Figure(
                    f"beginning covered, {plant or 'all'}, {moment}, {world or 'all'}",
                    said,
                    "not wholly below 85%",
                    value.high >= ONSET_BAR,
                )


def _mean(shown: Sequence[Shown], name: str) -> Estimate:
    """With the interval of a bootstrap over references."""
    known = [(each.seed, each.world, value) for each in shown if np.isfinite(value := getattr(each, name))]
    references = sorted({each[:2] for each in known})
    sums = np.array([[sum(v for *of, v in known if tuple(of) == r), sum(tuple(of) == r for *of, _ in known)] for r in references])
    if not len(sums):
        return Estimate(np.nan, np.nan, np.nan)
    drawn = sums[np.random.default_rng(0).integers(0, len(sums), (4_000, len(sums)))].sum(1)
    return Estimate.of(float(sums[:, 0].sum() / sums[:, 1].sum()), drawn[:, 0] / drawn[:, 1])


def _said(value: Estimate, name: str) -> str:
    if name == "exemplars":
        return f"{value.value:.1f} [{value.low:.1f}, {value.high:.1f}]"
    return f"{value.value:.0%} [{value.low:.0%}, {value.high:.0%}]"


# --- sets ---------------------------------------------------------------------------------------------------------------


def _silent(_: str) -> None:
    pass


def _clinc150() -> World:
    found = requests()
    embedding = embedded("clinc150", found.embedder, found.texts.tolist, _silent).load()[0]
    return World(found.texts.tolist(), embedding, found.domains.astype(str), CLINC_HELD_OUT)


def _hwu64() -> World:
    path = public_sets() / "text/hwu64.parquet"
    texts, topics = (column(path, name) for name in ("text", "domain"))
    embedding = embedded("hwu64", requests().embedder, lambda: texts, _silent).load()[0]
    return World(texts, embedding, np.array(topics, np.str_), HWU_HELD_OUT)


def _fashion_mnist() -> World:
    found = garments()
    images = [encoded(image) for image in found.images]
    return World(images, embedded("fashion_mnist", found.embedder, lambda: images, _silent).load()[0], found.names, FASHION_HELD_OUT)


WORLDS = {"clinc150": _clinc150, "hwu64": _hwu64, "fashion_mnist": _fashion_mnist}


@cache
def world(name: str) -> World:
    """One of them, read once."""
    return WORLDS[name]()
