"""How far, with intervals that stay true although the moment of looking was chosen by the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.base import NO_EFFECT, Effect
from detectors.law import Law, tail_surprise
from detectors.model import ScanModel, Slice
from detectors.panes import RARE_BIN

_POINTWISE = 1.96
"""Standard errors of a 95 % interval for one window that was chosen beforehand."""

_PRIOR_PANES = 1
"""Panes that the spread expected of a mixture counts for against the spread found."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowMeans:
    """Mean differences of K windows from the reference, shortest window first."""

    features: NDArray[np.float32]
    """(K, D) in the spectrum's basis."""
    scalars: NDArray[np.float64]
    """(K, S)"""
    samples: NDArray[np.float64]
    """(K,)"""
    panes: NDArray[np.int64]
    """(K,)"""
    scatter: NDArray[np.float64]
    """(K, M) sum over panes of a channel's squared sum over its count: what the window's own spread is told from."""
    error: NDArray[np.float64]
    """(K, 2) variance of the reference's mean, as a share of one row's: of the features, of the scalars."""


@dataclass(frozen=True, slots=True, eq=False)
class EffectMeter:
    """Surprises and effects of windows against a slice of the reference."""

    model: ScanModel
    slice: Slice

    @property
    def law(self) -> Law:
        """Of the slice's windows."""
        return self.slice.law

    def surprise(self, means: WindowMeans) -> NDArray[np.float64]:
        """(K, M) of every window and channel; 0 for windows too short to be weighed."""
        precision = 1 / (1 / means.samples[:, None] + means.error)
        quadratic = np.square(means.features) @ self.model.spectrum.weights.T * precision[:, :1]
        score = means.scalars / self.slice.scalar_deviation * np.sqrt(precision[:, 1:])
        k = slice(0, len(means.samples))
        law = Law(self.law.mean[k], self.law.deviation[k], self.law.skewness[k])
        surprise = law.surprise(np.hstack([quadratic, score]))
        surprise[means.samples < self.slice.least_samples] = 0.0
        return surprise

    def shares(self, means: WindowMeans, k: int) -> NDArray[np.float64]:
        """(M,) plain estimates of a window's effect in every channel; a scalar's may be negative."""
        norms, width = len(self.model.spectrum.weights), 1 / means.samples[k] + float(means.error[k, 0])
        squared = np.square(means.features[k].astype(np.float64)) @ self.model.spectrum.weights.T - self.law.mean[k, :norms] * width
        return np.asarray(np.concatenate([np.sqrt(np.maximum(squared, 0.0)), means.scalars[k]]) / self.model.units)

    def effect(self, means: WindowMeans, at: tuple[int, int], selection: Selection) -> Effect:
        """Of window and channel `at`, in the channel's own unit: wholly new content is 1 in each of them."""
        channel = at[1]
        quadratic = channel < len(self.model.spectrum.weights)
        found = self._squared(means, at) if quadratic else self._shift(means, at)
        values = np.maximum([found.value, found.low(selection, self.law, at), found.high()], 0.0)
        return Effect(*(float(v) for v in (np.sqrt(values) if quadratic else values) / self.model.units[channel]))

    def resolved(self, means: WindowMeans) -> float:
        """Upper bound (level .95 over all windows together) of the effect in the unwhitened norm, the smallest over the windows.

        The longest window takes half of the error, the next a sixth, the j-th 1 / j(j + 1).
        """
        channel, count = self.model.spectrum.names.index("mmd"), len(means.samples)
        z = -special.ndtri(0.05 / (np.arange(count, 0, -1) * np.arange(count + 1, 1, -1)))
        bounds = [self._squared(means, (k, channel)).high(z[k]) for k in range(count)]
        return float(np.sqrt(max(min(bounds), 0.0)) / self.model.units[channel])

    @property
    def _most_scalar(self) -> float:
        """Exceedance of what lies beyond all calibration rows."""
        return float(np.log1p(self.model.calibration.scalar_rows))

    def _squared(self, means: WindowMeans, at: tuple[int, int]) -> Estimate:
        """The squared mean difference in a norm, freed of what the noise of window and reference adds to it."""
        k, channel = at
        n, error, freedom = float(means.samples[k]), float(means.error[k, 0]), int(means.panes[k]) - 1
        w = self.model.spectrum.weights[channel].astype(np.float64)
        squared = np.square(means.features[k].astype(np.float64))
        norm, mean, of_pane = float(w @ squared), float(self.law.mean[at]), float(self.law.mean[0, channel])
        wider = ((means.scatter[at] - n * norm) / of_pane - freedom) / (freedom + _PRIOR_PANES)
        value = norm - mean * ((1 + wider) / n + error)
        grown = max(1 + wider, 1.0) / n
        noise = float(self.law.deviation[at]) * np.hypot(grown + error, grown * np.sqrt(freedom) / (freedom + _PRIOR_PANES))
        t1 = float(self.slice.moments.t1[channel])
        mixed = max(float(self.model.units[channel]) * np.sqrt(max(value, 0.0)) - value, 0.0) / (freedom + _PRIOR_PANES)
        along = float((w**2 * squared) @ self.model.eigenvalues) / max(norm, 1e-12)
        extra = max(wider * t1 + _PRIOR_PANES * mixed, 0.0)
        return Estimate(value, float(noise), 4 * max(mean / t1, 1.0) * (along * (1 / n + error) + extra / n))

    def _shift(self, means: WindowMeans, at: tuple[int, int]) -> Estimate:
        """A scalar's mean shift. Between none and the one found the variance grows in proportion, as it does in a mixture."""
        k, s = at[0], at[1] - len(self.model.spectrum.weights)
        n, freedom, value = float(means.samples[k]), int(means.panes[k]) - 1, float(means.scalars[k, s])
        own, inflation = float(self.slice.scalar_deviation[s]) ** 2, float(self.law.deviation[at]) ** 2
        of_pane = own * float(self.law.deviation[0, at[1]]) ** 2
        wider = own * ((means.scatter[at] - n * value**2) / of_pane - freedom)
        mixed = max(value, 0.0) * max(self._most_scalar - self.slice.scalars[s] - value, 0.0)
        extra = inflation * max((wider + _PRIOR_PANES * mixed) / (freedom + _PRIOR_PANES), 0.0)
        noise = np.sqrt(inflation * own * (1 / n + means.error[k, 1]))
        return Estimate(value, float(noise), extra / n / value if value > 0 else 0.0)


