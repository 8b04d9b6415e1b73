"""What a set of samples covers of traffic, and how far from it a single sample lies.

Traffic is told by local density: a row is covered where the set is not much thinner than traffic is, or where it is thin but spread
over the same ground. One sample has no density of its own; it is told by how far its nearest rows are.

>>> rng = np.random.default_rng(0)
>>> topics = rng.standard_normal((4, 8)) * 3
>>> draw = lambda which, n: (topics[rng.integers(0, which, n)] + rng.standard_normal((n, 8))).astype(np.float32)
>>> test_set, traffic = draw(3, 400), draw(4, 1000)  # the fourth topic is new: a quarter of the traffic
>>> found = coverage(traffic, test_set, rng=rng)
>>> round(found.share.estimate, 2), found.share.low < 0.75 < found.share.high
(0.76, True)
>>> clumps(traffic, found)[0].size > 200  # and it is one clump
True
>>> out_of_coverage(topics[[0, 3]].astype(np.float32), test_set, rng=rng).round(1).tolist()
[0.0, 1.0]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from detectors.bounds import proportion_interval
from detectors.clustering import squared_distances
from detectors.evenly import evenly
from detectors.neighbours import Neighbours, nearest_rows
from detectors.ranks import Percentiles

LEAST_ROWS = 30
"""Distinct rows on either side below which nothing is said: a neighbourhood would be a third of all there is."""

THIN = 0.2
"""A set covers a place where it is at least so dense as traffic is, both as shares."""

APART = 0.6
"""Mean percentile from which traffic lies beside the rows of a set, not among them: about 0.4 where both are of one law."""

_WITNESSES, _LEAST_AROUND, _MOST_TIMES = 2, 10, 5
"""Rows of the set that must be near; rows of the traffic that a neighbourhood holds at least; how many times as many rows of the set
as of the traffic are looked at: more tell hardly more."""

_BESIDE, _MOST_BESIDE = 3, 3_000
"""Nearest rows that tell how far apart a set's rows lie; rows of the set, drawn at random, that are asked for it."""

_STRETCHES, _RESAMPLES, _Z = 50, 400, 1.96
_TAILS = (0.985, 0.015)
"""Of the resampled shares: by simulation intervals between these hold the true share in 95 of 100 runs; rows near a limit move together."""
_MEAN_OF, _MOST_OWN, _LEAST_OWN = 5, 1_000, 20
_JOINED = 5
"""Nearest rows, on both sides, that join a clump."""
_CLUMP_APART = 0.47
"""Mean of a clump's `apart` from which it is a gap, though each of its rows might be covered: a mean over many rows is surer."""
_COPY = 1e-3
"""Distance, over the set's own spread, below which two rows are one twice."""
_BLOCK = 1_000


class Share(NamedTuple):
    """A share of rows, 0 to 1, with its 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """How a set covers n rows of traffic."""

    mass: NDArray[np.float64]
    """(n,) share of the other traffic that lies nearer to a row than the set does."""
    limit: float
    """Mass from which the set is thin at a row: content rarer than this share of the traffic can't be seen to lack."""
    apart: NDArray[np.float64]
    """(n,) mean percentile of the traffic around a row, by its distance to the set among the distances within the set."""
    share: Share
    """Of the rows that are covered."""

    @property
    def covered(self) -> NDArray[np.bool_]:
        """(n,)"""
        return (self.mass < self.limit) | (self.apart < APART)

    @property
    def thin(self) -> NDArray[np.bool_]:
        """(n,) rows that are covered, by less than a fifth of what a draw of the traffic would have there."""
        return self.covered & (self.mass >= self.limit)

    @property
    def density(self) -> NDArray[np.float64]:
        """(n,) the set's density at each row over the traffic's, told by the rows nearest; below `THIN` thin or not covered."""
        return THIN * self.limit / np.maximum(self.mass, self.limit / 100)

    @property
    def scant(self) -> NDArray[np.float64]:
        """(n,) 0 where the set is dense enough, towards 1 the less it has; of rows that are covered although it is thin there as well."""
        return 1 - self.limit / np.maximum(self.mass, self.limit)

    @property
    def lacking(self) -> NDArray[np.float64]:
        """(n,) 0 for covered rows, towards 1 the less the set has there."""
        return np.where(self.covered, 0.0, self.scant)


