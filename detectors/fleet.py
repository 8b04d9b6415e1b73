"""Many streams at once: evidence per stream that may be looked at any time and in any company, and which streams stand together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.model import ScanModel, Slice
from detectors.panes import Summary
from detectors.stream import StreamScan

_FRACTIONS = np.array([0.1, 0.3, 1.0])
"""Of the stake that would make the evidence grow fastest if the drift were just as large as the past promises."""

_SURE = 3.0
"""The reference's error is taken to lie within its quantile at 1 in 10^3."""

_MOST = 300.0
"""Largest log10 of evidence that is told: as a plain number it still is finite."""


@dataclass(frozen=True, slots=True, eq=False)
class Bet:
    """That samples to come lie, along a witness fixed before them, beyond what a tolerable drift can give.

    channel : of the model, in whose unit the payoff is.
    witness : (D,) in the spectrum's basis, of dual length 1 in the channel's norm; (0,) for a scalar, which is its own witness.
    promise : mean payoff beyond the allowance that the past lets expect.
    variance, reach : of one sample's payoff, at most, while drift is tolerable.
    """

    channel: int
    witness: NDArray[np.float32]
    promise: float
    variance: float
    reach: float

    def log_growth(self, payoff: float, *, allowance: float, samples: float) -> NDArray[np.float64]:
        """(J,) natural logarithm of what each stake is multiplied by when the mean payoff of so many samples is this large.

        exp(λ Σ (x - allowance)) over its largest mean for payoffs below a reach and of a variance (Bennett's bound): e-values.
        """
        reach = self.reach + allowance
        stake = _FRACTIONS * np.log1p(self.promise * reach / self.variance) / reach
        bound = np.log1p(self.variance * (np.expm1(stake * reach) - stake * reach) / reach**2)
        return np.asarray(samples * (stake * (payoff - allowance) - bound))


