"""What a reference teaches the scan: features, spectrum, null law, thresholds and the unit of effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import Calibration, NullWorld, Progress
from detectors.dependence import Dependence
from detectors.law import Law
from detectors.panes import NOVELTY_BINS, RARE_BIN
from detectors.spectrum import Moments, Spectrum
from detectors.summarizer import Described, Extras, Summarizer
from detectors.windows import SCALES

Order: TypeAlias = Literal["iid", "time"]

PANE = 16
"""Samples from which a test pane is decided on."""
_REGULARISERS = (0.02, 0.2, float("inf"))
_MOST_FIT, _MOST_CALIBRATION = 10_000, 30_000
_RUN_LENGTH_PER_ROW = 5.0
_LEAST_ROWS = 200
_LEAST_SLICE_WINDOW = 64
_LEAST_UNIT = 1.0
"""Of a scalar: a measure that hardly ever varies in the reference has hardly a rarest hundredth to compare with."""


def rows_needed(run_length: float) -> int:
    """Independent reference rows that support a run length; rows that depend on their neighbours count for less."""
    return max(_LEAST_ROWS, int(np.ceil(run_length / _RUN_LENGTH_PER_ROW)))


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A segment's own part of the reference: its mean feature and scalars relative to the monitor's, its traces, its rows."""

    features: NDArray[np.float32]
    scalars: NDArray[np.float64]
    scalar_deviation: NDArray[np.float64]
    moments: Moments
    rows: int
    """Behind the mean feature."""
    scalar_rows: int
    """Behind the scalars' mean: only rows that the fit part does not hold."""
    least_samples: int = 0
    """Shorter windows are not weighed: their law is not known from the slice's moments alone."""
    rare_share: float = 1 - RARE_BIN / NOVELTY_BINS
    """Of its rows that the fit part does not hold, beyond the rare novelty percentile of the whole reference."""


@dataclass(frozen=True, slots=True, eq=False)
class ScanModel:
    """What a reference teaches the scan; shared by all streams of a monitor, never changed by them."""

    summarizer: Summarizer
    spectrum: Spectrum
    calibration: Calibration
    eigenvalues: NDArray[np.float64]
    """(D,) variance of the calibration features along the basis."""
    units: NDArray[np.float64]
    """(M,) effect of wholly new content in each channel's norm."""
    pane: int
    held_out: NDArray[np.bool_]
    """(n,) reference rows that prototypes, directions and whitening were not fitted on: others look more familiar than traffic can."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The M channels: norms of the mean feature, then scalars."""
        return self.spectrum.names + self.summarizer.scalar_names

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, as arrays without pickle."""
        own: dict[str, NDArray[np.generic]] = {
            "spectrum.basis": self.spectrum.basis,
            "spectrum.weights": self.spectrum.weights,
            "spectrum.names": np.array(self.spectrum.names),
            "eigenvalues": self.eigenvalues,
            "units": self.units,
            "pane": np.array(self.pane),
            "held_out": self.held_out,
        }
        own |= {f"summarizer.{name}": value for name, value in self.summarizer.to_arrays().items()}
        return own | {f"calibration.{name}": value for name, value in self.calibration.to_arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Restores what `to_arrays` gave."""

        def part(prefix: str) -> dict[str, NDArray[np.generic]]:
            return {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}

        spectrum = part("spectrum.")
        return cls(
            Summarizer.from_arrays(part("summarizer.")),
            Spectrum(
                np.asarray(spectrum["basis"], np.float32),
                np.asarray(spectrum["weights"], np.float32),
                tuple(str(name) for name in spectrum["names"]),
            ),
            Calibration.from_arrays(part("calibration.")),
            np.asarray(arrays["eigenvalues"], np.float64),
            np.asarray(arrays["units"], np.float64),
            int(arrays["pane"]),
            np.asarray(arrays["held_out"], np.bool_),
        )

    def slice(self, described: Described, held_out: NDArray[np.bool_]) -> Slice:
        """A segment's slice from its described reference rows and which of them the fit part does not hold."""
        features, scalars = self._rotated(described)
        fresh, apart = int(held_out.sum()), scalars[held_out]
        deviation = np.maximum(apart.std(0), self.calibration.scalar_deviation)  # a few rows that lie low also scatter little
        moments = Moments.of(np.cov(features[held_out], rowvar=False), self.spectrum.weights).unbiased(fresh)
        return Slice(
            features.mean(0).astype(np.float32),
            apart.mean(0),
            deviation,
            moments,
            len(described),
            fresh,
            _LEAST_SLICE_WINDOW,
            float((described.novelty[held_out] >= RARE_BIN / NOVELTY_BINS).mean()),
        )

    def whole(self) -> Slice:
        """The whole reference as a slice: no shift."""
        c = self.calibration
        return Slice(np.zeros(len(self.eigenvalues), np.float32), c.scalar_mean, c.scalar_deviation, c.moments, c.rows, c.scalar_rows)

    def _rotated(self, described: Described) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        centred = described.features - self.summarizer.mean
        return (centred @ self.spectrum.basis).astype(np.float64), described.scalars.astype(np.float64)

    def expected_delay(self, share: float, run_length: float) -> float:
        """Samples until the mean evidence crosses when `share` of the traffic becomes new content; infinity beyond the longest window.

        The new content is taken to be as new as the reference's median cluster would be, had the reference never held it.
        """
        c, threshold = self.calibration, self.calibration.curve.threshold(run_length)
        n = np.unique(np.geomspace(self.pane, self.pane * 2 ** (SCALES - 1), 400).astype(np.int64))
        scale = np.clip(np.log2(n / self.pane).astype(int), 0, SCALES - 1)
        norms = len(self.spectrum.weights)
        reach = share * self.units
        gain_norm = n[:, None] / (1 + n[:, None] / c.rows) * reach[:norms] ** 2
        gain_scalar = np.sqrt(n[:, None] / (1 + n[:, None] / c.scalar_rows)) * reach[norms:] / c.scalar_deviation
        law = Law(c.law.mean[scale], c.law.deviation[scale], c.law.skewness[scale])
        crossed = (law.surprise(c.law.mean[scale] + np.hstack([gain_norm, gain_scalar])) >= threshold).any(1)
        return float(n[crossed.argmax()]) if crossed.any() else float("inf")