def coverage(
    rows: NDArray[np.float32],
    by: NDArray[np.float32],
    *,
    rng: np.random.Generator,
    in_order: bool = False,
) -> Coverage:
    """What a set covers of traffic: (n, d) rows and the set's (m, d).

    A row x is *covered* if the set is not thin there: less than a share β of the traffic is nearer to x than the set's j-th nearest row,

        mass(x) = P(‖X - x‖ < d_j(x)) < β,   β = j / (0.2 m),

    which is to say that around x, where β of the traffic is, the set has at least a fifth of the rows that it would have were it a
    draw of the traffic: j of j / 0.2. j is 2, more for a set that is larger than the sample of traffic. So the set is held against
    the traffic's own density; against one radius for all places, a topic left out that lies close to others passes for covered
    (of HWU64's intents, 0 and 17 of 100 found first instead of 83 and 92: docs/coverage.md).

    Sets are often drawn class by class, so that a busy topic is thin in them but not left out. So x is covered as well if traffic around
    it lies *among* the set's rows: with r(x) the mean distance of x to its three nearest rows y of the set, over the mean of theirs
    to their own, and F the set's own rows' r,

        mean of F(r(X)) over the β of the traffic nearest to x < 0.6.

    Rows of one law have ranks about even, whatever the numbers on both sides; those of a topic left out lie farther from the rows
    beside them than these from each other.

    Parameters
    ----------
    rows : a sample of the traffic; its copies count in the shares, but make no place denser.
    in_order : rows stand in order of time, so that neighbours in it may be one session: a row's mass is told by rows outside its own
        fiftieth of the timeline, and the interval resamples fiftieths.

    Returns
    -------
    Coverage. Its share is that of the rows; the interval is about traffic without end that the rows are a sample of, and about this
    set as it is. It is the pivot, on the arcsine's scale, of a bootstrap over stretches of rows, which draws the traffic that masses
    are told by anew as well, and at least as wide as Wilson's. Costs O(n (n + m) d) in matrix products; memory O(n).

    References
    ----------
    Loftsgaarden and Quesenberry, "A nonparametric estimate of a multivariate density function", AMS 1965 (densities by nearest rows).
    Breunig, Kriegel, Ng and Sander, "LOF: identifying density-based local outliers", SIGMOD 2000 (distances over the neighbours' own).
    Davison and Hinkley, "Bootstrap Methods and their Application", 1997, ch. 5 (the pivot).
    """
    first, held = first_of_copies(rows), by[first_of_copies(by)]
    n = int(first.sum())
    if len(held) > _MOST_TIMES * n:
        held = held[np.sort(rng.choice(len(held), _MOST_TIMES * n, replace=False))]
    if min(n, len(held)) < LEAST_ROWS:
        raise ValueError(f"{n} different rows and {len(held)} to cover them: both must be at least {LEAST_ROWS}; add more")
    witnesses = max(_WITNESSES, int(np.ceil(_LEAST_AROUND * THIN * len(held) / n)))
    limit = witnesses / (THIN * len(held))
    stretch = _stretches(len(rows), in_order, rng)
    nearer, there = _nearer(rows, nearest_rows(rows, held, witnesses).distance[:, -1], stretch, first)
    mass = nearer.sum(1) / there.sum(1)[stretch]
    around = _around(rows, stretch, first, int(np.ceil(limit * n)))
    apart = _apart(rows, held, rng)[around].mean(1, dtype=np.float64)
    return Coverage(mass, limit, apart, _share(apart < APART, nearer, there, stretch, limit, rng))


