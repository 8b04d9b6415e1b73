"""Where a model fails: slices of tags and clusters in which answers are wrong more often, and groups of the same wrong answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from detectors.accuracy import Estimated
from detectors.bounds import difference_interval

Description: TypeAlias = tuple[tuple[str, str], ...]
"""Column and value, one pair or two."""

LEAST_ROWS = 20
"""Of a slice."""

_MOST_CANDIDATES = 5_000
_PERMUTATIONS = 999
_AT_ONCE = 111
_LEVEL = 0.05
_MOST = 10
_ADDS_NOTHING = 0.01
"""Chance at which the other half of a slice's description is taken to matter."""


@dataclass(frozen=True, slots=True)
class WeakSlice:
    """A slice in which answers are wrong more often than elsewhere by more than chance explains.

    excess : error rate of the slice less that of the rows outside all slices named before, its interval holding over all candidates.
    p_value : of the largest surprise of any candidate being as large.
    """

    description: Description
    rows: int
    wrong: int
    excess: Estimated
    p_value: float

    def __str__(self) -> str:
        return " and ".join(f"{column}={value}" for column, value in self.description)


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Wrong answers of one kind in one place: rows of a truth there, and how many of them were given the same wrong answer."""

    place: str
    truth: str
    answer: str
    wrong: int
    rows: int
    beyond: float
    """Wrong answers more than there would be if the model's errors were spread evenly over all rows and all other answers."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """All slices that may be named: descriptions (S), and a sparse (cells, S) matrix of which cells they hold.

    A cell is a combination of values that occurs: rows of one cell are in the same slices. Slices of fewer than 20 rows or more than
    half of them are left out, as are pairs that hold the very rows of one of their halves; of more than 5,000 the largest are kept.
    """

    cell: NDArray[np.int64]
    """(n,) of each row."""
    descriptions: tuple[Description, ...]
    holds: sparse.csr_array

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[np.str_]]) -> Self:
        """From (n,) values by column, '' where a row has none."""
        names = sorted(columns)
        values, codes = zip(*(np.unique(columns[name], return_inverse=True) for name in names), strict=True)
        cells, cell = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
        sizes = np.bincount(cell.ravel())
        alone = [np.bincount(column, weights=sizes).astype(np.float64) for column in cells.T]
        chosen = [*combinations(range(len(names)), 1), *combinations(range(len(names)), 2)]
        parts = [_grouped(at, cells, sizes, [values[c] != "" for c in at], [alone[c] for c in at]) for at in chosen]
        described = [
            tuple((names[c], str(values[c][code])) for c, code in zip(at, combo, strict=True))
            for at, (combos, _) in zip(chosen, parts, strict=True)
            for combo in combos.tolist()
        ]
        holds = sparse.hstack([held for _, held in parts], format="csc")
        kept = np.argsort(-(sizes @ holds), kind="stable")[:_MOST_CANDIDATES]
        return cls(cell.ravel(), tuple(described[at] for at in kept.tolist()), sparse.csr_array(holds[:, kept]))

    def parts(self, at: int) -> list[int]:
        """Of a pair: the halves of its description that are candidates themselves."""
        halves = [(part,) for part in self.descriptions[at]] if len(self.descriptions[at]) > 1 else []
        return [self.descriptions.index(half) for half in halves if half in self.descriptions]


def weak_slices(wrong: NDArray[np.bool_], columns: Mapping[str, NDArray[np.str_]], *, rng: np.random.Generator) -> list[WeakSlice]:
    """Slices by one column's value, or two columns' values, that surely do worse; most surprising first, at most ten.

    A slice of n rows with k wrong ones among N with K is surprising by the signed root of its likelihood ratio, (2 (ℓ(k, n) +
    ℓ(K - k, N - n) - ℓ(K, N)))^½. The largest over all candidates is held against its own law over 999 shuffles of which rows are
    wrong, so that slices which share rows cost little. Of a pair that is found one half alone is named where it is sure too and the
    other half adds nothing (hypergeometric, p > .01). Then the rows of what was named are set aside, and the rest is searched anew:
    what fails only because it overlaps a named slice is not named again.

    Assumes that rows are independent: where one session brings many rows, a slice that holds few sessions surprises too easily.

    wrong : (n,) whether each answer is. columns : (n,) values of each tag, and of the cluster; '' where a row has none.

    References
    ----------
    Westfall and Young, "Resampling-based multiple testing", Wiley 1993 (the largest statistic over shuffles). Chung et al., "Slice
    Finder: automated data slicing for model validation", ICDE 2019 (the search, smallest description first). Kulldorff, "A spatial
    scan statistic", Communications in Statistics 1997 (likelihood ratios of windows of different size).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> columns = {"locale": rng.choice(["en", "de", "fr"], 4000), "cluster": rng.integers(0, 12, 4000).astype(str)}
    >>> bad = (columns["locale"] == "de") & (columns["cluster"] == "7")
    >>> found = weak_slices(rng.random(4000) < np.where(bad, 0.4, 0.05), columns, rng=rng)
    >>> [str(each) for each in found], found[0].excess.low > 0.1
    (['cluster=7 and locale=de'], True)
    """
    if any(column.shape != wrong.shape for column in columns.values()) or wrong.ndim != 1:
        shapes = {name: column.shape for name, column in columns.items()}
        raise ValueError(f"wrong and every column are (n,) each, found {wrong.shape} and {shapes}")
    found: list[WeakSlice] = []
    left = np.ones(len(wrong), np.bool_)
    while columns and len(found) < _MOST and left.sum() >= 2 * LEAST_ROWS and 0 < wrong[left].sum() < left.sum():
        named = _weakest(wrong[left], {name: column[left] for name, column in columns.items()}, rng)
        if named is None:
            break
        found.append(named)
        left &= ~members(columns, named.description)
    return found


def members(columns: Mapping[str, NDArray[np.str_]], description: Description) -> NDArray[np.bool_]:
    """(n,) which rows a description holds."""
    inside = [columns[column] == value for column, value in description]
    return np.asarray(np.all(inside, axis=0))


def failure_groups(
    truth: NDArray[np.str_], answer: NDArray[np.str_], place: NDArray[np.str_], *, least: int = 2
) -> tuple[list[FailureGroup], int]:
    """Groups of at least `least` equal wrong answers in one place, and how many wrong answers are in none of them.

    Ordered by how many wrong answers they hold beyond n · error rate / (classes - 1), n the rows of that truth in that place: size times
    the part of it that is the group's own. Groups that hold no more are none.

    truth, answer, place : (n,) each; the place is a cluster or region, '' where it is not known.

    Examples
    --------
    >>> truth, answer = np.array(["a", "a", "a", "b", "b"]), np.array(["b", "b", "a", "b", "a"])
    >>> groups, single = failure_groups(truth, answer, np.array(["7", "7", "7", "8", "8"]))
    >>> groups[0].place, groups[0].truth, groups[0].answer, groups[0].wrong, groups[0].rows, single
    ('7', 'a', 'b', 2, 3, 1)
    """
    wrong = truth != answer
    ground, rows = np.unique(np.stack([place, truth]), axis=1, return_counts=True)
    held = {(where, what): count for where, what, count in zip(*ground.tolist(), rows.tolist(), strict=True)}
    kinds, counts = np.unique(np.stack([place, truth, answer])[:, wrong], axis=1, return_counts=True)
    classes = len(np.union1d(truth, answer))
    rate = float(wrong.mean()) / max(classes - 1, 1) if len(wrong) else 0.0
    found = [
        FailureGroup(where, what, said, count, held[where, what], count - rate * held[where, what])
        for where, what, said, count in zip(*kinds.tolist(), counts.tolist(), strict=True)
    ]
    groups = [group for group in found if group.wrong >= least and group.beyond > 0]
    return sorted(groups, key=lambda group: (-group.beyond, -group.wrong)), int(wrong.sum()) - sum(group.wrong for group in groups)


def _grouped(
    chosen: Sequence[int],
    cells: NDArray[np.int64],
    sizes: NDArray[np.int64],
    named: Sequence[NDArray[np.bool_]],
    alone: Sequence[NDArray[np.float64]],
) -> tuple[NDArray[np.int64], sparse.csc_array]:
    """(k, columns) combinations of the chosen columns' values that may be a slice, and the (cells, k) cells that each holds.

    named : whether each value of a column is one. alone : rows of each value of a column.
    """
    shape = [len(rows) for rows in alone]
    codes, which = np.unique(np.ravel_multi_index(tuple(cells[:, chosen].T), shape), return_inverse=True)
    combos, rows = np.stack(np.unravel_index(codes, shape), axis=1), np.bincount(which, weights=sizes)
    usable = (rows >= LEAST_ROWS) & (rows <= sizes.sum() / 2)
    for part, has_name, of_value in zip(combos.T, named, alone, strict=True):
        usable &= has_name[part] & ((len(chosen) == 1) | (of_value[part] > rows))
    held = sparse.csc_array((np.ones(len(which)), (np.arange(len(which)), which)), shape=(len(which), len(rows)))
    return combos[usable], sparse.csc_array(held[:, np.flatnonzero(usable)])


def _weakest(wrong: NDArray[np.bool_], columns: Mapping[str, NDArray[np.str_]], rng: np.random.Generator) -> WeakSlice | None:
    candidates = Candidates.of(columns)
    if not candidates.descriptions:
        return None
    sizes = np.bincount(candidates.cell)
    rows, total = sizes @ candidates.holds, int(wrong.sum())
    counts = np.bincount(candidates.cell, weights=wrong) @ candidates.holds
    surprise = _surprise(counts, rows, total, len(wrong))
    largest = _largest_by_chance(candidates, sizes, total, rng)
    best = int(surprise.argmax())
    if _chance(largest, surprise[best]) > _LEVEL:
        return None
    sure = [half for half in candidates.parts(best) if _chance(largest, surprise[half]) <= _LEVEL]
    plain = [half for half in sure if _within(counts, rows, best, half) > _ADDS_NOTHING]
    at = max(plain, key=lambda half: float(surprise[half]), default=best)
    k, n, z = float(counts[at]), float(rows[at]), float(np.quantile(largest, 1 - _LEVEL))
    share, other = k / n, (total - k) / (len(wrong) - n)
    low, high = difference_interval(np.array(share), n, np.array(other), len(wrong) - n, z)
    excess = Estimated(share - other, float(low), float(high))
    return WeakSlice(candidates.descriptions[at], int(n), int(k), excess, _chance(largest, surprise[at]))


def _within(counts: NDArray[np.float64], rows: NDArray[np.float64], at: int, half: int) -> float:
    """Chance of as many wrong rows in the slice if it were drawn from its half at random."""
    (k, n), (total, size) = (int(counts[at]), int(rows[at])), (int(counts[half]), int(rows[half]))
    drawn = np.arange(k, min(n, total) + 1)
    log = _choose(total, drawn) + _choose(size - total, n - drawn) - _choose(size, n)
    return float(np.exp(special.logsumexp(log)))


def _choose(n: int, k: int | NDArray[np.int64]) -> NDArray[np.float64]:
    possible = np.asarray(k) <= n
    kept = np.where(possible, k, 0)
    log = special.gammaln(n + 1) - special.gammaln(kept + 1) - special.gammaln(n - kept + 1)
    return np.where(possible, log, -np.inf)


def _largest_by_chance(candidates: Candidates, sizes: NDArray[np.int64], total: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(999,) largest surprise over the candidates, with the wrong answers dealt anew: drawn per cell, as rows of a cell are alike."""
    rows = sizes @ candidates.holds
    largest = [np.zeros(0)]
    for _ in range(_PERMUTATIONS // _AT_ONCE):
        dealt = rng.multivariate_hypergeometric(sizes, total, size=_AT_ONCE, method="count")
        largest.append(_surprise(dealt @ candidates.holds, rows, total, int(sizes.sum())).max(1))
    return np.concatenate(largest)


def _surprise(counts: NDArray[np.float64], rows: NDArray[np.float64], total: int, everything: int) -> NDArray[np.float64]:
    """(..., S) signed root of the likelihood ratio; negative for slices that do better."""
    others, rest = total - counts, everything - rows
    ratio = _fit(counts, rows) + _fit(others, rest) - _fit(np.array(float(total)), np.array(float(everything)))
    return np.asarray(np.sign(counts * rest - others * rows) * np.sqrt(2 * np.maximum(ratio, 0.0)), np.float64)


def _fit(wrong: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log likelihood at the rows' own rate."""
    log = special.xlogy(wrong, wrong) + special.xlogy(rows - wrong, rows - wrong) - special.xlogy(rows, rows)
    return np.asarray(log, np.float64)


def _chance(largest: NDArray[np.float64], surprise: float) -> float:
    return float((1 + (largest >= surprise).sum()) / (1 + len(largest)))
