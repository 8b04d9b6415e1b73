"""The probability that a sample, once answered, turns out unusable or harmful: calibrated, and held against what became of others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, ndtri

from detectors.bounds import proportion_interval
from detectors.selection.assessment import Parts

PRIOR = (-1.8, 1.5, 0.0, 1.0)
"""Offset and weights of junk, contested and influence, of samples as probe and expand picks them from streams of text and images with
planted junk and a fallible annotator (`python -m benchmarks selection.risk`). Of rows drawn at random junk weighs 4: a choice that
goes by company and by answers has sorted out what junk would tell. Where the reference is contested said nothing, and influence
is held back, as streams differ in it most; a stream's own outcomes may move both."""

_SPREAD = (0.7, 1.0, 1.0, 1.0)
"""How far these differ between streams, as standard deviations; that of the offset was measured."""

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Risk:
    """P(unusable or harmful) = 1 / (1 + e^-(w₀ + w · parts)), a logistic law of the three parts.

    Without outcomes the weights are those measured on other streams. With outcomes of its own they maximise the likelihood of these less
    Σ (w - prior)² / (2 spread²), with weights of parts at least 0: 20 outcomes move them, some hundred make them the stream's own. Rows
    that were only sent because their risk was low do not bend it: given the parts, what becomes of a row does not depend on having been
    chosen by them.

    What it is not: a ranking of harm. Before the label is known hardly anything tells harmful samples from useful ones, so most of what
    it knows is whether a sample is junk.

    Examples
    --------
    >>> part = np.float32([0.1, 0.9])
    >>> parts = Parts(part, part, part, np.zeros((2, 0), np.int64))
    >>> risk = Risk()
    >>> risk.of(parts).round(2)
    array([0.18, 0.61], dtype=float32)
    >>> found = np.repeat(parts.matrix, 100, axis=0)
    >>> risk.updated(found, np.zeros(200, bool)).of(parts).round(2)
    array([0.02, 0.02], dtype=float32)

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines", 1999. Ibrahim and Chen, "Power prior distributions for regression
    models", Statistical Science 2000.
    """

    weights: tuple[float, float, float, float] = PRIOR
    outcomes: int = 0
    """How many of the stream's own it has learnt from."""

    def of(self, parts: Parts) -> NDArray[np.float32]:
        """(n,) risks."""
        return np.asarray(expit(_columns(parts.matrix) @ np.array(self.weights)), np.float32)

    def updated(self, parts: NDArray[np.float32], bad: NDArray[np.bool_]) -> Risk:
        """The prior with all outcomes of a stream: of (n, 3) parts, whether each (n,) turned out unusable or harmful."""
        if parts.shape != (len(bad), 3):
            raise ValueError(f"outcomes: three parts for each of {len(bad)}, found {parts.shape}")
        columns, prior, precision = _columns(parts), np.array(PRIOR), np.array(_SPREAD) ** -2

        def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            logits, away = columns @ weights, weights - prior
            value = (np.logaddexp(0, logits) - bad * logits).sum() + (precision * away**2).sum() / 2
            return float(value), columns.T @ (expit(logits) - bad) + precision * away

        found = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=[(None, None), *[(0, None)] * 3])
        offset, *rest = (float(weight) for weight in found.x)
        return Risk((offset, rest[0], rest[1], rest[2]), len(bad))


def _columns(parts: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.column_stack([np.ones(len(parts)), parts.astype(np.float64)])


@dataclass(frozen=True, slots=True)
class Bin:
    """Samples of like risk: how many, what it was in the mean, and the share that turned out unusable or harmful with a 95 % interval."""

    low: float
    high: float
    count: int
    mean_risk: float
    share: float
    share_low: float
    share_high: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Risks against outcomes.

    Attributes
    ----------
    bins
        From low to high risk, equally full but for ties.
    error
        Expected calibration error: the mean distance of shares from mean risks, weighted by samples. Its expectation is not 0 for
        a risk that is right: a bin of n adds about √(2 r (1 - r) / (π n)).
    chance
        What a right risk's error would be expected to be for these bins.
    count
        Samples in all.
    """

    bins: tuple[Bin, ...]
    error: float
    chance: float
    count: int


def reliability(risks: NDArray[np.float32], bad: NDArray[np.bool_], *, bins: int = 5) -> Reliability:
    """How the risks of (n,) samples compare with what became of them; no bins without samples.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> risks = rng.random(2_000).astype(np.float32)
    >>> found = reliability(risks, rng.random(2_000) < risks)
    >>> len(found.bins), found.error < 0.04, all(one.share_low < one.mean_risk < one.share_high for one in found.bins)
    (5, True, True)

    References
    ----------
    Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015 (the error).
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    if bins < 1 or len(risks) != len(bad):
        raise ValueError(f"reliability: at least 1 bin and as many outcomes as risks, found {bins}, {len(risks)} and {len(bad)}")
    if not len(risks):
        return Reliability((), 0.0, 0.0, 0)
    edges = np.unique(np.quantile(risks, np.linspace(0, 1, bins + 1)[1:-1]))
    member = np.searchsorted(edges, risks, side="left")
    found = tuple(_bin(risks[member == one], bad[member == one]) for one in np.unique(member))
    error = sum(one.count * abs(one.share - one.mean_risk) for one in found) / len(risks)
    noise = sum(float(np.sqrt(2 / np.pi * one.count * one.mean_risk * (1 - one.mean_risk))) for one in found) / len(risks)
    return Reliability(found, error, noise, len(risks))


def _bin(risks: NDArray[np.float32], bad: NDArray[np.bool_]) -> Bin:
    share = float(bad.mean())
    low, high = proportion_interval(np.array(share), len(bad), float(ndtri((1 + _CONFIDENCE) / 2)))
    return Bin(float(risks.min()), float(risks.max()), len(bad), float(risks.mean()), share, float(low), float(high))