def clumps(rows: NDArray[np.float32], cover: Coverage) -> Sequence[NDArray[np.int64]]:
    """Rows where the set is thin, put together where they are neighbours among all (n, d) rows; what is most surely left out first.

    Two rows are joined if each is among the five nearest of the other, so that what lies between and is covered well joins nothing.
    A clump ranks by how much the set lacks there and how far apart its rows lie from the set's, which a clump tells better than a row:
    Σ scant · mean apart. Of a clump that lies among the set's rows only what is not covered is given, if anything.
    """
    at = np.flatnonzero(cover.scant > 0)
    if len(at) < 2 or len(rows) < 2:
        return [at] if (~cover.covered[at]).any() else []
    k = min(_JOINED, len(rows) - 1)
    near = nearest_rows(rows, rows, k, same=True).row[at]
    links = csr_array((np.ones(near.size), (np.repeat(at, k), near.ravel())), shape=(len(rows), len(rows)))[:, at][at]
    which = connected_components(links.minimum(links.T), directed=False)[1]
    open_to = ~cover.covered[at]
    apart = np.bincount(which, cover.apart[at]) / np.bincount(which)
    whole = (apart >= _CLUMP_APART)[which] | open_to
    weights = np.bincount(which, cover.scant[at]) * apart
    order = [clump for clump in np.argsort(-weights, kind="stable") if whole[which == clump].any()]
    return [at[(which == clump) & whole] for clump in order]


# --- one sample ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """How far from a set its own rows lie: what the remoteness of others is ranked among."""

    rows: NDArray[np.float32]
    """(m, d) that remoteness is measured to."""
    own: Percentiles

    @classmethod
    def of(cls, rows: NDArray[np.float32], *, rng: np.random.Generator, held_out: NDArray[np.bool_] | None = None) -> Self:
        """Of (m, d) rows, by at most 1,000 of them drawn, each against all others.

        held_out : (m,) where neighbours in the rows' order may be one session, those that are measured, and only the others are what
            remoteness is measured to.

        ValueError below 20 different rows.
        """
        asked, among = (rows, rows) if held_out is None else (rows[held_out], rows[~held_out])
        drawn = np.sort(rng.choice(len(asked), min(len(asked), _MOST_OWN), replace=False))
        if min(len(asked), len(among) - 1) < _LEAST_OWN:
            raise ValueError(f"{len(asked)} rows: at least {_LEAST_OWN} that differ are needed to tell how far apart they lie")
        near = nearest_rows(asked[drawn], among, min(2 * _MEAN_OF, len(among)))
        own = _without_copies(near, _COPY * _spread(among))
        if np.isfinite(own).sum() < _LEAST_OWN:
            raise ValueError(f"{len(asked)} rows, nearly all copies of each other: at least {_LEAST_OWN} that differ are needed")
        return cls(among, Percentiles.of(own))

    def percentiles(self, distance: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) remoteness → (n,) share of the set's own rows that are less remote, 0 to nearly 1."""
        return self.own(distance)

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) → (n,) percentiles."""
        return self.percentiles(remoteness(nearest_rows(rows, self.rows, min(_MEAN_OF, len(self.rows)))))


def remoteness(near: Neighbours) -> NDArray[np.float32]:
    """(n,) mean distance to the five nearest rows, or to all where there are fewer."""
    return np.asarray(near.distance[:, :_MEAN_OF].mean(1), np.float32)


def out_of_coverage(
    rows: NDArray[np.float32],
    among: NDArray[np.float32],
    *,
    rng: np.random.Generator,
    held_out: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """The percentile of each of (n, d) rows: the share of a set's own rows that lie nearer to their five nearest others in it.

    Exact: every row of `among` is looked at. Uniform for rows that are like the set's; towards 1 out of its coverage. See `Reach` for
    `held_out`.

    References
    ----------
    Ramaswamy, Rastogi and Shim, "Efficient algorithms for mining outliers from large data sets", SIGMOD 2000 (distances to nearest
    rows); Sun, Ming, Zhu and Li, "Out-of-distribution detection with deep nearest neighbors", ICML 2022 (in embeddings).
    """
    return Reach.of(among, rng=rng, held_out=held_out)(rows)


# --- parts --------------------------------------------------------------------------------------------------------------


def first_of_copies(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n,) the first of each kind of row that is bit for bit the same, at the precision that kept samples have."""
    coarse = np.asarray(rows / max(float(np.abs(rows).max(initial=0.0)), 1e-30), np.float16) + np.float16(0)  # -0 is 0
    seen: set[bytes] = set()
    first = np.zeros(len(rows), np.bool_)
    for i, row in enumerate(coarse):
        content = row.tobytes()
        first[i] = content not in seen
        seen.add(content)
    return first


