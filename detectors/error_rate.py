"""Answers that became wrong: a sequential test of the error rate, fed with labels as they arrive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.accuracy import Estimated
from detectors.base import Effect, Evidence
from detectors.bounds import proportion_interval
from detectors.thresholds import check_run_length
from detectors.windows import SCALES, Windows

CHANNEL = "errors"

LEAST_LABELS = 20
"""Behind the error rate that the test starts from."""

_RATES = 12
"""J: rates that errors may have risen to, evenly spaced in the logarithm of how far their log odds lie above the reference's."""
_LEAST_RISE, _MOST_RISE, _HIGHEST = 0.1, 1.5, 0.98
_FULL = 3.0
"""Decades above the threshold at which the evidence grows no more: what is over must be forgotten in time."""
_Z = 1.96
_QUARTER = 1 / 80
"""Of the error of an interval of level .95."""
_LN10 = float(np.log(10))
_NONE = np.zeros(0, np.float32)

_OVERSHOOT = np.array([[0.003, 0.01, 0.03, 0.1, 0.2, 0.4], [2.7, 2.0, 1.7, 1.45, 1.35, 1.25]])
"""Labels until a false alarm over the threshold, by the error rate: the rarer errors are, the more does each of them say."""


@dataclass(frozen=True, slots=True)
class ErrorWindow:
    """The latest labels, as far back as shows the change best; `start`: time of the update before they began to arrive."""

    labels: int
    errors: int
    start: float


