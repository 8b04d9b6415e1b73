"""What moved between two sets of rows: groups whose share of the traffic changed, rows that show it, and which part of the traffic
brings it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from detectors.base import Effect
from detectors.bounds import difference_interval, tail_z
from detectors.clustering import squared_distances

Marks = NDArray[np.bool_]

_LEAST = 3.0
"""Nats by which a change of share must beat none to be shown at all: a twentieth as likely."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Rows that lie together, and how their share of the traffic moved."""

    rows: NDArray[np.int64]
    """(k,) of either side and of neither."""
    before: float
    change: Effect
    evidence: float
    """Nats by which the change found beats none, among what the groups before it leave."""

    @property
    def gained(self) -> bool:
        """Whether the window holds more of it."""
        return self.change.estimate > 0

    @property
    def sure(self) -> bool:
        """Whether its interval leaves 0 out."""
        return self.change.low > 0 or self.change.high < 0


def moved_groups(
    rows: NDArray[np.float32], window: Marks, reference: Marks, *, most: int = 8, surprise: float = 0.0, inflation: float = 1.0
) -> list[Group]:
    """Groups of (n, d) rows whose share of the `window` differs from that of the `reference`, most certain first.

    All rows, also those of neither side, are joined to trees that do not know which side a row is of: were both sides alike, any
    marking of the rows would be as likely as the one found, whatever the trees look like. There are two, by average linkage, which
    sets apart what is dense, and by Ward's, which divides evenly what is not. Of all their branches, fine and coarse, that one comes
    first for which different shares a / N and b / M are most likely against a common one,

        a log(a / N) + (N - a) log(1 - a / N) + b log(b / M) + (M - b) log(1 - b / M) less the same with (a + b) / (N + M);

    then its rows are left out and the next is sought: what only makes room for a group that grew has not moved itself. Those are
    kept that surely moved, and of each direction the strongest, sure or not.

    Intervals hold over all branches together (level .95, Bonferroni) and for a window whose choice would show `surprise` by chance.
    `inflation`: samples that are worth one where they come in sessions. O(n² d) time, 12 n² bytes.

    References
    ----------
    Kulldorff, Fang and Walsh, "A tree-based scan statistic for database disease surveillance", Biometrics 2003. Zhang, Assunção and
    Kulldorff, "Spatial scan statistics adjusted for multiple clusters", Journal of Probability and Statistics 2010 (one after the
    other). Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 1998.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.standard_normal((700, 4)).astype(np.float32)
    >>> rows[650:] += 8
    >>> window = np.arange(700) >= 500
    >>> [group] = [g for g in moved_groups(rows, window, ~window) if g.sure]
    >>> len(group.rows), group.before, group.change.estimate
    (50, 0.0, 0.25)
    """
    if not (window.any() and reference.any()):
        return []
    trees, left = _trees(rows), np.ones(len(rows), np.bool_)
    joint = float(-special.ndtri(0.025 / sum(len(tree.start) for tree in trees)))
    z, found = max(tail_z(surprise), joint), list[Group]()
    while len(found) < most:
        evidence, members = max((_strongest(tree, window & left, reference & left) for tree in trees), key=lambda each: each[0])
        evidence, members = evidence / inflation, members[left[members]]
        if evidence < _LEAST:
            break
        left[members] = False
        found.append(_measured(members, evidence, (window, reference), z=z, inflation=inflation))
    first = {direction: next((g for g in found if g.gained is direction), None) for direction in (True, False)}
    return [group for group in found if group.sure or group is first[group.gained]]


class _Tree(NamedTuple):
    """Leaves in an order in which each branch is a stretch."""

    leaves: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]


def _trees(rows: NDArray[np.float32]) -> list[_Tree]:
    """By either linkage; there are two rows at least."""
    centred = rows - rows.mean(0, dtype=np.float64).astype(np.float32)
    distances = np.sqrt(squared_distances(centred, centred))
    condensed = squareform(distances.astype(np.float64), checks=False)
    return [_tree(linkage(condensed, method), len(rows)) for method in ("average", "ward")]


def _tree(joined: NDArray[np.float64], n: int) -> _Tree:
    """Every branch of at least one row, from what is joined with what in turn."""
    size, start = np.concatenate([np.ones(n), joined[:, 3]]).astype(np.int64), np.zeros(2 * n - 1, np.int64)
    for at, (first, second) in reversed(list(enumerate(joined[:, :2].astype(np.int64).tolist(), n))):
        start[first], start[second] = start[at], start[at] + size[first]
    return _Tree(np.argsort(start[:n], kind="stable"), start, start + size)