def _stretches(n: int, in_order: bool, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n,) which of at most fifty equal parts each row is in."""
    parts = np.arange(n) * min(_STRETCHES, n // 3) // n
    return parts if in_order else rng.permutation(parts)


def _nearer(
    rows: NDArray[np.float32], reach: NDArray[np.float32], stretch: NDArray[np.int64], first: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(n, S) how many different rows of each stretch lie within (n,) reach of a row, none of its own; (S, S) how many there are."""
    parts = int(stretch.max()) + 1
    member = np.zeros((len(rows), parts), np.float32)
    member[np.arange(len(rows)), stretch] = first
    centred, squared = rows - rows.mean(0), np.square(reach)[:, None]
    counted = np.empty((len(rows), parts), np.float32)
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        counted[part] = (squared_distances(centred[part], centred) < squared[part]).astype(np.float32) @ member
    counted[np.arange(len(rows)), stretch] = 0.0
    there = np.tile(member.sum(0, dtype=np.float64), (parts, 1))
    np.fill_diagonal(there, 0.0)
    return counted, there


def _around(rows: NDArray[np.float32], stretch: NDArray[np.int64], first: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    """(n, k) the nearest different rows to each, none of its own stretch; fewer where there are not so many."""
    others = np.flatnonzero(first)
    k = min(k, int(len(others) - np.bincount(stretch[others]).max()))
    near = np.empty((len(rows), k), np.int64)
    centred = rows - rows.mean(0)
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        distances = squared_distances(centred[part], centred[others])
        distances[stretch[part, None] == stretch[others]] = np.inf
        near[part] = others[np.argpartition(distances, k - 1, axis=1)[:, :k]]
    return near


def _apart(rows: NDArray[np.float32], held: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """(n,) percentiles of rows' distances to the set's nearest, over theirs to their own, among those of the set."""
    some = held if len(held) <= _MOST_BESIDE else held[np.sort(rng.choice(len(held), _MOST_BESIDE, replace=False))]
    own = nearest_rows(some, some, _BESIDE, same=True)
    spacing = own.distance.mean(1)

    def over_theirs(near: Neighbours) -> NDArray[np.float32]:
        return np.asarray(near.distance.mean(1) / np.maximum(spacing[near.row].mean(1), np.finfo(np.float32).tiny), np.float32)

    return Percentiles.of(over_theirs(own))(over_theirs(nearest_rows(rows, some, _BESIDE)))


def _share(
    among: NDArray[np.bool_],
    nearer: NDArray[np.float32],
    there: NDArray[np.float64],
    stretch: NDArray[np.int64],
    limit: float,
    rng: np.random.Generator,
) -> Share:
    parts = len(there)

    def covered(drawn: NDArray[np.int64]) -> NDArray[np.bool_]:
        mass = (nearer @ drawn.astype(np.float32)) / np.maximum(there @ drawn, 1.0)[stretch]
        return np.asarray((mass < limit) | among[:, None])

    estimate = float(covered(np.ones((parts, 1), np.int64)).mean())
    drawn = rng.multinomial(parts, np.full(parts, 1 / parts), _RESAMPLES).T  # (S, R)
    weights = drawn[stretch]
    resampled = (weights * covered(drawn)).sum(0) / weights.sum(0)
    turned = 2 * np.arcsin(np.sqrt(estimate)) - np.arcsin(np.sqrt(np.quantile(resampled, _TAILS)))
    low, high = np.square(np.sin(np.clip(turned, 0.0, np.pi / 2)))
    wilson = proportion_interval(np.array(estimate), len(among), _Z)
    return Share(estimate, max(0.0, min(float(low), float(wilson[0]))), min(1.0, max(float(high), float(wilson[1]))))


def _without_copies(near: Neighbours, copy: float) -> NDArray[np.float32]:
    """(n,) mean of each row's five nearest that are no copies of it, nor itself; NaN where all are."""
    apart = near.distance > copy
    kept = apart & (np.cumsum(apart, axis=1) <= _MEAN_OF)
    counts = kept.sum(1)
    sums = np.where(kept, near.distance, 0.0).sum(1)
    return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), np.float32)


def _spread(rows: NDArray[np.float32]) -> float:
    """Root mean squared distance from the mean, of rows evenly spread."""
    some = rows[evenly(len(rows), _MOST_OWN)]
    return float(np.sqrt(some.var(0, dtype=np.float64).sum()))