def fit_model(
    reference: NDArray[np.float32],
    *,
    seed: int,
    order: Order = "iid",
    pane: int = PANE,
    extras: Extras = Extras(),  # noqa: B008 - frozen and empty
    progress: Progress = lambda _: None,
) -> ScanModel:
    """Learns a scan from (n, d) float32 reference rows: a fit and a calibration part, features, spectrum, null law, thresholds.

    extras : what else is known of each row; each part becomes scalar channels.
    """
    if reference.ndim != 2 or len(reference) < _LEAST_ROWS:
        raise ValueError(f"a reference has at least {_LEAST_ROWS} rows of one dimension, found shape {reference.shape}")
    if not np.isfinite(reference).all():
        raise ValueError("the reference has values that are not finite")
    if not np.ptp(reference, axis=0).any():
        raise ValueError("the reference's rows are all the same: nothing could be told from them")
    rng = np.random.default_rng(seed)
    fit_rows, calibration_rows = _split(len(reference), order, rng)
    fit, calibration = reference[fit_rows], reference[calibration_rows]
    own = extras.take(calibration_rows)
    answers = None if own.predicted is None or extras.predicted is None else (extras.predicted[fit_rows], own.predicted)
    summarizer = Summarizer.fit(fit, calibration, rng=rng, confidence=own.confidence, predicted=answers, quality=own.quality)
    spectrum = Spectrum.fit(summarizer.random_features(fit), _REGULARISERS)
    described = summarizer.calibrating(
        summarizer.describe(calibration, confidence=own.confidence, predicted=own.predicted, quality=own.columns)
    )
    summarizer = replace(summarizer, mean=_mean_feature(summarizer, reference))
    features = ((described.features - described.features.mean(0)) @ spectrum.basis).astype(np.float32)
    dependence = Dependence.measure(features * np.sqrt(spectrum.weights[0])) if order == "time" else Dependence.none()
    world = NullWorld.of(features, described.scalars, weights=spectrum.weights, total=len(reference), pane=pane, block=dependence.block)
    covariance = np.cov(features.astype(np.float64), rowvar=False)
    calibrated = _calibrate(world, covariance, dependence, rng, progress)
    units = _units(features, described, spectrum)
    held_out = ~np.isin(np.arange(len(reference)), fit_rows)
    return ScanModel(summarizer, spectrum, calibrated, np.diag(covariance).copy(), units, pane, held_out)


