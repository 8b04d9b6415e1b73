"""Old and new model behind one switch: how sure the new one must be so that few answers break, calibrated with a bound.

The new model's answer is served where P_new(y_new) - P_new(y_old) > t, else the old one's. A row *flips* if the old model is right and
what is served is wrong; the larger t, the fewer flips and the less is gained. Learn-then-Test chooses t so that the true rate of
flips exceeds α with probability at most δ, for rows drawn like those it was calibrated on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, softmax

from detectors.comparison import allowed_flips, least_rows, spent, upper_bound

THRESHOLDS = tuple((39 - i) / 40 for i in range(40))
"""Tested in this order: .975, .95, … 0."""

OUTCOMES = len(THRESHOLDS) + 1
"""A calibration ends at one of the thresholds, or at none."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found of a switch.

    Attributes
    ----------
    rows
        n, one for each group of near-duplicates.
    alpha
        The rate of flips that must surely not be exceeded.
    error
        δ, with which it may be exceeded all the same.
    threshold
        The smallest t that passed; None if none did, so that the old model stays.
    flips
        At that threshold; at the first one tested where none passed.
    trail
        Every threshold that was tested, with its flips.
    """

    rows: int
    alpha: float
    error: float
    threshold: float | None
    flips: int
    trail: tuple[tuple[float, int], ...]

    @property
    def bound(self) -> float:
        """The upper Clopper-Pearson bound on the rate of flips at the threshold, at most α where one passed."""
        return upper_bound(self.flips, self.rows, error=self.error)


def margins(logits: NDArray[np.float32], old: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n,) P_new(y_new) - P_new(y_old) from the new model's logits (n, C) and the old one's answers (n,) among the same classes.

    It is 0 where both say the same and never negative.

    Examples
    --------
    >>> margins(np.log(np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]], np.float32)), np.array([1, 0])).round(3).tolist()
    [0.5, 0.0]
    """
    if logits.ndim != 2 or old.shape != logits.shape[:1]:
        raise ValueError(f"margins take logits (n, C) and as many answers; found {logits.shape} and {old.shape}")
    probabilities = softmax(np.asarray(logits, np.float32), axis=1)
    at = np.arange(len(old))
    return np.asarray(probabilities[at, logits.argmax(1)] - probabilities[at, old], np.float32)


def takes_new(margin: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """(n,) whether the new model is served, compared in single precision as the deployed graph does."""
    return np.asarray(margin > np.float32(threshold))


def calibrate(
    margin: NDArray[np.float32], old_right: NDArray[np.bool_], new_right: NDArray[np.bool_], *, alpha: float, error: float
) -> Calibration:
    """Fixed-sequence testing: t goes down as long as BinomCDF(flips(t); n, α) ≤ δ, and stops before the first that does not pass.

    The binomial tail is a p-value of "the true rate of flips at t is above α". Hypotheses are tested in an order that is fixed
    beforehand, each at level δ, until one is kept, so the chance of rejecting any true one is at most δ, however many are tested.
    Rows (n,) must be independent, like the traffic, and seen by neither training nor selection: one for each group of
    near-duplicates. Cost O(n) per threshold.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> margin = rng.random(1000).astype(np.float32)
    >>> new_right = rng.random(1000) > 0.05 * (1 - margin)
    >>> found = calibrate(margin, np.ones(1000, bool), new_right, alpha=0.01, error=0.05)
    >>> found.threshold, found.flips, round(found.bound, 4)
    (0.675, 3, 0.0077)

    References
    ----------
    Angelopoulos, Bates, Candès, Jordan and Lei, "Learn then Test: calibrating predictive algorithms to achieve risk control",
    The Annals of Applied Statistics, 2025.
    """
    if not margin.shape == old_right.shape == new_right.shape or margin.ndim != 1 or not len(margin):
        raise ValueError(
            f"rows: one margin and two answers each, at least one row; found {margin.shape}, {old_right.shape}, {new_right.shape}"
        )
    flipping = np.asarray(margin[old_right & ~new_right])
    trail: list[tuple[float, int]] = []
    threshold, flips = None, int(takes_new(flipping, THRESHOLDS[0]).sum())
    for tested in THRESHOLDS:
        trail.append((tested, int(takes_new(flipping, tested).sum())))
        if bdtr(trail[-1][1], len(margin), alpha) > error:
            break
        threshold, flips = trail[-1]
    return Calibration(len(margin), alpha, error, threshold, flips, tuple(trail))


def flips_by_class(labels: NDArray[np.int64], flipped: NDArray[np.bool_], classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(C,) rows and (C,) flips of each class, from the rows' true classes (n,) and whether each flipped (n,)."""
    rows, flips = np.bincount(labels, minlength=classes), np.bincount(labels[flipped], minlength=classes)
    return rows.astype(np.int64), flips.astype(np.int64)


def fresh_rows(rows: int, alpha: float, delta: float) -> int:
    """How many rows that nobody has calibrated on restore δ after a use of n rows: as many as allow what those allowed at first.

    Where even at first they allowed nothing, the fewest that allow a calibration without a flip.

    Examples
    --------
    >>> fresh_rows(1000, 0.01, 0.1), fresh_rows(200, 0.01, 0.1)
    (913, 299)
    """
    first = spent(delta, 1, outcomes=OUTCOMES)
    return least_rows(alpha, error=first, count=max(allowed_flips(rows, alpha, error=first), 0))
