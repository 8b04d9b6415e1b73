"""The slice finder: a planted bad slice of three per cent of the traffic, and errors that chance deals.

Clusters are those of real embeddings; tags are made up, of few and of many values, unevenly spread, one of them leaning on the cluster as
tags do. A model's real errors differ by cluster, and a finder that says so is right: where nothing may be found, and where something is
planted, its errors are dealt among the rows at its own rate. What it finds in the model's own errors, with the slice planted on top, is
told beside.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from benchmarks.blind_spots.error_streams import Labelled, sets
from benchmarks.figures import Figure, Progress
from benchmarks.trials import spread
from detectors.bounds import proportion_interval
from detectors.clustering import kmeans, nearest
from detectors.slices import Description, members, weak_slices

RUNS, SEED, ROWS = 60, 2_000, 4_000
"""Trials of each set; the seed of the first: none that the finder was developed on; labels that came back."""
CLUSTERS = 48
SHARE, ASIDE = 0.03, 0.005
"""Of the traffic that is planted, give or take."""
WRONG = 0.25
"""More of it is wrong than elsewhere."""
FIRST_BAR, NONE_BAR = 0.8, 0.05

_TAGS: Mapping[str, tuple[int, float]] = {"locale": (8, 1.0), "product": (20, 0.7), "channel": (3, 1.0)}
"""Values, and how steeply their shares fall."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one trial."""

    first: bool
    """Whether the planted slice was named first, by its very description."""
    width: int
    """Columns that it was planted by."""
    none: bool
    """Whether a slice was named where there was none."""
    own: bool
    """Whether the planted slice was named on top of the model's own errors, first or later."""


def run(progress: Progress) -> Sequence[Figure]:
    """SLICES_RUNS trials of each set (60)."""
    runs = int(os.environ.get("SLICES_RUNS", str(RUNS)))
    figures = []
    for name, given in sets(progress).items():
        found = spread(partial(_trial, given), range(SEED, SEED + runs), progress, unit=f"trials of {name}")
        figures += _figures(name, found)
    return figures


def _trial(given: Labelled, seed: int) -> Outcome:
    rng = np.random.default_rng(seed)
    rest, answer = given.answered(rng)
    rest, answer = rest[:ROWS], answer[:ROWS]
    own = answer != given.classes[rest]
    columns = _columns(given.embedding[rest], rng)
    dealt = rng.permutation(own)
    planted = _planted(columns, rng)
    worse = members(columns, planted) & (rng.random(ROWS) < WRONG / (1 - own.mean()))
    on_top = weak_slices(own | worse, columns, rng=rng)
    found = weak_slices(dealt | worse, columns, rng=rng)
    none = weak_slices(dealt, columns, rng=rng)
    named = [set(each.description) for each in on_top]
    return Outcome(bool(found) and set(found[0].description) == set(planted), len(planted), bool(none), set(planted) in named)


def _columns(rows: NDArray[np.float32], rng: np.random.Generator) -> dict[str, NDArray[np.str_]]:
    cluster = nearest(rows, kmeans(rows, CLUSTERS, rng=rng))[1]
    columns = {"cluster": cluster.astype(np.str_)}
    for tag, (values, steep) in _TAGS.items():
        share = np.arange(1.0, values + 1) ** -steep
        drawn = rng.choice(values, ROWS, p=share / share.sum())
        columns[tag] = drawn.astype(np.str_)
    leans = rng.random(ROWS) < 0.5
    columns["product"] = np.where(leans, (cluster % _TAGS["product"][0]).astype(np.str_), columns["product"])
    return columns


def _planted(columns: Mapping[str, NDArray[np.str_]], rng: np.random.Generator) -> Description:
    """A value, or a pair of them, that holds about three per cent: either as likely."""
    single = [((name, str(value)),) for name in columns for value in np.unique(columns[name])]
    pairs = [(a[0], b[0]) for a, b in combinations(single, 2) if a[0][0] != b[0][0]]
    fits = [[each for each in kind if abs(members(columns, each).mean() - SHARE) <= ASIDE] for kind in (single, pairs)]
    kinds: list[list[Description]] = [list(kind) for kind in fits if kind]
    kind = kinds[int(rng.integers(len(kinds)))]
    return kind[int(rng.integers(len(kind)))]


def _figures(name: str, found: Sequence[Outcome]) -> list[Figure]:
    first, none = [each.first for each in found], [each.none for each in found]
    low = _interval(none)[0]
    pairs = [each.first for each in found if each.width > 1]
    return [
        Figure(f"{name}: planted slice named first", _shown(first), f"≥ {FIRST_BAR:.0%}", float(np.mean(first)) >= FIRST_BAR),
        Figure(f"{name}: of these, pairs", _shown(pairs)),
        Figure(f"{name}: a slice named where there is none", _shown(none), f"≤ {NONE_BAR:.0%}, interval not wholly above", low <= NONE_BAR),
        Figure(f"{name}: planted slice named on top of the model's own errors", _shown([each.own for each in found])),
    ]


def _interval(found: Sequence[bool]) -> tuple[float, float]:
    low, high = proportion_interval(np.array(np.mean(found)), len(found), 1.96)
    return float(low), float(high)


def _shown(found: Sequence[bool]) -> str:
    low, high = _interval(found)
    return f"{np.mean(found):.0%} [{low:.0%}, {high:.0%}] of {len(found)}"
