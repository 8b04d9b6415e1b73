"""Accuracy without labels: what the model's own confidence says about how often it is right, once the confidence is calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.bounds import proportion_interval

TERMS = 4
"""Numbers per sample whose sums give an estimate with its interval."""

_LEAST_ROWS, _LEAST_EACH = 100, 5
_CLIP = 1e-6
_BINS = 10
_BEYOND = 2.8
"""Standard errors that the largest of so many gaps exceeds by chance with probability .05."""
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Estimated:
    """A quantity with its 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class AccuracyCalibration:
    """P(right | confidence) = σ(slope · logit confidence + intercept), from labelled reference rows.

    An estimate for a window is the mean of it over the window's samples (confidence-based performance estimation). It stands on one
    assumption: *traffic may change, but a given confidence goes on meaning what it meant in the reference*. New classes, changed
    labels or inputs on which the model is sure and wrong break it, and no interval here can show that: only labels can.
    The interval counts the samples of the window, the calibration's own uncertainty, and where the curve does not fit, as far as
    tenths of the labelled rows can show it: 1,500 rows show a gap of .1 in a tenth of the confidences, 300 one of .25; neither shows
    what is wrong in a fiftieth of them.

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines", 1999 (the curve, and targets that keep it finite). Guo, Pleiss, Sun
    and Weinberger, "On calibration of modern neural networks", ICML 2017. Garg et al., "Leveraging unlabeled data to predict
    out-of-distribution performance", ICLR 2022 (compares estimates of this kind; without assumptions none is possible).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> confidence = rng.uniform(0.5, 1, 4000).astype(np.float32)
    >>> calibration = AccuracyCalibration.fit(confidence, rng.random(4000) < confidence)
    >>> unsure = rng.uniform(0.5, 0.7, 500).astype(np.float32)  # right in 60 %
    >>> found = calibration.estimate(calibration.terms(unsure).sum(0))
    >>> bool(found.low < 0.6 < found.high), round(found.high - found.low, 1)
    (True, 0.1)
    """

    slope: float
    """1 for a model whose confidence is calibrated; below 1 it is over-confident."""
    intercept: float
    covariance: NDArray[np.float64]
    """(2, 2) of slope and intercept."""
    right: int
    rows: int
    misfit: float
    """How far the curve may lie from the rows' own shares of right answers: by the worst of ten bins that chance does not explain,
    at least by what the bins together lie off beyond chance, root mean square. Traffic may consist of one bin alone."""

    @classmethod
    def fit(cls, confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> Self:
        """From (n,) largest probabilities, 0 to 1, and whether each answer was right; n ≥ 100, at least 5 right and 5 wrong."""
        n, hits = len(confidence), int(np.sum(right))
        if confidence.shape != right.shape or confidence.ndim != 1:
            raise ValueError(f"confidence and right are (n,) each, found {confidence.shape} and {right.shape}")
        if n and not (np.isfinite(confidence).all() and confidence.min() >= 0 and confidence.max() <= 1):
            raise ValueError("confidence lies between 0 and 1, and every labelled row has one")
        if n < _LEAST_ROWS or min(hits, n - hits) < _LEAST_EACH:
            raise ValueError(
                f"calibrating confidence needs at least {_LEAST_ROWS} labelled rows, {_LEAST_EACH} of them right and {_LEAST_EACH} wrong; "
                f"there are {n}, {hits} right: label more of the reference"
            )
        x = _logit(confidence)
        (slope, intercept), covariance = _logistic(x, right)
        misfit = _misfit(special.expit(slope * x + intercept), right)
        return cls(slope, intercept, covariance, hits, n, misfit)

    def terms(self, confidence: NDArray[np.float32]) -> NDArray[np.float64]:
        """(m,) confidences, NaN where there is none → (m, 4): 1 where there is one, probability of being right, and its derivatives by
        slope and intercept; all 0 where there is none.

        Sums over samples, like all of a pane's summary: `estimate` takes those of any group.
        """
        known = ~np.isnan(confidence)
        x = _logit(np.where(known, confidence, 0.5))
        probability = special.expit(self.slope * x + self.intercept)
        slack = probability * (1 - probability)
        return np.where(known[:, None], np.stack([np.ones(len(x)), probability, slack * x, slack], axis=1), 0.0)

    def estimate(self, sums: NDArray[np.float64], *, inflation: float = 1.0) -> Estimated:
        """Accuracy over the samples whose terms (4,) were summed; 0 to 1 when none had a confidence.

        Holds for the accuracy of these very samples as for that of the traffic that they were drawn from. `inflation`: samples, of the
        window and of the calibration, that are worth one where neighbours depend on each other.
        """
        n, *means = np.asarray(sums, np.float64).tolist()
        if n < 1:
            return Estimated(self.right / self.rows, 0.0, 1.0)
        accuracy, *gradient = (mean / n for mean in means)
        value = float(np.clip(accuracy, _CLIP, 1 - _CLIP))
        spread = value * (1 - value)
        half = _Z * np.sqrt(inflation * (spread / n + np.array(gradient) @ self.covariance @ np.array(gradient))) / spread
        low, high = special.expit(special.logit(value) + half * np.array([-1.0, 1.0]))
        return Estimated(value, max(float(low) - self.misfit, 0.0), min(float(high) + self.misfit, 1.0))

    @property
    def reference(self) -> Estimated:
        """Accuracy on the labelled reference rows."""
        share = self.right / self.rows
        low, high = proportion_interval(np.array(share), self.rows, _Z)
        return Estimated(share, float(low), float(high))

    @property
    def reliability(self) -> tuple[Estimated, Estimated]:
        """Slope and intercept with their intervals: 1 and 0 where the model's own confidence can be taken at its word."""
        error = _Z * np.sqrt(np.diag(self.covariance))
        parts = zip((self.slope, self.intercept), error, strict=True)
        slope, intercept = (Estimated(value, value - float(e), value + float(e)) for value, e in parts)
        return slope, intercept

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """All that `from_arrays` needs."""
        curve = np.array([self.slope, self.intercept, self.misfit])
        return {"curve": curve, "covariance": self.covariance, "rows": np.array([self.right, self.rows], np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Restores what `to_arrays` gave."""
        slope, intercept, misfit = (float(v) for v in np.asarray(arrays["curve"], np.float64))
        right, rows = (int(v) for v in np.asarray(arrays["rows"], np.int64))
        return cls(slope, intercept, np.asarray(arrays["covariance"], np.float64), right, rows, misfit)


def _logit(confidence: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(special.logit(np.clip(np.asarray(confidence, np.float64), _CLIP, 1 - _CLIP)), np.float64)


def _logistic(x: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[tuple[float, float], NDArray[np.float64]]:
    """Slope and intercept by Newton's method, with the sandwich covariance, which holds where the curve is not exact."""
    hits = int(right.sum())
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (len(x) - hits + 2))
    design = np.stack([x, np.ones(len(x))], axis=1)
    beta = np.array([1.0, 0.0])
    for _ in range(50):
        probability = special.expit(design @ beta)
        weight = np.maximum(probability * (1 - probability), _CLIP)
        bread = np.linalg.pinv((design * weight[:, None]).T @ design)
        step = bread @ (design.T @ (target - probability))
        beta += step / max(1.0, float(np.abs(step).max()))  # far from the optimum a whole step may overshoot
        if np.abs(step).max() < _CLIP:
            break
    residual = design * (right - special.expit(design @ beta))[:, None]
    return (float(beta[0]), float(beta[1])), np.asarray(bread @ (residual.T @ residual) @ bread, np.float64)


def _misfit(probability: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The largest of the bins' gaps that is beyond chance, or the gaps' root mean square freed of what chance adds to it if that is
    more: two parameters were fitted to the same rows."""
    bins = np.array_split(np.argsort(probability, kind="stable"), _BINS)
    gaps = np.array([right[rows].mean() - probability[rows].mean() for rows in bins])
    chance = np.array([(probability[rows] * (1 - probability[rows])).mean() / len(rows) for rows in bins])
    together = np.sqrt(max((gaps**2).mean() - chance.mean() * (1 - 2 / _BINS), 0.0))
    beyond = np.abs(gaps) > _BEYOND * np.sqrt(chance)
    return float(max(together, np.abs(gaps[beyond]).max(initial=0.0)))
