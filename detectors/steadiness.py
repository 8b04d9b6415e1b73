"""Whether a reference stands still itself: a scan over its own timeline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.learning import chunks
from detectors.model import ScanModel

_STRETCHES = 128
_LEAST_STRETCHES = 16
_LEAST_RUN = 4
_PERMUTATIONS = 399
_LEVEL = 0.005
"""Of a false warning about a steady reference."""


@dataclass(frozen=True, slots=True)
class Unsteady:
    """A stretch of the reference's timeline that differs from the rest of it by more than chance explains."""

    rows: tuple[int, int]
    """First and last."""
    times: tuple[float, float] | None
    """Of these rows, Unix seconds."""
    effect: float
    """Of the stretch against the rest, in equivalent shares of new content."""
    p_value: float

    def __str__(self) -> str:
        when = "" if self.times is None else f" (times {self.times[0]:.0f} to {self.times[1]:.0f})"
        return (
            f"rows {self.rows[0]} to {self.rows[1]}{when} differ from the rest of the reference as if {self.effect:.0%} of them were "
            f"new content (p = {self.p_value:.3f}): a reference should be made of one steady stretch"
        )


def steadiness(
    model: ScanModel, reference: NDArray[np.float32], *, rng: np.random.Generator, times: NDArray[np.float64] | None = None
) -> Unsteady | None:
    """Where the reference itself drifts, or None when it is steady or too short to tell (fewer than 16 independent stretches).

    The timeline is cut into at most 128 stretches, each no shorter than the dependence of neighbours. Of every run of stretches the mean
    is compared with the mean of the rest in the whitened norm, n₁n₂/(n₁+n₂) ‖difference‖², and the largest is held against its own
    distribution over 399 permutations of the stretches.

    reference : (n, d) float32 in order of time. times : (n,) Unix seconds; what the model's profile expects of them is no drift.

    References
    ----------
    Matteson and James, "A Nonparametric Approach for Multiple Change Point Analysis of Multivariate Data", JASA 2014 (permuted
    timelines).
    """
    n = len(reference)
    length = max(-(-n // _STRETCHES), model.calibration.block)
    count = n // length
    if count < _LEAST_STRETCHES:
        return None
    sums = _sums(model, reference[: count * length], length, times)
    gram = (sums * model.spectrum.weights[0]) @ sums.T
    share = _share(count)
    at, strongest = _strongest(gram, share)
    orders = (rng.permutation(count) for _ in range(_PERMUTATIONS))
    p_value = (1 + sum(_strongest(gram[np.ix_(order, order)], share)[1] >= strongest for order in orders)) / (1 + _PERMUTATIONS)
    if p_value > _LEVEL:
        return None
    first, last = at[0] * length, (n if at[1] == count else at[1] * length) - 1
    span = None if times is None else (float(times[first]), float(times[last]))
    return Unsteady((first, last), span, _effect(model, sums / length, at), p_value)


def repeated(rows: NDArray[np.float32]) -> float:
    """Share of the (n, d) rows that an earlier row equals exactly. Traffic that repeats itself less than its reference does, or more,
    is drift to the scan, so a reference should repeat itself as traffic will."""
    direction = np.random.default_rng(0).standard_normal(rows.shape[1])
    marks = np.concatenate([rows[part] @ direction for part in chunks(rows)])
    return float(1 - len(np.unique(marks.round(9))) / len(rows))  # equal rows may differ in the last digit of a sum


def _sums(model: ScanModel, rows: NDArray[np.float32], length: int, times: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """(stretches, D) sums of the features, freed of the profile and centred, in the spectrum's basis."""
    clock, features = model.profile.clock, len(model.eigenvalues)
    stamps = np.zeros(len(rows)) if times is None else times[: len(rows)]
    total = np.zeros((len(rows) // length, features))
    for part in chunks(rows):
        found = (model.summarizer.random_features(rows[part]) - model.summarizer.mean) @ model.spectrum.basis
        if times is not None or clock.size == 1:
            found = found - clock.basis(stamps[part]) @ model.profile.coefficients[:, :features]
        stretch = (part.start + np.arange(len(found))) // length
        first, starts = np.unique(stretch, return_index=True)
        total[first] += np.add.reduceat(found, starts, axis=0, dtype=np.float64)
    return np.asarray(total - total.mean(0))


def _share(count: int) -> NDArray[np.float64]:
    """(count + 1, count + 1) variance of the sum of stretches i to j - 1, up to a factor; infinite for runs that are no runs."""
    length = np.arange(count + 1) - np.arange(count + 1)[:, None]
    usable = (length >= _LEAST_RUN) & (length <= count - _LEAST_RUN)
    return np.where(usable, length * (1 - length / count), np.inf)


def _strongest(gram: NDArray[np.float64], share: NDArray[np.float64]) -> tuple[tuple[int, int], float]:
    """The run of stretches that lies farthest from the rest for its length, from their inner products, and how far."""
    inner = np.zeros_like(share)
    np.cumsum(np.cumsum(gram, axis=0), axis=1, out=inner[1:, 1:])
    own = np.diag(inner)
    apart = (own + own[:, None] - 2 * inner) / share
    first, last = np.unravel_index(int(apart.argmax()), apart.shape)
    return (int(first), int(last)), float(apart[first, last])


def _effect(model: ScanModel, means: NDArray[np.float64], at: tuple[int, int]) -> float:
    """Distance of the run from the rest in the unwhitened norm, freed of noise, in equivalent shares of new content."""
    norm = model.spectrum.names.index("mmd")
    weight = model.spectrum.weights[norm].astype(np.float64)
    inside = (np.arange(len(means)) >= at[0]) & (np.arange(len(means)) < at[1])
    squared = weight @ np.square(means[inside].mean(0) - means[~inside].mean(0))
    noise = sum(float(weight @ means[part].var(0, ddof=1)) / part.sum() for part in (inside, ~inside))
    return float(np.sqrt(max(squared - noise, 0.0)) / model.units[norm])