def _split(n: int, order: Order, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Disjoint fit and calibration rows, capped: at random, or from alternate eighths of the timeline, all of it covered.

    Calibration rows in order of time stay neighbours: of each eighth a run.
    """
    if order == "iid":
        mixed = rng.permutation(n)
        return mixed[: n // 2][:_MOST_FIT], mixed[n // 2 :][:_MOST_CALIBRATION]
    eighths = np.array_split(np.arange(n), 8)
    fit = np.concatenate(eighths[::2])
    spread = np.linspace(0, len(fit) - 1, min(len(fit), _MOST_FIT)).astype(np.int64)
    return fit[spread], np.concatenate([eighth[: _MOST_CALIBRATION // 4] for eighth in eighths[1::2]])


def _mean_feature(summarizer: Summarizer, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    total = np.zeros(summarizer.features)
    for part in np.array_split(rows, max(1, len(rows) // 4096)):
        total += summarizer.random_features(part).sum(0, dtype=np.float64)
    return np.asarray(total / len(rows), np.float32)


def _calibrate(
    world: NullWorld, covariance: NDArray[np.float64], dependence: Dependence, rng: np.random.Generator, progress: Progress
) -> Calibration:
    """Thresholds from the resampled world, and the laws that fresh traffic is weighed by."""
    plug_in = Moments.of(covariance, world.weights)
    moments = plug_in.unbiased(len(world.rows))
    law, curve = world.simulate(rng, plug_in, progress)
    return Calibration(
        law=dependence.correct(_freed(law, plug_in, moments, world.repetition()), world),
        curve=curve.carrying(len(world.rows) / dependence.inflation),
        moments=moments,
        scalar_mean=world.scalar_mean,
        scalar_deviation=world.deviation,
        rows=world.reference[0],
        scalar_rows=world.reference[1],
        block=dependence.block,
        supported=_RUN_LENGTH_PER_ROW * world.reference[0] / dependence.inflation,
    )


def _freed(law: Law, plug_in: Moments, moments: Moments, repetition: NDArray[np.float64]) -> Law:
    """The law of fresh traffic: the simulated one, freed of what rows that meet themselves add to its second and third moments.

    repetition : (K,) share of the pairs in a window that can be of one row.
    """
    share = repetition[:, None]
    t2 = moments.t2 + share * (plug_in.t2 - moments.t2)
    t3 = moments.t3 + share * (plug_in.t3 - moments.t3)
    ones = np.ones((len(law.mean), law.mean.shape[1] - len(moments.t1)))
    deviation = np.sqrt(moments.t2 / t2)
    skewness = moments.skewness / Moments(moments.t1, t2, t3).skewness
    return law.scaled(np.ones_like(law.mean), np.hstack([deviation, ones]), np.hstack([skewness, ones]))


def _units(features: NDArray[np.float32], described: Described, spectrum: Spectrum) -> NDArray[np.float64]:
    """Per channel, how far wholly new content lies: the median over reference clusters of one against all others."""
    cluster, norms = described.cluster, []
    for c in np.unique(cluster):
        inside = cluster == c
        if 20 <= inside.sum() <= len(cluster) - 20:
            apart = features[inside].mean(0) - features[~inside].mean(0)
            noise = features[inside].var(0) / inside.sum() + features[~inside].var(0) / (~inside).sum()
            norms.append(spectrum.weights @ (apart.astype(np.float64) ** 2 - noise))
    quadratic = np.sqrt(np.maximum(np.median(norms, axis=0), 1e-6)) if norms else np.ones(len(spectrum.weights))
    rare = np.quantile(described.scalars, 0.99, axis=0) - described.scalars.mean(0)
    return np.concatenate([quadratic, np.maximum(rare, _LEAST_UNIT)])
