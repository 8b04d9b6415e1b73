"""What an answer stands on: parts of a sample are left out, and what that takes away is their weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Measure: TypeAlias = Callable[[NDArray[np.bool_]], NDArray[np.float64]]
"""(m, n) which of the n parts are left out, a row per variant → (m, K) what the model says of each; NaN where it can't say."""

STRONGEST = 3
"""Groups that are also left out together."""


class Occlusion(NamedTuple):
    """Weights of g groups of consecutive parts, in K measures of which the first leads."""

    groups: NDArray[np.int64]
    """(g, 2) first part of each, and the one after its last; in order, without gaps."""
    weight: NDArray[np.float64]
    """(g, K) measure of the whole minus measure without the group."""
    whole: NDArray[np.float64]
    """(K,)"""
    strongest: NDArray[np.int64]
    """Groups of the largest weights above 0 in the leading measure, at most three and never all there are."""
    together: NDArray[np.float64]
    """(K,) what leaving those out at once takes away; far more than their sum where parts stand in for each other."""


def occlude(parts: int, measure: Measure, *, variants: int) -> Occlusion:
    """Leaves out every part by itself, of at most `variants` variants of the sample.

    More parts than that are first left out in runs of equal length; then the runs that weigh most are taken apart. A weight says what
    one part adds to all the others: of two parts that say the same, neither may seem to matter.

    Parameters
    ----------
    parts : n, at least 2. variants : at least 8; the sample itself is one of them.

    References
    ----------
    Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014. Li, Monroe and Jurafsky, "Understanding neural
    networks through representation erasure", 2016 (words).

    Examples
    --------
    >>> worth = np.array([0.0, 5.0, 0.0, -1.0])
    >>> found = occlude(4, lambda out: (~out @ worth)[:, None], variants=8)
    >>> found.weight.ravel().tolist(), found.strongest.tolist(), found.together.tolist()
    ([0.0, 5.0, 0.0, -1.0], [1], [5.0])
    """
    if parts < 2 or variants < 8:
        raise ValueError(f"parts: at least 2, found {parts}; variants: at least 8, found {variants}")
    budget = variants - 2
    groups = _runs(0, parts, parts if parts <= budget else budget // 2)
    values = measure(np.vstack([np.zeros((1, parts), np.bool_), _left_out(groups, parts)]))
    whole, weight = values[0], values[0] - values[1:]
    if parts > budget:
        finer, kept = _taken_apart(groups, weight[:, 0], budget - len(groups))
        groups, weight = _joined(groups[kept], weight[kept], finer, whole - measure(_left_out(finer, parts)))
    strongest = _strongest(weight[:, 0])
    at_once: NDArray[np.bool_] = np.any(_left_out(groups[strongest], parts), axis=0, keepdims=True)
    return Occlusion(groups, weight, whole, strongest, whole - measure(at_once)[0])


def occlude_grid(side: int, measure: Measure, *, width: int = 2) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(side, side, K) weights of a square grid's cells, and (K,) the whole's measures.

    A square of `width` cells slides over the grid and beyond its edges, so that every cell is covered width² times; it weighs what the
    squares that covered it took away, in the mean. Costs (side + width - 1)² + 1 variants. Each square hides enough to matter, and
    together they tell smaller parts apart.

    Examples
    --------
    >>> worth = np.zeros(9); worth[0] = 1.0
    >>> occlude_grid(3, lambda out: (~out @ worth)[:, None])[0][:, :, 0].tolist()
    [[1.0, 0.5, 0.0], [0.5, 0.25, 0.0], [0.0, 0.0, 0.0]]
    """
    if not 1 <= width < side:
        raise ValueError(f"width: between 1 and {side - 1}, found {width}")
    steps = side + width - 1
    out = np.zeros((steps * steps + 1, side, side), np.bool_)
    for at in range(steps * steps):
        row, column = divmod(at, steps)
        out[at + 1, max(0, row - width + 1) : row + 1, max(0, column - width + 1) : column + 1] = True
    flat = out.reshape(len(out), -1)
    values = measure(flat)
    taken, covers = values[0] - values[1:], flat[1:]
    known = ~np.isnan(taken).any(1)
    weight = covers[known].T @ taken[known] / np.maximum(covers[known].sum(0), 1)[:, None]
    return weight.reshape(side, side, -1), values[0]


def _runs(first: int, end: int, most: int) -> NDArray[np.int64]:
    """(g, 2) of about equal length, at most `most`."""
    edges = np.linspace(first, end, min(most, end - first) + 1).round().astype(np.int64)
    return np.stack([edges[:-1], edges[1:]], 1)


def _left_out(groups: NDArray[np.int64], parts: int) -> NDArray[np.bool_]:
    """(g, parts) a variant per group."""
    at = np.arange(parts)
    return (groups[:, :1] <= at) & (at < groups[:, 1:])


def _taken_apart(groups: NDArray[np.int64], weight: NDArray[np.float64], budget: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The parts of the runs that weigh most, as far as the budget goes, and the runs that stay."""
    finer: list[NDArray[np.int64]] = []
    stay = []
    for at in np.argsort(-np.nan_to_num(np.abs(weight)), kind="stable"):
        first, end = groups[at]
        if min(budget, end - first) >= 2:
            finer.append(_runs(int(first), int(end), budget))
            budget -= len(finer[-1])
        else:
            stay.append(at)
    return np.concatenate(finer), np.array(stay, np.int64)


def _joined(
    groups: NDArray[np.int64], weight: NDArray[np.float64], more: NDArray[np.int64], theirs: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Both, in the order of the parts."""
    together = np.concatenate([groups, more])
    order = np.argsort(together[:, 0])
    return together[order], np.concatenate([weight, theirs])[order]


def _strongest(weight: NDArray[np.float64]) -> NDArray[np.int64]:
    order = np.argsort(-np.nan_to_num(weight), kind="stable")
    return order[: min(STRONGEST, len(weight) - 1, int((weight > 0).sum()))]