@dataclass(frozen=True, slots=True)
class Selection:
    """What led to the choice of a window, in tail surprise."""

    scanned: float
    """The largest surprise that all windows scanned so far reach with probability .05 when nothing has changed."""
    crossed: float | None = None
    """The threshold that the window stands above, None where it does not."""
    gap: float = 0.0
    """From the threshold to one that is crossed a twentieth as often."""

    @property
    def surprise(self) -> float:
        """What an interval must allow for whatever the true effect is."""
        return max(self.scanned, self.crossed + self.gap) if self.crossed is not None else self.scanned


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate of θ whose variance is noise² + slope · θ."""

    value: float
    noise: float
    slope: float

    def high(self, z: float = _POINTWISE) -> float:
        """Upper bound. The choice of a window overstates its effect, so it needs no allowance for the choice."""
        return score_bound(self.value, noise=z * self.noise, slope=z * z * self.slope)[1]

    def low(self, selection: Selection, law: Law, at: tuple[int, int]) -> float:
        """Lower bound, for a window chosen among all and at an alarm."""
        quantile, z = max(law.quantile(selection.scanned, at), tail_z(selection.scanned)), tail_z(selection.scanned)
        scanned, _ = score_bound(self.value, noise=quantile * self.noise, slope=z * z * self.slope)
        if selection.crossed is None or scanned <= 0:
            return scanned
        return min(scanned, self._given_crossing(law.quantile(selection.crossed, at), float(law.skewness[at]), selection.gap))

    def _given_crossing(self, crossing: float, skewness: float, gap: float) -> float:
        """The smallest θ under which an estimate this large is not rarer, among crossings, than a twentieth.

        `crossing` : the standardised estimate at the threshold.

        References
        ----------
        Fithian, Sun and Taylor, "Optimal inference after model selection", 2014 (conditioning on the event that led to the question).
        """
        theta = np.linspace(0.0, max(self.value, 0.0), 65)
        deviation = np.sqrt(self.noise**2 + self.slope * theta)
        skew = skewness * (self.noise / deviation) ** 3
        rarer = tail_surprise((self.value - theta) / deviation, skew) - tail_surprise((crossing * self.noise - theta) / deviation, skew)
        kept = np.flatnonzero(rarer < gap)
        return float(theta[max(kept[0] - 1, 0)]) if len(kept) else float(theta[-1])


def tail_z(surprise: float) -> float:
    """Standard normal quantile that a value exceeds with probability 10^-surprise."""
    return float(-special.ndtri(10.0 ** -min(surprise, 300.0)))


def score_bound(estimate: float, *, noise: float, slope: float) -> tuple[float, float]:
    """All θ with |estimate - θ| ≤ (noise² + slope · θ)^½: lowest, cut at 0, and highest.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927 (inverting the score).
    """
    middle = estimate + slope / 2
    half = np.sqrt(max(noise**2 + slope * estimate + slope**2 / 4, 0.0))
    return max(middle - half, 0.0), max(middle + half, 0.0)


def proportion_interval(share: NDArray[np.float64], n: float, z: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's score interval of proportions found in n; 0 to 1 where n is 0."""
    spread = z * z / max(n, 1e-12)
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def difference_interval(share: NDArray[np.float64], n: float, before: NDArray[np.float64], m: float, z: float) -> NDArray[np.float64]:
    """(2, ...) lowest and highest difference of a proportion found in n from one found in m, at ± z standard errors.

    References
    ----------
    Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 1998 (method 10).
    """
    (low, high), (low_before, high_before) = proportion_interval(share, n, z), proportion_interval(before, m, z)
    difference = share - before
    below, above = np.hypot(share - low, high_before - before), np.hypot(high - share, before - low_before)
    return np.stack([difference - below, difference + above])


