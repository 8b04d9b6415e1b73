"""Samples drawn with known, unequal probabilities, and what they say of all that they were drawn from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

_CERTAIN = 1e-9
"""Closer than this to 0 or 1 a drawing is decided."""


def inclusion_probabilities(weights: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """How likely each of (n,) rows is to be drawn, in proportion to its weight: π = min(1, c w), with Σ π = `size`.

    Rows whose share would pass 1 are drawn for certain, and the rest shares what they leave. `size` above n takes all rows.

    Examples
    --------
    >>> inclusion_probabilities(np.array([1.0, 1.0, 2.0, 20.0]), 2).round(3)
    array([0.25, 0.25, 0.5 , 1.  ])

    References
    ----------
    Särndal, Swensson and Wretman, "Model assisted survey sampling", 1992, section 3.6 (πps designs).
    """
    if size < 0 or weights.ndim != 1 or not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError(f"a draw needs a size of at least 0 and positive weights in one row; found {size} and {weights.shape}")
    chances = np.ones(len(weights))
    if size >= len(weights):
        return chances
    certain = np.zeros(len(weights), np.bool_)
    while True:
        left = size - int(certain.sum())
        chances[~certain] = left * weights[~certain] / weights[~certain].sum()
        over = ~certain & (chances >= 1)
        if not over.any():
            return chances
        certain |= over
        chances[certain] = 1.0


def draw(inclusion: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows, ascending, each drawn with exactly its probability: the pivotal method over a random order.

    Two undecided rows fight for their joint probability until one of them is decided, so where the (n,) probabilities sum to a whole
    number exactly so many rows are drawn. O(n).

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> chances = inclusion_probabilities(np.arange(1.0, 9.0), 3)
    >>> drawn = np.stack([np.bincount(draw(chances, rng), minlength=8) for _ in range(4000)])
    >>> set(drawn.sum(1).tolist()), bool(abs(drawn.mean(0) - chances).max() < 0.03)
    ({3}, True)

    References
    ----------
    Deville and Tillé, "Unequal probability sampling without replacement through a splitting method", Biometrika, 1998.
    """
    if inclusion.ndim != 1 or not ((inclusion >= 0) & (inclusion <= 1 + _CERTAIN)).all():
        raise ValueError("inclusion probabilities: one row of values between 0 and 1")
    chances = inclusion.astype(np.float64, copy=True)
    undecided = rng.permutation(np.flatnonzero((chances > _CERTAIN) & (chances < 1 - _CERTAIN))).tolist()
    luck = rng.random(len(undecided) + 1)
    champion = undecided[0] if undecided else -1
    for turn, rival in enumerate(undecided[1:]):
        champion = _fight(chances, champion, rival, luck[turn])
    if champion >= 0 and _CERTAIN < chances[champion] < 1 - _CERTAIN:
        chances[champion] = float(luck[-1] < chances[champion])
    return np.flatnonzero(chances > 0.5)


def _fight(chances: NDArray[np.float64], a: int, b: int, luck: float) -> int:
    """Decides one of two rows in place without changing what either may expect; returns the one that fights on."""
    both = chances[a] + chances[b]
    if both < 1:
        winner, loser = (a, b) if luck * both < chances[a] else (b, a)
        chances[winner], chances[loser] = both, 0.0
        return winner
    winner, loser = (a, b) if luck * (2 - both) < 1 - chances[b] else (b, a)
    chances[winner], chances[loser] = 1.0, both - 1
    return loser


@dataclass(frozen=True, slots=True)
class Weighted:
    """A share of what a sample was drawn from, estimated.

    Attributes
    ----------
    estimate, low, high
        With its two-sided interval.
    rows
        Rows behind it.
    effective
        As many rows of a plain random draw would tell as much: Kish's (Σ w)² / Σ w², w = 1 / inclusion.
    """

    estimate: float
    low: float
    high: float
    rows: int
    effective: float


def weighted_share(
    values: NDArray[np.float64], inclusion: NDArray[np.float64], *, confidence: float, usable: NDArray[np.bool_] | None = None
) -> Weighted:
    """Mean of (n,) values in -1..1 (right or wrong; better, same or worse) over all that the rows were drawn from: Hájek's estimator

        ŷ = Σ w y / Σ w,    w = 1 / inclusion,    over the usable rows drawn.

    Its variance is the linearised one of a draw with replacement, V = n/(n-1) Σ (w (y - ŷ) / Σ w)², which is a little too large for a
    draw without, and so allows for further traffic of the same kind. One row of each sign is added before (Bonett and Price), so that
    a sample without a single change does not claim certainty. Unusable rows (rejected by the annotator) are no part of what is
    estimated; how many there were is known only by the draw, so n counts them.

    Approximate; coverage stays near nominal from about 20 effective rows on.

    Examples
    --------
    >>> found = weighted_share(np.array([1.0, 0, 0, 1, 1, 0, 1, 1]), np.repeat([0.1, 0.9], 4), confidence=0.9)
    >>> round(found.estimate, 3), round(found.effective, 2)
    (0.525, 4.88)

    References
    ----------
    Hájek, comment in "Foundations of statistical inference" (Godambe and Sprott), 1971.
    Särndal, Swensson and Wretman, "Model assisted survey sampling", 1992, sections 5.7 and 10.3 (domains).
    Bonett and Price, Journal of Educational and Behavioral Statistics, 2012.
    """
    if values.shape != inclusion.shape or values.ndim != 1 or not ((inclusion > 0) & (inclusion <= 1 + _CERTAIN)).all():
        raise ValueError(f"as many inclusion probabilities above 0 and up to 1 as values; found {values.shape} and {inclusion.shape}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: between 0 and 1, found {confidence}")
    kept = np.ones(len(values), np.bool_) if usable is None else usable
    if not kept.any():
        raise ValueError("no usable row: nothing can be said")
    y, w = values[kept], 1 / inclusion[kept]
    estimate = float(w @ y / w.sum())
    effective = float(w.sum() ** 2 / (w @ w))
    low, high = _interval(y, w, drawn=len(values), confidence=confidence)
    return Weighted(estimate, low, high, len(y), effective)


def _interval(y: NDArray[np.float64], w: NDArray[np.float64], *, drawn: int, confidence: float) -> tuple[float, float]:
    """With a row of average weight at either end of what the values can be."""
    floor = 0.0 if (y >= 0).all() else -1.0
    ends = np.array([floor, 1.0])
    y, w = np.append(y, ends), np.append(w, np.full(2, w.mean()))
    middle = float(w @ y / w.sum())
    residual = w * (y - middle) / w.sum()
    n = drawn + 2
    reach = float(ndtri((1 + confidence) / 2)) * math.sqrt(n / (n - 1) * float(residual @ residual))
    return max(floor, middle - reach), min(1.0, middle + reach)