def _strongest(tree: _Tree, window: Marks, reference: Marks) -> tuple[float, NDArray[np.int64]]:
    """By how many nats the branch moved that moved most certainly, and its rows; of a branch and all that is not in it, the smaller."""
    counted = np.zeros((2, len(window) + 1))
    np.cumsum(np.stack([window, reference])[:, tree.leaves], axis=1, out=counted[:, 1:])
    n, m = counted[:, -1].tolist()
    if not n or not m:
        return 0.0, np.empty(0, np.int64)
    a, b = counted[:, tree.stop] - counted[:, tree.start]
    evidence = _fit(a, n) + _fit(b, m) - _fit(a, n, (a + b) / (n + m)) - _fit(b, m, (a + b) / (n + m))
    evidence[a / n + b / m > 1] = 0.0
    at = int(evidence.argmax())
    return float(evidence[at]), tree.leaves[tree.start[at] : tree.stop[at]]


def _fit(count: NDArray[np.float64], n: float, share: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Log-likelihood of counts of n, at the shares found or at others."""
    p = count / n if share is None else share
    return np.asarray(special.xlogy(count, p) + special.xlog1py(n - count, -p))


def _measured(members: NDArray[np.int64], evidence: float, sides: tuple[Marks, Marks], *, z: float, inflation: float) -> Group:
    (n, m), (a, b) = (side.sum() for side in sides), (side[members].sum() for side in sides)
    now, before = np.array(a / n), np.array(b / m)
    low, high = difference_interval(now, n / inflation, before, m / inflation, z)
    return Group(members, float(before), Effect(float(now - before), float(low), float(high)), evidence)


@dataclass(frozen=True, slots=True, eq=False)
class Witness:
    """The direction in which a window lies from its reference, and what of both lies how far along it.

    For features φ in which the norm of a mean difference is the distance of two distributions, the inner product of φ(x) with that
    difference is the witness function: largest where the window holds most more than the reference does, smallest where it holds
    fewest.

    References
    ----------
    Gretton et al., "A Kernel Two-Sample Test", JMLR 2012, section 2.3.

    Examples
    --------
    >>> features = np.random.default_rng(0).standard_normal((900, 5)).astype(np.float32)
    >>> window, part = np.arange(900) >= 600, np.arange(900) % 3
    >>> features[window & (part == 2), 0] += 3
    >>> witness = Witness.of(features, window, ~window)
    >>> witness.contributions(features, window, ~window, part).round(1).tolist()
    [0.0, 0.0, 0.9]
    """

    direction: NDArray[np.float64]
    """(D,)"""
    learned: tuple[int, int]
    """From how many rows of the window and of the reference."""

    @classmethod
    def of(cls, features: NDArray[np.float32], window: Marks, reference: Marks) -> Witness:
        """From (n, D) features of which some rows are the window's, others the reference's."""
        means = [features[side].mean(0, dtype=np.float64) for side in (window, reference)]
        return cls(means[0] - means[1], (int(window.sum()), int(reference.sum())))

    def values(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) larger is more of the window."""
        return np.asarray(features @ self.direction.astype(np.float32))

    def contributions(
        self, features: NDArray[np.float32], window: Marks, reference: Marks, part: NDArray[np.int64], *, lent: Marks | None = None
    ) -> NDArray[np.float64]:
        """(parts,) share of what moved along the direction that each part of the traffic brings, 0 to 1; they add up to 1 but for parts
        that moved the other way. All 0 where nothing moved.

        `part` says of which part each of the (n, D) rows is, `lent` (n,) which of them the direction was learned from: all, by default.
        What a row lends to it is taken off, or noise would be shared out by traffic.
        """
        along, squared = self.values(features).astype(np.float64), np.einsum("ij,ij->i", features, features).astype(np.float64)
        squared = squared if lent is None else np.where(lent, squared, 0.0)
        moved = np.zeros(int(part.max(initial=0)) + 1)
        for side, learned, sign in ((window, self.learned[0], 1), (reference, self.learned[1], -1)):
            moved += np.bincount(part[side], (sign * along - squared / learned)[side], len(moved)) / max(side.sum(), 1)
        return np.clip(moved / moved.sum(), 0.0, 1.0) if moved.sum() > 0 else np.zeros(len(moved))


def distinct(order: NDArray[np.int64], features: NDArray[np.float32], most: int, *, alike: float = 0.99) -> Iterator[int]:
    """The first of an order that are no near-copies of one before: feature similarity below `alike`; each `most` times as many are
    looked at.

    >>> list(distinct(np.array([0, 1, 2]), np.float32([[1, 0], [1, 0], [0, 1]]), 2))
    [0, 2]
    """
    chosen: list[int] = []
    for at in order[: 20 * most].tolist():
        if len(chosen) < most and all(float(features[at] @ features[other]) < alike for other in chosen):
            chosen.append(at)
            yield at