def novel_share(novelty: NDArray[np.int64], slice: Slice, *, surprise: float) -> Effect:
    """Share of traffic beyond what the reference slice's own novelty explains, from the (100,) histogram of a window.

    Samples beyond the 95th percentile, less the slice's own that are expected there. A lower bound on new content: new samples
    that look ordinary are not counted. The lower end is wide enough for a choice of the window that would show `surprise` by
    chance; a choice that overstates needs none at the upper end.
    """
    n, rare = int(novelty.sum()), slice.rare_share
    if not n:
        return NO_EFFECT
    share = np.array(novelty[RARE_BIN:].sum() / n)
    low, _ = difference_interval(share, n, np.array(rare), slice.scalar_rows, tail_z(surprise))
    _, high = difference_interval(share, n, np.array(rare), slice.scalar_rows, _POINTWISE)
    return Effect(*(float(np.clip(v / (1 - rare), 0.0, 1.0)) for v in (share - rare, low, high)))


@dataclass(frozen=True, slots=True, eq=False)
class ClusterShift:
    """Change of each cluster's share of the traffic, arrays (C + 1,); the novel samples, near no cluster, come last."""

    change: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def moved(self) -> NDArray[np.bool_]:
        """(C + 1,) clusters that surely gained or lost."""
        return (self.low > 0) | (self.high < 0)


def cluster_shift(window: NDArray[np.int64], reference: NDArray[np.int64], *, surprise: float = 0.0) -> ClusterShift:
    """Which clusters gained and lost, from (C + 1,) counts of a window and of reference rows that the clusters were not fitted on.

    Intervals that hold over all clusters together (level .95), for a window whose choice would show `surprise` by chance.

    Examples
    --------
    >>> shift = cluster_shift(np.array([92, 88, 20]), np.array([500, 490, 10]))
    >>> shift.moved
    array([False, False,  True])
    """
    n, m = int(window.sum()), int(reference.sum())
    share, before = window / max(n, 1), reference / max(m, 1)
    z = max(tail_z(surprise), float(-special.ndtri(0.025 / len(window))))
    low, high = difference_interval(share, n, before, m, z)
    return ClusterShift(share - before, low, high)
