"""How far, with intervals that stay true although the moment of looking was chosen by the detector."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.base import NO_EFFECT, Effect
from detectors.bounds import binomial_low, difference_interval, score_bound, tail_z
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

    scales: NDArray[np.int64]
    """(K,) their rows in the law."""
    pane_scales: NDArray[np.int64]
    """(K,) the law's rows for one pane of each, of its mean length."""
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

    def only(self, k: int) -> WindowMeans:
        """One of the windows, as means of its own."""
        return WindowMeans(*(getattr(self, part.name)[k : k + 1].copy() for part in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class EffectMeter:
    """Surprises and effects of windows against a slice of the reference."""

    model: ScanModel
    slice: Slice

    def surprise(self, means: WindowMeans) -> NDArray[np.float64]:
        """(K, M) of every window and channel; 0 for windows too short to be weighed."""
        precision = 1 / (1 / means.samples[:, None] + means.error)
        quadratic = np.square(means.features) @ self.model.spectrum.weights.T * precision[:, :1]
        score = means.scalars / self.slice.scalar_deviation * np.sqrt(precision[:, 1:])
        surprise = self._law(means).surprise(np.concatenate([quadratic, score], axis=1))
        if self.slice.least_samples:
            surprise[means.samples < self.slice.least_samples] = 0.0
        return surprise

    def shares(self, means: WindowMeans, k: int) -> NDArray[np.float64]:
        """(M,) plain estimates of a window's effect in every channel; a scalar's may be negative."""
        norms, width = len(self.model.spectrum.weights), 1 / means.samples[k] + float(means.error[k, 0])
        squared = np.square(means.features[k].astype(np.float64)) @ self.model.spectrum.weights.T
        squared -= self.slice.law.mean[means.scales[k], :norms] * width
        return np.asarray(np.concatenate([np.sqrt(np.maximum(squared, 0.0)), means.scalars[k]]) / self.model.units)

    def effect(self, window: WindowMeans, at: int, *, among: NDArray[np.bool_], choice: Choice) -> tuple[Effect, str]:
        """Of one window, and the channel that it is measured in: of those `among` which to choose, (M,) marked, the one whose lower
        bound is largest, `at` where none is above 0. Wholly new content is 1 in each of them.

        The lower bounds hold for all channels together, so that one may be chosen for its own; a choice for a large bound overstates,
        so that the upper bound needs no allowance.
        """
        found = self._estimates(window)
        values = np.maximum([found.value[0], found.low(choice, self._law(window)), found.high()[0]], 0.0)
        values[:, : len(self.model.spectrum.weights)] **= 0.5
        shares = values / self.model.units
        low = np.where(among, shares[1], 0.0)
        channel = int(low.argmax()) if low.any() else at
        return Effect(*shares[:, channel].tolist()), self.model.channels[channel]

    def resolved(self, means: WindowMeans) -> float:
        """Upper bound (level .95 over all windows together) of the effect in the unwhitened norm, the smallest over the windows.

        The longest window takes half of the error, the next a sixth, the j-th 1 / j(j + 1).
        """
        channel, count = self.model.spectrum.names.index("mmd"), len(means.samples)
        z = -special.ndtri(0.05 / (np.arange(count, 0, -1) * np.arange(count + 1, 1, -1)))
        bounds = self._estimates(means).high(z[:, None])[:, channel]
        return float(np.sqrt(max(bounds.min(), 0.0)) / self.model.units[channel])

    @property
    def _together(self) -> float:
        """Samples that are new together where new content comes in sessions; 1 where neighbours do not depend on each other."""
        return self.model.dependence.inflation

    def _law(self, means: WindowMeans) -> Law:
        """Of the slice's windows of these lengths."""
        law, k = self.slice.law, means.scales
        return Law(law.mean[k], law.deviation[k], law.skewness[k])

    def _estimates(self, means: WindowMeans) -> Estimates:
        """Of every window and channel."""
        norms, scalars = self._squared(means), self._shift(means)
        value, noise, slope = (np.concatenate(parts, axis=1) for parts in zip(norms, scalars, strict=True))
        return Estimates(value, noise, slope, np.concatenate([np.zeros_like(norms[2]), scalars[2]], axis=1))

    def _squared(self, means: WindowMeans) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Squared mean differences in the norms, freed of what the noise of window and reference adds to them: value, noise, slope."""
        g = len(self.model.spectrum.weights)
        n, error, freedom = means.samples[:, None], means.error[:, :1], means.panes[:, None] - 1
        w = self.model.spectrum.weights.astype(np.float64)
        squared = np.square(means.features.astype(np.float64))
        norm, mean = squared @ w.T, self.slice.law.mean[means.scales, :g]
        prior = _PRIOR_PANES * self._together
        wider = ((means.scatter[:, :g] - n * norm) / self.slice.law.mean[means.pane_scales, :g] - freedom) / (freedom + prior)
        value = norm - mean * ((1 + wider) / n + error)
        grown = np.maximum(1 + wider, 1.0) / n
        noise = self.slice.law.deviation[means.scales, :g] * np.hypot(grown + error, grown * np.sqrt(freedom) / (freedom + prior))
        t1 = self.slice.moments.t1
        mixed = np.maximum(self.model.units[:g] * np.sqrt(np.maximum(value, 0.0)) - value, 0.0) / (freedom + prior)
        along = (squared * self.model.eigenvalues) @ np.square(w).T / np.maximum(norm, 1e-12)
        extra = self._together * np.maximum(wider * t1 + prior * mixed, 0.0)
        return value, noise, 4 * np.maximum(mean / t1, 1.0) * (along * (1 / n + error) + extra / n)

    def _shift(self, means: WindowMeans) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Scalars' mean shifts: value, noise, slope. Between none and the one found the variance grows in proportion, as it does in a
        mixture."""
        g = len(self.model.spectrum.weights)
        n, freedom, value = means.samples[:, None], means.panes[:, None] - 1, means.scalars
        prior = _PRIOR_PANES * self._together
        own, inflation = np.square(self.slice.scalar_deviation), np.square(self.slice.law.deviation[means.scales, g:])
        of_pane = own * np.square(self.slice.law.deviation[means.pane_scales, g:])
        wider = own * ((means.scatter[:, g:] - n * np.square(value)) / of_pane - freedom)
        most = float(np.log1p(self.model.calibration.scalar_rows))  # of what lies beyond all calibration rows
        mixed = np.maximum(value, 0.0) * np.maximum(most - self.slice.scalars - value, 0.0)
        extra = np.maximum(inflation, self._together) * np.maximum((wider + prior * mixed) / (freedom + prior), 0.0)
        noise = np.sqrt(inflation * own * (1 / n + means.error[:, 1:]))
        return value, noise, np.where(value > 0, extra / n / np.where(value > 0, value, 1.0), 0.0)


@dataclass(frozen=True, slots=True)
class Choice:
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


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """Estimates of θ whose variance is noise² + slope · θ, arrays (K, M)."""

    value: NDArray[np.float64]
    noise: NDArray[np.float64]
    slope: NDArray[np.float64]
    jump: NDArray[np.float64]
    """How far one sample, or session, of new content alone moves the estimate: rare jumps of this size make it skewed."""

    def high(self, z: float | NDArray[np.float64] = _POINTWISE) -> NDArray[np.float64]:
        """Upper bounds. The choice of a window overstates its effect, so it needs no allowance for the choice."""
        return score_bound(self.value, noise=z * self.noise, slope=z * z * self.slope)[1]

    def low(self, choice: Choice, law: Law) -> NDArray[np.float64]:
        """(M,) lower bounds of one window that was chosen among all, and at an alarm; its `law` is of (1, M)."""
        z = tail_z(choice.scanned)
        quantile = np.maximum(law.quantile(choice.scanned), z)
        bounds = np.asarray(score_bound(self.value, noise=quantile * self.noise, slope=z * z * self.slope)[0][0])
        if choice.crossed is None:
            return bounds
        crossing = law.quantile(choice.crossed)[0] * self.noise[0]
        for m in np.flatnonzero(bounds > 0).tolist():
            bounds[m] = min(bounds[m], self._given_crossing(m, float(crossing[m]), float(law.skewness[0, m]), choice.gap))
        return bounds

    def _given_crossing(self, m: int, crossing: float, skewness: float, gap: float) -> float:
        """The smallest θ under which an estimate this large is not rarer, among estimates beyond the `crossing`, than a twentieth.

        References
        ----------
        Fithian, Sun and Taylor, "Optimal inference after model selection", 2014 (conditioning on the event that led to the question).
        """
        value, noise = float(self.value[0, m]), float(self.noise[0, m])
        theta = np.linspace(0.0, value, 65)
        deviation = np.sqrt(noise**2 + self.slope[0, m] * theta)
        skew = (skewness * noise**3 + self.jump[0, m] ** 2 * theta) / deviation**3
        rarer = tail_surprise((value - theta) / deviation, skew) - tail_surprise((crossing - theta) / deviation, skew)
        kept = np.flatnonzero(rarer < gap)
        return float(theta[max(kept[0] - 1, 0)]) if len(kept) else value


def novel_share(novelty: NDArray[np.int64], slice: Slice, *, surprise: float, inflation: float = 1.0) -> Effect:
    """Share of traffic beyond what the reference slice's own novelty explains, from the (100,) histogram of a window.

    Samples beyond the 95th percentile, less the slice's own that are expected there. A lower bound on new content: new samples
    that look ordinary are not counted. The lower end is wide enough for a choice of the window that would show `surprise` by
    chance; a choice that overstates needs none at the upper end. `inflation`: samples, of the window and of the slice, that are worth
    one where they come in sessions.
    """
    n, m, rare = float(novelty.sum()) / inflation, slice.scalar_rows / inflation, slice.rare_share
    if not n:
        return NO_EFFECT
    share = np.array(novelty[RARE_BIN:].sum() / inflation / n)
    (below, _), (_, high) = difference_interval(share, n, np.array(rare), m, np.array([tail_z(surprise), _POINTWISE])).T
    unlikely = binomial_low(float(share) * n, n, surprise) - rare
    low = min(float(below), unlikely)
    return Effect(*(float(np.clip(v / (1 - rare), 0.0, 1.0)) for v in (share - rare, low, high)))
