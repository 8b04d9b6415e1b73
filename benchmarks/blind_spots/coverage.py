"""What sets cover of traffic: a class left out, found first; the freshness interval; a balanced set, which is fresh; text out of scope.

The rule (a fifth of the traffic's density, ten rows of a neighbourhood) was chosen looking at seeds 0 to 11 of all sets and 100 to 139
of CLINC150's intents; what lies among a set's rows (below 0.6) at seeds 0 to 7, 100 to 115 and 1000 to 1011. The seeds measured
are others, and Wikipedia against HWU64 was never looked at before.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.figures import Figure, Progress
from benchmarks.grid.perturbations import encoded
from benchmarks.intervals import TOPICS, topics
from benchmarks.public_sets import column, embedded, garments, public_sets, requests
from benchmarks.trials import RESAMPLES, Estimate, spread
from detectors.clustering import kmeans, nearest
from detectors.coverage import Reach, Share, clumps, coverage, out_of_coverage
from detectors.neighbours import nearest_rows
from detectors.summarizer import Summarizer
from service.report.gaps import ACT, WATCH

SEED = 2_000
"""Of the first run: none of those that anything was chosen on."""
RUNS = 40
"""In which a class is left out, of each set and role."""
WORLDS, SAMPLES = 12, 16
"""Test sets whose true freshness is known, and samples of traffic that tell it, of each set."""
TRAFFIC, TEST, TRAINING = 5_000, 3_000, 10_000
FIRST_BAR, INTERVAL_BAR, BALANCED_BAR, EXACT_BAR, PROTOTYPE_BAR = 0.9, 0.93, 0.95, 0.96, 0.92

_SAMPLE, _HELD, _POOL = 2_000, 1_500, 10_000
_NEW = 0.1
_SESSION = 6
_EACH, _FEW = 20, 30
"""Rows of each class in a balanced test set; classes up to which Zipf's law is taken squared."""
_ONE_RADIUS, _PER_REGION = 0.95, 25
"""Of a set's own rows, within the radius that a plainer rule takes for all places; rows of the regions that it ranks."""

Rows: TypeAlias = NDArray[np.float32]
Classes: TypeAlias = NDArray[np.object_]


def run(progress: Progress) -> Sequence[Figure]:
    """COVERAGE_RUNS makes it smaller (1; 0.25 runs a quarter)."""
    scale = float(os.environ.get("COVERAGE_RUNS", "1"))
    for name in SETS:
        loaded(name, progress)  # embeds, before several processes would
    seeds = range(SEED, SEED + max(int(RUNS * scale), 10))
    held = range(SEED, SEED + max(int(WORLDS * scale), 10))
    return [*_first(seeds, progress), *_freshness(held, progress), *_balanced(held, progress), *_outside(held, progress)]


# --- a class left out ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """Whether the class left out was the first clump: by the rule, and by one radius for all places."""

    share: float
    """Of the traffic that is of the class."""
    first: bool
    plain: bool


def _first(seeds: range, progress: Progress) -> list[Figure]:
    figures = []
    for name, left_of in ((name, left_of) for name in SETS for left_of in SIZES):
        found = spread(partial(left_out, name, left_of), seeds, progress, unit=f"{name}, {left_of} set")
        rate, plain = (_resampled([each.first for each in found]), float(np.mean([each.plain for each in found])))
        value = f"{_interval(rate)} of {len(found)} (one radius for all places: {plain:.0%}); {_share(found)} of the traffic"
        holds = rate.value >= FIRST_BAR
        figures.append(Figure(f"class left out of the {left_of} set found first, {name}", value, f"≥ {FIRST_BAR:.0%}", holds))
    return figures