class ErrorRateTest:
    """Evidence that answers are wrong more often than they were; at most 2 kB of state however many labels come.

    Labels come in blocks of m with e errors among them, in order of arrival. With K errors in N labels known before a block (the
    reference's, and the stream's own), a block without change has the Beta-binomial chance P = B(K + ½ + e, N - K + ½ + m - e) /
    B(K + ½, N - K + ½): that the rate is known from so few labels is in it. For each of J rates q above the reference's,

        R ← (R + m) qᵉ (1 - q)ᵐ⁻ᵉ / P,

    and the evidence is the mean of R over those rates: Shiryaev and Roberts' sum over all moments at which the change may have come,
    mixed over what it led to. A rate that the stream has reached by itself bets nothing: a decrease is no alarm. Without a change the
    mean of R is the number of labels seen, so labels until a false alarm are the mean evidence at the alarm: the threshold times an
    overshoot that hardly depends on it, (f⁴ + m - 1)^¼ with f for single labels, by simulation. So nothing is extrapolated at 10⁷.

    Assumes
    -------
    Labels are independent, and when one arrives says nothing of whether it is wrong: delay and loss at random. Where wrong answers are
    labelled sooner or more often, it is the error rate of what arrives that is tested.

    Parameters
    ----------
    errors, labels
        Of the reference: wrong answers among at least 20 labelled ones.
    run_length
        Labels until a false alarm, in the mean over references of this size.

    References
    ----------
    Roberts, "A comparison of some control chart procedures", Technometrics 1966. Pollak, "Optimal detection of a change in
    distribution", Annals of Statistics 1985 (mixtures; run length from threshold and overshoot). Ross, Tasoulis and Adams,
    "Sequential monitoring of a Bernoulli sequence when the pre-change parameter is unknown", Computational Statistics 2013. Shin,
    Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", NEJSDS 2023. Newcombe, "Interval
    estimation for the difference between independent proportions", Statistics in Medicine 1998 (the effect's interval).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> test = ErrorRateTest(50, 1000, run_length=20_000)
    >>> any(test.update(1, int(wrong)).alarm for wrong in rng.random(2000) < 0.05)
    False
    >>> alarms = [test.update(1, int(wrong)).alarm for wrong in rng.random(400) < 0.15]
    >>> alarms.count(True), alarms.index(True) < 200, test.evidence.effect.low > 0
    (1, True, True)
    """

    def __init__(self, errors: int, labels: int, *, run_length: float) -> None:
        if labels < LEAST_LABELS or not 0 <= errors <= labels:
            raise ValueError(f"errors of labels: at least {LEAST_LABELS} labels, of which 0 to all are errors, found {errors} of {labels}")
        self._reference, self._seen = np.array([labels, errors], np.float64), np.zeros(2)
        self._tune(run_length)
        self.reset()

    def reset(self, *, accept: bool = False) -> None:
        """Forget the stream. `accept`: what it brought was as it should be, and becomes part of what is compared with."""
        if accept:
            self._reference = self._reference + self._seen
        self._known = self._reference
        self._seen = np.zeros(2)
        self._log = np.full(_RATES, -np.inf)
        self._latched = False
        self._at = 0
        self._windows = Windows(SCALES, 0, exact=2)
        self.evidence = Evidence(False, False, 0, -np.inf, self._threshold(1), 0, CHANNEL)

    def retune(self, run_length: float) -> None:
        """Changes the run length from here on. Evidence stays what it is, so that no up and down drains it; where the threshold comes to
        lie below it, it is cut to that, and the next wrong answers tell."""
        threshold = self.evidence.threshold + float(np.log10(run_length / self.run_length))
        self._tune(run_length)
        if not self._latched:
            self._log -= max(self._surprise - threshold, 0.0) * _LN10
        self.evidence = replace(self.evidence, alarm=False, surprise=self._surprise, threshold=threshold)

    def update(self, labels: int, errors: int, *, time: float = 0.0) -> Evidence:
        """Adds a block of labels; `time` is when its last one arrived."""
        if not 0 <= errors <= labels:
            raise ValueError(f"errors: 0 to the {labels} labels of the block, found {errors}")
        if not labels:
            self.evidence = replace(self.evidence, alarm=False)
            return self.evidence
        block, threshold = np.array([labels, errors], np.float64), self._threshold(labels)
        self._bet(labels, errors)
        surprise = self._surprise
        if surprise > threshold + _FULL:
            self._log -= (surprise - threshold - _FULL) * _LN10
            surprise = self._surprise
        self._seen = self._seen + block
        self._windows.push(_NONE, block, span=(time, time))
        above = surprise > threshold
        if not above:  # what an alarm stands on teaches nothing of how it was before
            self._known = self._known + block
        self._weigh(surprise, threshold, above=above, alarm=above and not self._latched)
        self._latched |= above
        return self.evidence

    @property
    def window(self) -> ErrorWindow:
        """That the evidence speaks of."""
        if not self._windows.filled:
            return ErrorWindow(0, 0, 0.0)
        labels, errors = self._windows.exact[self._at].tolist()
        return ErrorWindow(int(labels), int(errors), float(self._windows.starts[self._at]))

    @property
    def rate(self) -> Estimated:
        """Of errors, as known from the reference and from the stream before the change."""
        labels, errors = self._known.tolist()
        low, high = proportion_interval(np.array(errors / labels), labels, _Z)
        return Estimated(errors / labels, float(low), float(high))

    def resolved_effect(self) -> float:
        """Upper bound of the present increase: the smallest over the windows, which hold together (level .95). One that begins after
        errors went down shows that they have."""
        windows = self._windows.exact
        tail = 1 / (40 * max(len(windows), 1))
        return min((_increase(window, self._known, tails=(tail, tail), known=tail).high for window in windows), default=float("inf"))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything, the reference's counts and the run length included, as arrays."""
        counts = np.stack([self._reference, self._known, self._seen])
        head = np.array([self.run_length, self.evidence.threshold, self._latched, self.evidence.above])
        return {"head": head, "counts": counts, "log": self._log.copy(), **self._windows.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic]]) -> Self:
        """Takes up where `state` was taken; ValueError for one of another shape."""
        (labels, errors), known, seen = np.array(state["counts"], np.float64)
        run_length, threshold, latched, above = (float(v) for v in np.asarray(state["head"], np.float64))
        test = cls(int(errors), int(labels), run_length=run_length)
        test._known, test._seen, test._log = known, seen, np.array(state["log"], np.float64)
        test._latched = bool(latched)
        test._windows.restore(state)
        if test._windows.panes:
            test._weigh(test._surprise, threshold, above=bool(above), alarm=False)
        return test

    def _tune(self, run_length: float) -> None:
        check_run_length(run_length)
        labels, errors = self._reference.tolist()
        rate = (errors + 0.5) / (labels + 1)
        odds = float(np.log(rate / (1 - rate)))
        least = float(np.clip(np.sqrt(10 / (rate * (1 - rate) * run_length)), _LEAST_RISE, _MOST_RISE))
        highest = max(float(np.log(_HIGHEST / (1 - _HIGHEST))) - odds, 2 * least)
        self._rates = special.expit(odds + np.geomspace(least, highest, _RATES))
        self._logs = np.log(self._rates), np.log1p(-self._rates)
        self._single = float(np.interp(np.log(rate), np.log(_OVERSHOOT[0]), _OVERSHOOT[1])) ** 4
        self.run_length = run_length

    def _threshold(self, labels: int) -> float:
        """Decimal logarithm, for the look after a block of so many."""
        return float(np.log10(self.run_length) - np.log10(self._single + labels - 1) / 4)

    @property
    def _surprise(self) -> float:
        return float(np.logaddexp.reduce(self._log) - np.log(_RATES)) / _LN10

    def _bet(self, labels: int, errors: int) -> None:
        """One step of the recursion; rates that no longer lie above the known one leave their share of the moments to the others."""
        n, k = self._known.tolist()
        n, k = n + 1.0, k + 0.5
        betting = int((self._rates > k / n).sum())
        if not betting:
            return
        wrong, right = (part[-betting:] for part in self._logs)
        chance = float(special.betaln(k + errors, n - k + labels - errors) - special.betaln(k, n - k))
        begun = np.logaddexp(self._log[-betting:], np.log(labels * _RATES / betting))
        self._log[-betting:] = begun + errors * wrong + (labels - errors) * right - chance

    def _weigh(self, surprise: float, threshold: float, *, above: bool, alarm: bool) -> None:
        windows = self._windows.exact
        before = self._reference + self._seen - windows
        self._at = int(_gain(windows, before).argmax())
        window, samples = windows[self._at].copy(), int(self._seen[0])
        measure = partial(_measured, window, before[self._at], scanned=samples)
        self.evidence = Evidence(alarm, above, samples, surprise, threshold, int(window[0]), CHANNEL, measure)


