"""What a reference teaches the scan: features, spectrum, null law, thresholds and the unit of effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import LEAST_SLICE_WINDOW, Calibration, NullWorld, Progress
from detectors.dependence import Dependence
from detectors.law import Law
from detectors.learning import MOST_COUNTED, Order, Residuals, centred, check, check_asked, check_times, check_varied, regress, split
from detectors.panes import NOVELTY_BINS, RARE_BIN
from detectors.spectrum import Moments, Spectrum
from detectors.summarizer import Described, Extras, Summarizer
from detectors.thresholds import ThresholdCurve, check_run_length
from detectors.timeofday import Clock, Products, Profile
from detectors.windows import SCALES, mean_lengths

PANE = 8
"""Samples from which a test pane is decided on."""
_REGULARISERS = (0.02, 0.2, float("inf"))
_RUN_LENGTH_PER_ROW = 5.0
_LEAST_ROWS = 200
_LEAST_HELD_OUT = 50
"""Independent rows of a slice that the fit part does not hold: its law comes from them."""
_LEAST_UNIT = 1.0
"""Of a scalar: a measure that hardly ever varies in the reference has hardly a rarest hundredth to compare with."""


def rows_needed(run_length: float, *, inflation: float = 1.0) -> int:
    """Reference rows that support a run length: inflation x run length / 5.

    inflation : how many of the rows are worth one independent row (`Dependence.inflation`), 1 where neighbours do not depend on each
    other. By simulation independent rows would bear twice the run length, sessions would not.

    >>> rows_needed(20_000), rows_needed(20_000, inflation=3)
    (4000, 12000)
    """
    return max(_LEAST_ROWS, int(np.ceil(run_length * inflation / _RUN_LENGTH_PER_ROW)))


def supported_run_length(rows: int, *, inflation: float = 1.0) -> float:
    """Longest run length that a reference of so many rows holds to: the inverse of `rows_needed`.

    >>> supported_run_length(500)
    2500.0
    """
    return _RUN_LENGTH_PER_ROW * rows / inflation


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A segment's own part of the reference: what is expected of it, the null law of its windows, its traces, its rows."""

    profile: Profile
    """Relative to the monitor's mean feature; scalars as they are."""
    law: Law
    curve: ThresholdCurve
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

    @property
    def scalars(self) -> NDArray[np.float64]:
        """(S,) expected scalars, the swing of the day apart."""
        return self.profile.coefficients[0, -len(self.scalar_deviation) :]


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
    profile: Profile
    dependence: Dependence
    times: NDArray[np.float64]
    """(n,) of the reference rows where the profile needs them, else (0,)."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The M channels: norms of the mean feature, then scalars."""
        return self.spectrum.names + self.summarizer.scalar_names

    @property
    def least_held_out(self) -> int:
        """Rows of a slice that the fit part must not hold: more where neighbours depend on each other."""
        return int(np.ceil(_LEAST_HELD_OUT * self.dependence.whitened))

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
            "times": self.times,
        }
        own |= {f"profile.{name}": value for name, value in self.profile.to_arrays().items()}
        own |= {f"dependence.{name}": value for name, value in self.dependence.to_arrays().items()}
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
            Profile.from_arrays(part("profile.")),
            Dependence.from_arrays(part("dependence.")),
            np.asarray(arrays["times"], np.float64),
        )

    def slice(self, described: Described, held_out: NDArray[np.bool_], *, times: NDArray[np.float64] | None = None) -> Slice:
        """A segment's slice from its described reference rows, which of them the fit part does not hold, and their times where the
        reference has a profile (`ScanModel.times`). ValueError below `least_held_out` of the former."""
        if held_out.sum() < self.least_held_out:
            raise ValueError(f"a slice needs {self.least_held_out} rows that the fit part does not hold, found {held_out.sum()}")
        if times is None and self.profile.clock.size > 1:
            raise ValueError("the reference has a profile of time: a slice needs the times of its rows")
        basis = self.profile.clock.basis(np.zeros(len(described)) if times is None else times)
        rows = np.hstack([self._rotated(described.features), described.scalars]) - (basis @ self.profile.coefficients).astype(np.float32)
        width = len(self.eigenvalues)
        parts = Products.of(basis, rows[:, :width]), Products.of(basis[held_out], rows[held_out, width:])
        profile = Profile.learn(self.profile.clock, *parts, prior=self.profile.coefficients)
        rest = (rows - basis @ (profile.coefficients - self.profile.coefficients))[held_out]
        own = rest[:, width:].std(0, dtype=np.float64)
        deviation = np.maximum(own, self.calibration.scalar_deviation)  # a few rows that lie low also scatter little
        moments = self._sliced_moments(rest[:, :width])
        law = self._sliced_law(moments, rest[:, :width], len(described))
        rare = float((described.novelty[held_out] >= RARE_BIN / NOVELTY_BINS).mean())
        curve = self.calibration.slice_curve
        return Slice(profile, law, curve, deviation, moments, len(described), len(rest), LEAST_SLICE_WINDOW, rare)

    def require(self, run_length: float) -> None:
        """ValueError, saying how many rows are needed, for a run length that the reference does not support."""
        check_run_length(run_length)
        rows, supported = self.calibration.rows, self.calibration.supported
        if run_length <= supported:
            return
        inflation = self.dependence.inflation
        need = rows_needed(run_length, inflation=inflation)
        ways = "ask for less, or take what they support (accept_supported)"
        if need > MOST_COUNTED:
            most = supported_run_length(MOST_COUNTED, inflation=inflation)
            raise ValueError(
                f"a run length of {run_length:g} is more than any reference supports: {MOST_COUNTED} rows count at most, which if like "
                f"these support {most:.0f}, and the {rows} given support {supported:.0f}; {ways}"
            )
        need = int(np.ceil(need * max(rows / (2 * self.calibration.scalar_rows), 1.0)))  # where fewer than half of the rows calibrate
        why = "" if self.dependence.block == 1 else f"; neighbours depend on each other, {inflation:.3g} are worth one"
        at_least = "about" if self.dependence.measured else "more than"
        raise ValueError(
            f"a run length of {run_length:g} needs {at_least} {need} rows like these: {rows} were given{why}, which support "
            f"{supported:.0f}; add rows, {ways}"
        )

    def whole(self) -> Slice:
        """The whole reference as a slice: no shift."""
        c = self.calibration
        return Slice(self.profile, c.law, c.curve, c.scalar_deviation, c.moments, c.rows, c.scalar_rows)

    def _rotated(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray((features - self.summarizer.mean) @ self.spectrum.basis, np.float32)

    def _sliced_moments(self, rest: NDArray[np.float64]) -> Moments:
        """Of the slice's rows, freed of what so few of them add, and of what centring at their own mean takes away."""
        independent = len(rest) / self.dependence.whitened
        own = Moments.of_rows(rest, self.spectrum.weights).unbiased(independent)
        lost = 1 - min((self.dependence.whitened - 1) / len(rest), 0.5)
        return Moments(own.t1 / lost, own.t2 / lost**2, own.t3 / lost**3)

    def _sliced_law(self, moments: Moments, rest: NDArray[np.float64], rows: int) -> Law:
        """The monitor's law with the slice's own traces in place of the whole reference's, as uncertain as so few rows leave them.

        The slice's rows depend on each other as the monitor's do, at most: a session may lie wholly within the slice.
        """
        law, whole, dependence = self.calibration.law, self.calibration.moments, self.dependence
        longer = self._lengthened(rows, self.calibration.rows)
        norms = np.square(rest) @ self.spectrum.weights.T.astype(np.float64)
        unsure = norms.var(0) / (len(rest) / dependence.whitened) / moments.t1**2
        g = len(moments.t1)
        mean, deviation, skewness = law.mean.copy(), law.deviation.copy(), law.skewness.copy()
        mean[:, :g] *= longer[:, :g] * moments.t1 / whole.t1
        deviation[:, :g] *= longer[:, :g] * np.sqrt(moments.t2 / whole.t2)
        deviation[:, :g] = np.sqrt(deviation[:, :g] ** 2 + unsure * mean[:, :g] ** 2)
        deviation[:, g:] *= np.sqrt(self._lengthened(len(rest), self.calibration.scalar_rows)[:, g:])
        skewness[:, :g] *= moments.skewness / whole.skewness
        return Law(mean, deviation, skewness)

    def _lengthened(self, rows: int, whole: int) -> NDArray[np.float64]:
        """(K, M) what dependence adds to a window's mean square against a mean of `rows`, over what it adds against one of `whole`."""
        n = mean_lengths() * self.pane
        return np.array([self.dependence.expected(v, rows) / self.dependence.expected(v, whole) for v in n])

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


def fit_model(  # noqa: PLR0913 - each says something of the same rows
    reference: NDArray[np.float32],
    *,
    seed: int,
    order: Order = "iid",
    pane: int = PANE,
    extras: Extras = Extras(),  # noqa: B008 - frozen and empty
    times: NDArray[np.float64] | None = None,
    progress: Progress = lambda _: None,
) -> ScanModel:
    """Learns a scan from (n, d) float32 reference rows: a fit and a calibration part, features, spectrum, null law, thresholds.

    The rows may be a memory map: they are read in parts, and no more than 40,000 are held.

    extras : what else is known of each row; each part becomes scalar channels.
    times : (n,) Unix seconds of the rows; where they cover three days or two weeks, what is expected follows the time of day and week.
    """
    check_asked(order, pane)
    check(reference, _LEAST_ROWS)
    if times is not None:
        check_times(times, len(reference), order)
    clock = Clock.covering(times)
    stamps = np.zeros(len(reference)) if times is None or clock.size == 1 else times
    rng = np.random.default_rng(seed)
    fit_rows, calibration_rows = split(len(reference), order, stamps if clock.size > 1 else None, rng)
    fit, calibration = reference[fit_rows], reference[calibration_rows]
    check_varied(fit, "fit")
    check_varied(calibration, "calibration")
    own = extras.take(calibration_rows)
    answers = None if own.predicted is None or extras.predicted is None else (extras.predicted[fit_rows], own.predicted)
    summarizer = Summarizer.fit(fit, calibration, rng=rng, confidence=own.confidence, predicted=answers, quality=own.quality)
    whole = regress(summarizer, reference, clock, stamps, lambda done: progress(0.3 * done))
    summarizer = centred(summarizer, whole)
    expected = (clock.basis(stamps[fit_rows]) @ whole.solved()).astype(np.float32)
    spectrum = Spectrum.fit(summarizer.random_features(fit) - expected, _REGULARISERS)
    described = summarizer.describe(calibration, confidence=own.confidence, predicted=own.predicted, quality=own.columns).calibrating()
    rest = Residuals.of(whole, described, spectrum, clock=(clock, clock.basis(stamps[calibration_rows])), order=order)
    block = rest.dependence.block
    world = NullWorld.of(rest.rows, weights=spectrum.weights, total=len(reference), pane=pane, block=block)
    features = rest.rows[:, : summarizer.features]
    covariance = np.cov(features.astype(np.float64), rowvar=False)
    calibrated = _calibrate(world, covariance, rest.dependence, rng, lambda done: progress(0.3 + 0.7 * done))
    units = _units(features, described, spectrum)
    held_out = ~np.isin(np.arange(len(reference)), fit_rows)
    kept = stamps if rest.profile.clock.size > 1 else np.empty(0)
    return ScanModel(
        summarizer, spectrum, calibrated, np.diag(covariance).copy(), units, pane, held_out, rest.profile, rest.dependence, kept
    )


def _calibrate(
    world: NullWorld, covariance: NDArray[np.float64], dependence: Dependence, rng: np.random.Generator, progress: Progress
) -> Calibration:
    """Thresholds from the resampled world, and the laws that fresh traffic is weighed by."""
    plug_in = Moments.of(covariance, world.weights)
    moments = plug_in.unbiased(len(world.rows))
    law, curves = world.simulate(rng, plug_in, progress)
    curve, slice_curve = (each.carrying(len(world.rows) / dependence.whitened) for each in curves)
    return Calibration(
        law=_freed(law, plug_in, moments, world.repetition()) if dependence.block == 1 else dependence.correct(law, world),
        curve=curve,
        slice_curve=slice_curve,
        moments=moments,
        scalar_deviation=world.deviation,
        rows=world.reference[0],
        scalar_rows=world.reference[1],
        block=dependence.block,
        supported=supported_run_length(min(world.reference[0], 2 * world.reference[1]), inflation=dependence.inflation),
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