class EDetector:
    """Evidence against "effect at most the tolerance" for one stream, that holds whenever it is looked at; a few floats of state.

    Before each pane a bet is laid on the direction in which the scan's most surprising window lies, in the channel that promises
    most. The payoff is the pane's mean along it, less what a drift of the tolerance and the reference's own error can give in that
    channel's norm. It multiplies the stake by L, of mean at most 1: M ← max(M, n) L for a pane of n samples. While nothing beyond
    the tolerance has happened E[M at τ] ≤ E[samples until τ] for every stopping time τ: an alarm at M ≥ r comes once per r samples
    at most. This is the CUSUM form; the larger Shiryaev-Roberts form, (M + n) L, keeps the same promise but grows while nothing is
    bet on, so that after ten patiences of quiet all streams would stand together at a tenth. The scan is faster, but its evidence
    can't be combined over streams; `e_benjamini_hochberg` takes M over the samples that one is patient for.

    Assumes
    -------
    Samples are independent given what the stream does, and of the pane's own law. Sessions break that: where the reference's
    neighbours depend on each other, a witness is fixed one length of the dependence ahead, holds for a block, and n dependent
    samples count as n / inflation; the promise then holds about, not exactly. Tolerable drift adds to the spread no more than
    that share of new content could; the reference's mean is within its error's quantile at 1 in 1,000.

    References
    ----------
    Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", NEJSDS 2023.
    Shekhar and Ramdas, "Nonparametric two-sample testing by betting", IEEE Transactions on Information Theory 2023.
    Bennett, "Probability inequalities for the sum of independent random variables", JASA 1962.

    Examples
    --------
    >>> from detectors import DriftScan
    >>> rng = np.random.default_rng(0)
    >>> model = DriftScan.fit(rng.standard_normal((2000, 8)).astype(np.float32), run_length=5000, seed=1).model
    >>> scan, detector = StreamScan(model, run_length=5000), EDetector(model, model.whole(), tolerance=0.05)
    >>> described = model.summarizer.describe(rng.standard_normal((640, 8)).astype(np.float32) + 2)
    >>> for at in range(0, 640, 16):
    ...     pane = model.summarizer.summarize(described, slice(at, at + 16))
    ...     detector.update(scan, pane)
    ...     _ = scan.update(pane)
    >>> detector.log10 > 6
    True
    """

    def __init__(self, model: ScanModel, slice: Slice, *, tolerance: float) -> None:
        self._model, self._slice, self._tolerance = model, slice, tolerance
        self._norms = len(model.spectrum.names)
        self._inflation = model.dependence.inflation
        dependent = model.dependence.block > 1
        self._ahead = model.dependence.autocovariance.shape[1] - 1 if dependent else 0
        self._block = model.dependence.block if dependent else 1
        self._most_scalar = float(np.log1p(model.calibration.scalar_rows))
        self._mean = model.summarizer.mean @ model.spectrum.basis + slice.profile.coefficients[0, : len(model.eigenvalues)]
        law = slice.law
        self._error = law.mean[-1] + law.deviation[-1] * law.quantile(_SURE)[-1]
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._log = np.full(len(_FRACTIONS), -np.inf)
        self._bet: Bet | None = None
        self._since = 0

    @property
    def log10(self) -> float:
        """Base-10 logarithm of M, at most 300; -inf before the first sample."""
        return float(min(np.logaddexp.reduce(self._log - np.log(len(_FRACTIONS))) / np.log(10), _MOST))

    def update(self, scan: StreamScan, summary: Summary, *, span: tuple[float, float] = (0.0, 0.0)) -> None:
        """Settles the bet by a summary that the stream's scan has *not* taken yet. `span`: time of its first and last sample."""
        if not summary.count:
            return
        if self._since == 0:
            self._bet = self._choose(scan)
        self._log = np.maximum(self._log, np.log(summary.count))
        basis = self._slice.profile.clock.between(*span)
        if self._bet is not None and basis is not None and self._since >= self._ahead:
            allowance = float(self._allowances(basis)[self._bet.channel])
            payoff = self._payoff(self._bet, summary, basis)
            self._log = self._log + self._bet.log_growth(payoff, allowance=allowance, samples=summary.count / self._inflation)
        self._since += summary.count
        if self._since >= self._ahead + self._block:
            self._bet, self._since = None, 0

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything about the stream, as arrays: a few floats, and the witness while a block lasts."""
        arrays: dict[str, NDArray[np.generic]] = {"log": self._log, "since": np.array(self._since)}
        if self._bet is not None:
            bet = self._bet
            arrays |= {"witness": bet.witness, "bet": np.array([bet.channel, bet.promise, bet.variance, bet.reach])}
        return arrays

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes up where `state` was taken."""
        self._log, self._since = np.array(state["log"], np.float64), int(state["since"])
        self._bet = None
        if "bet" in state:
            channel, promise, variance, reach = (float(v) for v in np.asarray(state["bet"], np.float64))
            self._bet = Bet(int(channel), np.array(state["witness"], np.float32), promise, variance, reach)

    def _allowances(self, basis: NDArray[np.float64]) -> NDArray[np.float64]:
        """(M,) how far each channel's mean can lie from the reference's, in its norm: the tolerance, and the reference's own error."""
        unknown = self._slice.profile.unknown(basis)
        norms, g = np.sqrt(unknown[0] * self._error[: self._norms]), self._norms
        scalars = np.sqrt(unknown[1]) * self._slice.scalar_deviation * self._error[g:]
        return np.asarray(self._tolerance * self._model.units + np.concatenate([norms, scalars]))

    def _choose(self, scan: StreamScan) -> Bet | None:
        """The bet that promises the fastest growth; None while no channel promises any."""
        leading = scan.leading
        if leading is None:
            return None
        features, scalars, samples, basis = leading
        weights, law, g = self._model.spectrum.weights.astype(np.float64), self._slice.law, self._norms
        squared = np.maximum(weights @ np.square(features), 1e-12)
        beyond_noise = np.maximum(squared - (law.mean[-1, :g] + law.deviation[-1, :g]) / samples, 0.0) / np.sqrt(squared)
        shifted = scalars - self._slice.scalar_deviation * law.deviation[-1, g:] / np.sqrt(samples)
        promise = np.concatenate([beyond_noise, shifted]) - self._allowances(basis)
        if not (promise > 0).any():
            return None
        witnesses = weights * features / np.sqrt(squared)[:, None]
        variance, reach = self._spread(witnesses)
        growth = np.where(promise > 0, promise, 0.0) ** 2 / (variance + promise.clip(0) * reach / 3)
        best = int(growth.argmax())
        witness = witnesses[best] if best < g else np.empty(0)
        return Bet(best, witness.astype(np.float32), float(promise[best]), float(variance[best]), float(reach[best]))

    def _spread(self, witnesses: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(M,) variance and largest size of one sample's payoff in each channel. Features have length 1; the tolerable share of new
        content may lie as far as a sample can."""
        wider = np.maximum(self._slice.moments.t1 / self._model.calibration.moments.t1, 1.0)
        own = np.square(witnesses) @ self._model.eigenvalues * wider
        reach = np.linalg.norm(witnesses, axis=1) + np.abs(witnesses @ self._mean)
        variance = np.concatenate([own, np.square(self._slice.scalar_deviation)])
        reaches = np.concatenate([reach, np.full(len(variance) - len(own), self._most_scalar)])
        return variance + self._tolerance * reaches**2, reaches

    def _payoff(self, bet: Bet, summary: Summary, basis: NDArray[np.float64]) -> float:
        """Mean over the summary's samples, relative to what was expected then."""
        expected = basis @ self._slice.profile.coefficients
        if bet.channel >= self._norms:
            at = bet.channel - self._norms
            return float(summary.scalars[at] / summary.count - expected[len(self._model.eigenvalues) + at])
        own = self._model.spectrum.basis @ bet.witness
        return float(summary.sums @ own / summary.count - expected[: len(bet.witness)] @ bet.witness)


def e_benjamini_hochberg(e_values: NDArray[np.float64], alpha: float) -> NDArray[np.bool_]:
    """(K,) which streams stand together: the k largest, for the largest k with the k-th largest at least K / (α k).

    e_values : (K,) nonnegative, of the K streams, dependent in whatever way; a mean of at most 1 under a stream's null gives an
    expected share of false ones among those that stand of at most α.

    With M / r for e-values, r the samples of the stream that one is patient for, the mean is the patiences that have gone by instead:
    at any stopping time τ the expected share is at most α E[τ] / patience. That is the *error over patience*. A rate of false
    discoveries that holds for ever is not to be had on endless streams: sooner or later each raises a false alarm.

    References
    ----------
    Wang and Ramdas, "False discovery rate control with e-values", JRSS B 2022.
    Dandapanthula and Ramdas, "Multiple testing in multi-stream sequential change detection", arXiv 2501.04130, 2025.

    Examples
    --------
    >>> e_benjamini_hochberg(np.array([50.0, 1.0, 21.0, 12.0]), 0.1)
    array([ True, False,  True, False])
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha is a share above 0 and at most 1, found {alpha:g}")
    if np.isnan(e_values).any() or (e_values < 0).any():
        raise ValueError("e-values are nonnegative numbers")
    count = len(e_values)
    order = np.argsort(-e_values, kind="stable")
    enough = np.flatnonzero(e_values[order] * alpha * np.arange(1, count + 1) >= count)
    stands = np.zeros(count, np.bool_)
    if len(enough):
        stands[e_values >= e_values[order[enough[-1]]]] = True
    return stands