def _gain(windows: NDArray[np.float64], before: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) log likelihood that two rates gain over one, of (K, 2) labels and errors each; negative where errors went down."""
    labels, errors = np.stack([windows, before, windows + before]).T.swapaxes(1, 2)
    fits = special.xlogy(errors, errors) + special.xlogy(labels - errors, labels - errors) - special.xlogy(labels, labels)
    gain, risen = fits[0] + fits[1] - fits[2], errors[0] * labels[1] >= errors[1] * labels[0]
    return np.asarray(np.where(risen, gain, -gain), np.float64)


def _measured(window: NDArray[np.float64], before: NDArray[np.float64], *, scanned: int) -> tuple[Effect, str]:
    """The window's increase, with an interval of level .95 although the window was chosen for it.

    Of the error either side has a half, and of that half the window and what came before it the same. The lower side holds for all
    windows of the N labels scanned so far: log₂ N lengths share the error, and N / n windows of n labels what falls to theirs. A choice
    for the largest increase overstates, so that the upper side needs no allowance.
    """
    chosen = max(scanned, 1).bit_length() * max(scanned / float(window[0]), 1.0)
    return _increase(window, before, tails=(_QUARTER / chosen, _QUARTER), known=_QUARTER), CHANNEL


def _increase(window: NDArray[np.float64], before: NDArray[np.float64], *, tails: tuple[float, float], known: float) -> Effect:
    """Of the error rate, from (2,) labels and errors each.

    Two exact intervals, put together as Newcombe's method 10 does: so far into the tail of a small count a score would overstate. The
    window's misses below and above with probability `tails`, that of what came before with `known` on either side.
    """
    (share, low, high), (was, was_low, was_high) = _exact(window, *tails), _exact(before, known, known)
    below, above = np.hypot(share - low, was_high - was), np.hypot(high - share, was - was_low)
    return Effect(share - was, float(share - was - below), float(share - was + above))


def _exact(counts: NDArray[np.float64], below: float, above: float) -> tuple[float, float, float]:
    """The rate with Clopper and Pearson's bounds."""
    labels, errors = counts.tolist()
    low = float(special.betaincinv(errors, labels - errors + 1, below)) if errors else 0.0
    high = float(special.betainccinv(errors + 1, labels - errors, above)) if errors < labels else 1.0
    return errors / labels, low, high