def left_out(name: str, left_of: str, seed: int) -> Found:
    """One class at random, left out of a set beside traffic that has it."""
    rows, classes = loaded(name)
    rng = np.random.default_rng(seed)
    order, left = rng.permutation(len(rows)), rng.choice(np.unique(classes.astype(str)))
    traffic = order[: min(TRAFFIC, len(rows) * 4 // 11)]
    rest = order[len(traffic) :]
    held = rest[classes[rest] != left][: SIZES[left_of]]
    is_left = classes[traffic] == left
    found = coverage(rows[traffic], rows[held], rng=rng)
    first = clumps(rows[traffic], found)
    remote = Reach.of(rows[held], rng=rng)(rows[traffic]) > _ONE_RADIUS
    plain = np.flatnonzero(remote & (_worst_region(rows[traffic], remote, rng)))
    return Found(float(is_left.mean()), bool(first) and _mostly(is_left[first[0]]), _mostly(is_left[plain]))


def _worst_region(rows: Rows, remote: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """(n,) rows of the region of traffic that has most rows beyond the radius, over the one in twenty that any has."""
    at = nearest(rows, kmeans(rows, len(rows) // _PER_REGION, rng=rng))[1]
    excess = np.bincount(at[remote], minlength=at.max() + 1) - (1 - _ONE_RADIUS) * np.bincount(at)
    return np.asarray(at == excess.argmax())


def _mostly(is_left: NDArray[np.bool_]) -> bool:
    return len(is_left) > 0 and bool(is_left.mean() > 0.5)


# --- freshness ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What samples of the traffic said of one test set."""

    truth: float
    """What the rule says of a traffic five times as large: it proves the interval, not what is called covered."""
    by_class: float
    """Share of the traffic that is of classes that the test set has."""
    shares: tuple[Share, ...]

    @property
    def covers(self) -> list[bool]:
        """Whether each interval holds the truth."""
        return [low <= self.truth <= high for _, low, high in self.shares]

    @property
    def covers_by_class(self) -> list[bool]:
        """Whether each interval holds what a reader may take for the truth."""
        return [low <= self.by_class <= high for _, low, high in self.shares]


def _freshness(seeds: range, progress: Progress) -> list[Figure]:
    cases: Mapping[str, Callable[[int], Told]] = {
        **{name: partial(told, name) for name in SETS},
        "known law": partial(told_by_law, sessions=False),
        "known law, in sessions": partial(told_by_law, sessions=True),
    }
    figures, every = [], list[Told]()
    for name, case in cases.items():
        found = spread(case, seeds, progress, unit=f"test sets, {name}")
        every += found
        figures.append(_covering(f"freshness interval, {name}", found))
        by_class = _clustered([each.covers_by_class for each in found])
        bar, holds = (f"≥ {INTERVAL_BAR:.0%}", by_class.value >= INTERVAL_BAR) if name in APART else ("", None)
        figures.append(Figure(f"freshness interval holds the share by class, {name}", _interval(by_class), bar, holds))
    return [*figures, _covering("freshness interval, all", every)]


def _covering(name: str, found: Sequence[Told]) -> Figure:
    rate = _clustered([each.covers for each in found])
    shares = np.array(list(chain.from_iterable(each.shares for each in found)))
    width, truth, by_class = (shares[:, 2] - shares[:, 1]).mean(), np.mean([t.truth for t in found]), np.mean([t.by_class for t in found])
    value = (
        f"{_interval(rate)} of {len(shares)}; width {width:.1%}, truth {truth:.1%}, told {shares[:, 0].mean():.1%}, by class {by_class:.1%}"
    )
    return Figure(name, value, f"≥ {INTERVAL_BAR:.0%}", rate.value >= INTERVAL_BAR)


def told(name: str, seed: int) -> Told:
    """A test set without one class; traffic is drawn with replacement from rows that are all there is, so that the truth is known."""
    rows, classes = loaded(name)
    rng = np.random.default_rng(seed)
    order, left = rng.permutation(len(rows)), rng.choice(np.unique(classes.astype(str)))
    held = order[classes[order] != left][:_HELD]
    pool = np.setdiff1d(order, held)
    pool = rng.permutation(pool)[:_POOL]
    truth = coverage(rows[pool], rows[held], rng=rng).share.estimate
    shares = [coverage(rows[rng.choice(pool, _SAMPLE)], rows[held], rng=rng).share for _ in range(SAMPLES)]
    return Told(truth, float((classes[pool] != left).mean()), tuple(shares))


def told_by_law(seed: int, *, sessions: bool) -> Told:
    """Two dozen topics; a tenth of the traffic is of six that the test set has none of."""
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.full(TOPICS, 2.0))
    held = topics(rng, rng.choice(TOPICS, _HELD, p=law))

    def traffic(n: int, session: int) -> Rows:
        starts = n // session
        new = rng.random(starts) < _NEW
        which = np.where(new, rng.integers(TOPICS, TOPICS + 6, starts), rng.choice(TOPICS, starts, p=law))
        return topics(rng, np.repeat(which, session))

    truth = coverage(traffic(_POOL, 1), held, rng=rng).share.estimate
    session = _SESSION if sessions else 1
    shares = [coverage(traffic(_SAMPLE, session), held, rng=rng, in_order=sessions).share for _ in range(SAMPLES)]
    return Told(truth, 1 - _NEW, tuple(shares))


# --- a set of all classes ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Balanced:
    """What is said of a test set that has so many rows of each class, under traffic of Zipf's law over the classes."""

    share: Share
    by_density: float
    """What density alone would say is covered."""

    @property
    def standing(self) -> str:
        """As the report's section says it."""
        lacking = 1 - self.share.high
        return "act" if lacking >= ACT else "watch" if lacking >= WATCH else "fine"


def _balanced(seeds: range, progress: Progress) -> list[Figure]:
    cases: Mapping[str, Callable[[int], Balanced]] = {
        **{name: partial(balanced, name) for name in ("CLINC150 intents", "HWU64 intents", "Fashion-MNIST")},
        "known law": balanced_by_law,
    }
    figures = []
    for name, case in cases.items():
        found = spread(case, seeds, progress, unit=f"balanced test sets, {name}")
        told, stands = _resampled([each.share.estimate for each in found]), Counter(each.standing for each in found)
        standings = ", ".join(f"{which} {stands[which]}" for which in ("fine", "watch", "act"))
        value = f"{_interval(told)} told ({np.mean([each.by_density for each in found]):.1%} by density alone); {standings} of {len(found)}"
        holds = told.value >= BALANCED_BAR and stands["act"] <= (1 - BALANCED_BAR) * len(found)
        figures.append(Figure(f"complete balanced test set, Zipf traffic, {name}", value, f"≥ {BALANCED_BAR:.0%}, never act", holds))
    return figures


def balanced(name: str, seed: int) -> Balanced:
    """Of public rows, each once."""
    rows, classes = loaded(name)
    rng = np.random.default_rng(seed)
    names, counts = np.unique(classes.astype(str), return_counts=True)
    names = rng.permutation(names[counts >= 5 * _EACH])
    law = _zipf(len(names))
    places = [rng.permutation(np.flatnonzero(classes == each)) for each in names]
    n = min(_SAMPLE, *((np.array([len(each) for each in places]) - _EACH) / law).astype(int))
    sent = rng.multinomial(n, law)
    held = np.concatenate([place[:_EACH] for place in places])
    traffic = np.concatenate([place[_EACH : _EACH + count] for place, count in zip(places, sent, strict=True)])
    return _told(rows[traffic], rows[held], rng)


def balanced_by_law(seed: int) -> Balanced:
    """The same of two dozen topics."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(TOPICS)
    traffic = topics(rng, order[rng.choice(TOPICS, _SAMPLE, p=_zipf(TOPICS))])
    return _told(traffic, topics(rng, np.repeat(order, _EACH)), rng)


def _zipf(classes: int) -> NDArray[np.float64]:
    """Shares by rank; steeper for few, of which the most frequent would else be no more than thrice what it is in a balanced set."""
    shares = np.arange(1, classes + 1) ** -(1.0 if classes > _FEW else 2.0)
    return np.asarray(shares / shares.sum())


def _told(traffic: Rows, held: Rows, rng: np.random.Generator) -> Balanced:
    found = coverage(traffic, held, rng=rng)
    return Balanced(found.share, float((found.mass < found.limit).mean()))


# --- one sample ---------------------------------------------------------------------------------------------------------


def _outside(seeds: range, progress: Progress) -> list[Figure]:
    scope = spread(partial(outside, "CLINC150 domains", "oos"), seeds, progress, unit="references")
    corpus = spread(partial(outside, "HWU64 intents", "wiki"), seeds, progress, unit="references")
    figures = []
    for name, found, bars in (("out of scope, CLINC150", scope, (EXACT_BAR, PROTOTYPE_BAR)), ("Wikipedia, HWU64", corpus, (None, None))):
        exact, prototypes, similar = (_resampled(values) for values in zip(*found, strict=True))
        for way, rate, bar in (("exact", exact, bars[0]), ("by prototypes", prototypes, bars[1]), ("mean similarity of 5", similar, None)):
            limit, holds = ("", None) if bar is None else (f"≥ {bar:.2f}", rate.value >= bar)
            figures.append(Figure(f"AUROC of {name}, {way}", f"{rate.value:.3f} [{rate.low:.3f}, {rate.high:.3f}]", limit, holds))
    return figures


def outside(name: str, other: str, seed: int) -> tuple[float, float, float]:
    """AUROC of the percentile told exactly, of that the worker tells by prototypes, and of the plain similarity to five neighbours."""
    rows, _ = loaded(name)
    strange = alien(other)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    reference, fresh = rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]
    half = len(reference) // 2
    summarizer = Summarizer.fit(reference[:half], reference[half:], rng=rng)
    near = [nearest_rows(part, reference, 5).distance for part in (fresh, strange)]
    return (
        _auroc(*(out_of_coverage(part, reference, rng=np.random.default_rng(seed)) for part in (fresh, strange))),
        _auroc(*(summarizer.describe(part).novelty for part in (fresh, strange))),
        _auroc(*(np.square(distance).mean(1) for distance in near)),
    )


def _auroc(ordinary: Rows, strange: Rows) -> float:
    ranks = rankdata(np.concatenate([ordinary, strange]))[len(ordinary) :]
    return float((ranks.sum() - len(strange) * (len(strange) + 1) / 2) / (len(ordinary) * len(strange)))


# --- what is counted ------------------------------------------------------------------------------------------------------


def _resampled(values: Sequence[float]) -> Estimate:
    """Mean over runs, with a bootstrap's interval."""
    return _clustered([[value] for value in values])


def _clustered(values: Sequence[Sequence[float]]) -> Estimate:
    """Mean over all, with the interval of a bootstrap over the groups."""
    means = np.array([np.mean(group) for group in values])
    drawn = np.random.default_rng(0).integers(0, len(means), (RESAMPLES, len(means)))
    return Estimate.of(float(means.mean()), means[drawn].mean(1))


def _interval(rate: Estimate) -> str:
    return f"{rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}]"


def _share(found: Sequence[Found]) -> str:
    return f"{np.mean([each.share for each in found]):.1%}"


# --- sets ---------------------------------------------------------------------------------------------------------------


@cache
def loaded(name: str, progress: Progress = lambda _: None) -> tuple[Rows, Classes]:
    """Embeddings and classes."""
    return SETS[name](progress)


@cache
def alien(name: str) -> Rows:
    """Texts that no reference has: requests out of scope, or sentences of Wikipedia."""
    path, kind = public_sets() / "text", requests().embedder
    if name == "wiki":
        return embedded("wiki_sents", kind, lambda: column(path / "wiki_sents.parquet", "text")[:3_000], lambda _: None).load()[0]
    texts, domains = (np.array(column(path / "clinc150.parquet", each), object) for each in ("text", "domain"))
    return embedded("clinc150-oos", kind, texts[domains == "oos"].tolist, lambda _: None).load()[0]


def _requests(by: str, progress: Progress) -> tuple[Rows, Classes]:
    found, path = requests(), public_sets() / "text/clinc150.parquet"
    classes, domains = (np.array(column(path, name), object) for name in (by, "domain"))
    return embedded("clinc150", found.embedder, found.texts.tolist, progress).load()[0], classes[domains != "oos"]


def _home(by: str, progress: Progress) -> tuple[Rows, Classes]:
    path = public_sets() / "text/hwu64.parquet"
    rows = embedded("hwu64", requests().embedder, lambda: column(path, "text"), progress).load()[0]
    return rows, np.array(column(path, by), object)


def _garments(progress: Progress) -> tuple[Rows, Classes]:
    found = garments()
    rows = embedded("fashion_mnist", found.embedder, lambda: [encoded(image) for image in found.images], progress).load()[0]
    return rows, found.names.astype(object)


SETS: Mapping[str, Callable[[Progress], tuple[Rows, Classes]]] = {
    "CLINC150 domains": partial(_requests, "domain"),
    "CLINC150 intents": partial(_requests, "label"),
    "HWU64 scenarios": partial(_home, "domain"),
    "HWU64 intents": partial(_home, "label"),
    "Fashion-MNIST": _garments,
}
APART = ("known law", "known law, in sessions")
"""Where classes are well apart, so that a row of a class that the test set lacks is like none that it has."""
SIZES: Mapping[str, int] = {"test": TEST, "training": TRAINING}
