"""The calibrated multi-scale scan: one detector over all recent window lengths and several norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from detectors.base import NO_EFFECT, Effect, Evidence
from detectors.calibration import Calibration, Moments, NullWorld, Progress, Spectrum
from detectors.dependence import Dependence
from detectors.effects import squared_norm_interval, two_sided_z
from detectors.law import Law
from detectors.panes import NOVELTY_BINS, Summary
from detectors.summarizer import Described, Summarizer
from detectors.windows import Windows

Order = Literal["iid", "time"]

PANE = 16
_REGULARISERS = (0.02, 0.2, float("inf"))
_SCALES = 13
_MOST_FIT, _MOST_CALIBRATION = 10_000, 30_000
_RUN_LENGTH_PER_ROW = 5.0
_LEAST_ROWS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A segment's own part of the reference: its mean feature and scalars relative to the monitor's, its traces, its rows."""

    features: NDArray[np.float32]
    scalars: NDArray[np.float64]
    scalar_deviation: NDArray[np.float64]
    moments: Moments
    rows: int


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
        )

    def slice(self, described: Described) -> Slice:
        """A segment's slice from its described reference rows."""
        features, scalars = self._rotated(described)
        covariance = np.cov(features, rowvar=False)
        moments = Moments.of(covariance, self.spectrum.weights).unbiased(len(described))
        return Slice(features.mean(0).astype(np.float32), scalars.mean(0), scalars.std(0) + 1e-9, moments, len(described))

    def whole(self) -> Slice:
        """The whole reference as a slice: no shift."""
        c = self.calibration
        return Slice(np.zeros(len(self.eigenvalues), np.float32), c.scalar_mean, c.scalar_deviation, c.moments, c.rows)

    def _rotated(self, described: Described) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        centred = described.features - self.summarizer.mean
        return (centred @ self.spectrum.basis).astype(np.float64), described.scalars.astype(np.float64)

    def expected_delay(self, share: float, run_length: float) -> float:
        """Samples until the mean evidence crosses when `share` of the traffic becomes new content; infinity beyond the longest window.

        The new content is taken to be as new as the reference's median cluster would be, had the reference never held it.
        """
        c, threshold = self.calibration, self.calibration.curve.threshold(run_length)
        n = np.unique(np.geomspace(self.pane, self.pane * 2 ** (_SCALES - 1), 400).astype(np.int64))
        scale = np.clip(np.log2(n / self.pane).astype(int), 0, _SCALES - 1)
        norms = len(self.spectrum.weights)
        reach = share * self.units
        gain_norm = n[:, None] / (1 + n[:, None] / c.rows) * reach[:norms] ** 2
        gain_scalar = np.sqrt(n[:, None] / (1 + n[:, None] / c.scalar_rows)) * reach[norms:] / c.scalar_deviation
        law = Law(c.law.mean[scale], c.law.deviation[scale], c.law.skewness[scale])
        crossed = (law.surprise(c.law.mean[scale] + np.hstack([gain_norm, gain_scalar])) >= threshold).any(1)
        return float(n[crossed.argmax()]) if crossed.any() else float("inf")


class StreamScan:
    """The scan of one stream: summaries of consecutive samples in, evidence out. Holds at most 128 kB however long it runs."""

    def __init__(self, model: ScanModel, *, run_length: float, slice: Slice | None = None) -> None:
        self.model = model
        self.slice = slice or model.whole()
        self.threshold = model.calibration.curve.threshold(min(run_length, 1e10))
        self._law = self._sliced_law()
        self._widths = np.cumsum([len(model.eigenvalues), len(model.summarizer.scalar_names), model.summarizer.clusters + 1, NOVELTY_BINS, 1])
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.samples = 0
        self._latched = False
        self._partial: Summary | None = None
        self._windows = Windows(_SCALES, int(self._widths[-1]) + len(self.model.spectrum.weights))
        self.evidence = Evidence(False, False, 0, 0.0, self.threshold, NO_EFFECT, 0, "")

    def update(self, summary: Summary) -> Evidence:
        """Adds a summary; evidence moves once at least a pane of samples has come together."""
        merged = summary if self._partial is None else self._partial.merge(summary)
        self.samples += summary.count
        if merged.count < self.model.pane:
            self._partial = merged
            self.evidence = replace(self.evidence, alarm=False, samples=self.samples)
            return self.evidence
        self._partial = None
        self._windows.push(self._row(merged))
        self.evidence = self._weigh()
        return self.evidence

    def window(self) -> Summary:
        """The most surprising window's clusters, novelty and count (its sums are in the spectrum's basis)."""
        n = self._sums()[2]
        if not len(n):
            return self.model.summarizer.empty()
        row = self._windows.current[int(np.searchsorted(n, self.evidence.scale))].astype(np.float64)
        sums, scalars, clusters, novelty, *_ = np.split(row, self._widths)
        return Summary(self.evidence.scale, sums, scalars, np.rint(clusters).astype(np.int64), np.rint(novelty).astype(np.int64))

    @property
    def direction(self) -> NDArray[np.float32]:
        """(D,) the witness: whitened mean difference of the window in the features' own basis; larger inner products are more drifted."""
        features, _, n = self._sums()
        if not len(n):
            return np.zeros(len(self.model.eigenvalues), np.float32)
        at = int(np.searchsorted(n, self.evidence.scale))
        return np.asarray(self.model.spectrum.basis @ (features[at] * self.model.spectrum.weights[0]), np.float32)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything about the stream, as arrays; at most 128 kB."""
        head = np.array([self.samples, self._windows.panes, self._latched], np.int64)
        arrays: dict[str, NDArray[np.generic]] = {"head": head, "sums": self._windows.sums}
        if self._partial is not None:
            arrays["partial"] = np.frombuffer(self._partial.to_bytes(), np.uint8)
        return arrays

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes up where `state` was taken; a state of another model's shape is refused."""
        sums = np.array(state["sums"], np.float32)
        if sums.shape != self._windows.sums.shape:
            raise ValueError(f"state of shape {sums.shape} does not fit a scan of shape {self._windows.sums.shape}")
        self.samples, self._windows.panes, latched = (int(v) for v in np.asarray(state["head"], np.int64))
        self._latched, self._windows.sums = bool(latched), sums
        self._partial = Summary.from_bytes(np.asarray(state["partial"], np.uint8).tobytes()) if "partial" in state else None
        if self._windows.panes:
            self.evidence = replace(self._weigh(), alarm=False)

    def _row(self, summary: Summary) -> NDArray[np.float32]:
        """A pane's sums in the spectrum's basis around the slice's mean, its counts, and its squared norms for the spread."""
        features = summary.sums.astype(np.float32) @ self.model.spectrum.basis - summary.count * self.slice.features
        scalars = summary.scalars - summary.count * self.slice.scalars
        spread = self.model.spectrum.weights @ np.square(features) / summary.count
        return np.concatenate([features, scalars, summary.clusters, summary.novelty, [summary.count], spread], dtype=np.float32, casting="unsafe")

    def _sums(self) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
        """Mean differences (K, D) and (K, S) of the windows, and their samples (K,)."""
        rows, w = self._windows.current, self._widths
        n = rows[:, w[3]].astype(np.float64)
        return rows[:, : w[0]] / n[:, None].astype(np.float32), rows[:, w[0] : w[1]] / n[:, None], n

    def _weigh(self) -> Evidence:
        c = self.model.calibration
        features, scalars, n = self._sums()
        squared = np.square(features) @ self.model.spectrum.weights.T
        quadratic = squared * (n / (1 + n / self.slice.rows))[:, None]
        scalar_rows = min(c.scalar_rows, self.slice.rows)
        score = scalars / self.slice.scalar_deviation * np.sqrt(n / (1 + n / scalar_rows))[:, None]
        filled = slice(0, len(n))
        law = Law(self._law.mean[filled], self._law.deviation[filled], self._law.skewness[filled])
        surprise = law.surprise(np.hstack([quadratic, score]))
        k, channel = np.unravel_index(int(surprise.argmax()), surprise.shape)
        above = bool(surprise[k, channel] > self.threshold)
        alarm = above and not self._latched
        self._latched |= above
        return Evidence(
            alarm,
            above,
            self.samples,
            float(surprise[k, channel]),
            self.threshold,
            self._effect(int(k), int(channel)),
            int(n[k]),
            self.model.channels[channel],
        )

    def _effect(self, k: int, channel: int) -> Effect:
        """Effect of a window, with an interval that holds over all windows scanned so far (level .95 together)."""
        z = two_sided_z(self.model.calibration.curve.threshold(20.0 * max(self.samples, 50)))
        features, scalars, n = self._sums()
        norms = len(self.model.spectrum.weights)
        unit, width = self.model.units[channel], 1 / n[k] + 1 / self.slice.rows
        if channel >= norms:
            s = channel - norms
            half = z * self.slice.scalar_deviation[s] * np.sqrt(1 / n[k] + 1 / min(self.slice.rows, self.model.calibration.scalar_rows))
            return Effect(*(float(max(v, 0.0) / unit) for v in (scalars[k, s], scalars[k, s] - half, scalars[k, s] + half)))
        w = self.model.spectrum.weights[channel].astype(np.float64)
        squared = np.square(features[k].astype(np.float64))
        norm = float(w @ squared)
        theta = norm - self.slice.moments.t1[channel] * width
        along = float((w**2 * squared) @ self.model.eigenvalues) / max(norm, 1e-12)
        extra = max(self._spread(k, channel, norm, float(n[k])) - self.slice.moments.t1[channel], 0.0)
        noise = np.sqrt(2 * self.slice.moments.t2[channel]) * width
        low, high = squared_norm_interval(theta, noise=noise, slope=4 * (along + extra) * width, z=z)
        return Effect(*(float(np.sqrt(max(v, 0.0)) / unit) for v in (theta, low, high)))

    def _spread(self, k: int, channel: int, norm: float, n: float) -> float:
        """Trace of the window's own covariance in a channel's norm, from how its panes scatter."""
        panes = float(self._windows.lengths()[k])
        if panes < 4:
            return float(self.slice.moments.t1[channel])
        total = float(self._windows.current[k, int(self._widths[-1]) + channel])
        return (total - n * norm) / (panes - 1)

    def _sliced_law(self) -> Law:
        """The monitor's law with the slice's own traces in place of the whole reference's."""
        own, ours = self.model.calibration.moments, self.slice.moments
        ones = np.ones(len(self.slice.scalar_deviation))
        return self.model.calibration.law.scaled(
            np.concatenate([ours.t1 / own.t1, ones]),
            np.concatenate([np.sqrt(ours.t2 / own.t2), ones]),
            np.concatenate([ours.skewness / own.skewness, ones]),
        )


def fit_model(
    reference: NDArray[np.float32],
    *,
    seed: int,
    order: Order = "iid",
    pane: int = PANE,
    confidence: NDArray[np.float32] | None = None,
    progress: Progress = lambda _: None,
) -> ScanModel:
    """Learns a scan from (n, d) float32 reference rows: a fit and a calibration part, features, spectrum, null law, thresholds."""
    if reference.ndim != 2 or len(reference) < _LEAST_ROWS:
        raise ValueError(f"a reference has at least {_LEAST_ROWS} rows of one dimension, found shape {reference.shape}")
    if not np.isfinite(reference).all():
        raise ValueError("the reference has values that are not finite")
    rng = np.random.default_rng(seed)
    fit_rows, calibration_rows = _split(len(reference), order, rng)
    fit, calibration = reference[fit_rows[:_MOST_FIT]], reference[calibration_rows[:_MOST_CALIBRATION]]
    sure = None if confidence is None else confidence[calibration_rows[:_MOST_CALIBRATION]]
    summarizer = Summarizer.fit(fit, calibration, rng=rng, confidence=sure)
    spectrum = Spectrum.fit(summarizer.random_features(fit), _REGULARISERS)
    described = summarizer.describe(calibration, confidence=sure)
    summarizer = replace(summarizer, mean=_mean_feature(summarizer, reference))
    return _calibrated(summarizer, spectrum, described, total=len(reference), order=order, pane=pane, rng=rng, progress=progress)


def _split(n: int, order: Order, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Disjoint fit and calibration rows: at random, or alternate eighths of the timeline."""
    if order == "iid":
        mixed = rng.permutation(n)
        return mixed[: n // 2], mixed[n // 2 :]
    eighths = np.array_split(np.arange(n), 8)
    return np.concatenate(eighths[::2]), np.concatenate(eighths[1::2])


def _mean_feature(summarizer: Summarizer, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    total = np.zeros(summarizer.features)
    for part in np.array_split(rows, max(1, len(rows) // 4096)):
        total += summarizer.random_features(part).sum(0, dtype=np.float64)
    return np.asarray(total / len(rows), np.float32)


def _calibrated(
    summarizer: Summarizer,
    spectrum: Spectrum,
    described: Described,
    *,
    total: int,
    order: Order,
    pane: int,
    rng: np.random.Generator,
    progress: Progress,
) -> ScanModel:
    features = ((described.features - described.features.mean(0)) @ spectrum.basis).astype(np.float32)
    scalars = described.scalars.astype(np.float64)
    deviation = scalars.std(0) + 1e-9
    rows = np.hstack([features, (scalars - scalars.mean(0)).astype(np.float32)])
    dependence = Dependence.measure(features * np.sqrt(spectrum.weights[0])) if order == "time" else Dependence.none()
    world = NullWorld(rows, spectrum.weights, deviation, (total, len(rows)), pane, _SCALES, dependence.block)
    covariance = np.cov(features.astype(np.float64), rowvar=False)
    plug_in = Moments.of(covariance, spectrum.weights)
    law, curve = world.simulate(rng, plug_in, progress)
    moments = plug_in.unbiased(len(rows))
    calibration = Calibration(
        law=dependence.correct(_freed(law, plug_in, moments, pane), rows, world) if order == "time" else _freed(law, plug_in, moments, pane),
        curve=curve,
        moments=moments,
        scalar_mean=scalars.mean(0),
        scalar_deviation=deviation,
        rows=total,
        scalar_rows=len(rows),
        block=dependence.block,
        supported=_RUN_LENGTH_PER_ROW * total / dependence.inflation,
    )
    units = _units(features, scalars, described.cluster, spectrum)
    return ScanModel(summarizer, spectrum, calibration, np.diag(covariance).copy(), units, pane)


def _freed(law: Law, plug_in: Moments, moments: Moments, pane: int) -> Law:
    """The law of fresh traffic: the simulated one, freed of what resampling a finite part adds to its second and third moments."""
    scalars = law.mean.shape[1] - len(moments.t1)
    ones = np.ones(scalars)
    factor = np.concatenate([np.sqrt(moments.t2 / plug_in.t2), ones])
    skew = np.concatenate([moments.skewness / plug_in.skewness, ones])
    return law.scaled(np.ones_like(factor), factor, skew)


def _units(
    features: NDArray[np.float32], scalars: NDArray[np.float64], cluster: NDArray[np.int64], spectrum: Spectrum
) -> NDArray[np.float64]:
    """Per channel, how far wholly new content lies: the median over reference clusters of one against all others."""
    norms = []
    for c in np.unique(cluster):
        inside = cluster == c
        if 20 <= inside.sum() <= len(cluster) - 20:
            apart = features[inside].mean(0) - features[~inside].mean(0)
            noise = features[inside].var(0) / inside.sum() + features[~inside].var(0) / (~inside).sum()
            norms.append(spectrum.weights @ (apart.astype(np.float64) ** 2 - noise))
    quadratic = np.sqrt(np.maximum(np.median(norms, axis=0), 1e-6)) if norms else np.ones(len(spectrum.weights))
    rare = np.quantile(scalars, 0.99, axis=0) - scalars.mean(0)
    return np.concatenate([quadratic, np.maximum(rare, 1e-6)])


class DriftScan:
    """Sequential test of semantic drift on embeddings, with a run length that was asked for.

    Squared mean differences of random Fourier features in several spectrally regularised norms, and scalar novelty channels,
    over suffix windows of all dyadic lengths; each a tail probability under the null law of its channel and length; alarm when
    the most surprising exceeds the threshold at which streams resampled from the calibration part alarm once per run length.
    About 10 µs a row at 384 dimensions in batches; state at most 128 kB.

    References
    ----------
    Kalinke and Gavioli-Akilagun, "Online RFF-MMD", NeurIPS 2025 (dyadic windows). Hagrass et al., Annals of Statistics 2024
    (spectral regularisation). Cobb, Van Looveren and Klaise, AISTATS 2022 (run-length calibration by simulation).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reference = rng.standard_normal((2000, 16)).astype(np.float32)
    >>> scan = DriftScan.fit(reference, run_length=5000, seed=1)
    >>> scan.update(rng.standard_normal((200, 16)).astype(np.float32)).alarm
    False
    >>> scan.update(rng.standard_normal((200, 16)).astype(np.float32) + 1).alarm
    True
    """

    def __init__(self, model: ScanModel, *, run_length: float) -> None:
        self.model = model
        self.run_length = run_length
        self._stream = StreamScan(model, run_length=run_length)
        self._rest = np.empty((0, model.summarizer.dimension), np.float32)

    @classmethod
    def fit(
        cls,
        reference: NDArray[np.float32],
        *,
        run_length: float,
        seed: int,
        order: Order = "iid",
        accept_supported: bool = False,
    ) -> Self:
        """From (n, d) float32 rows that the model is known to be good on.

        order: "time" when neighbouring rows depend on each other; then the rows must be in time order.
        accept_supported: take the run length that so many rows support when it is shorter than the one asked for; else ValueError
        says how many rows are needed.
        """
        model = fit_model(np.asarray(reference, np.float32), seed=seed, order=order)
        supported = model.calibration.supported
        if run_length > supported and not accept_supported:
            need = int(np.ceil(len(reference) * run_length / supported))
            raise ValueError(f"a run length of {run_length:g} needs about {need} rows like these; {len(reference)} support {supported:.0f}")
        return cls(model, run_length=min(run_length, supported))

    @property
    def supported_run_length(self) -> float:
        """Longest run length, in samples, that the reference can hold to."""
        return self.model.calibration.supported

    def update(self, batch: NDArray[np.float32]) -> Evidence:
        """(m, d) float32 rows in order; the evidence after them. `alarm` is true if the crossing lies within the batch."""
        rows = np.concatenate([self._rest, np.asarray(batch, np.float32)])
        whole = len(rows) // self.model.pane * self.model.pane
        self._rest = rows[whole:].copy()
        crossed = False
        if whole:
            described = self.model.summarizer.describe(rows[:whole])
            for start in range(0, whole, self.model.pane):
                crossed |= self._stream.update(self.model.summarizer.summarize(described, slice(start, start + self.model.pane))).alarm
        return replace(self._stream.evidence, alarm=crossed, samples=self._stream.samples + len(self._rest))

    def reset(self) -> None:
        """Forget the stream, keep the reference."""
        self._stream.reset()
        self._rest = self._rest[:0]

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Reference and stream, as arrays without pickle."""
        arrays = {f"model.{name}": value for name, value in self.model.to_arrays().items()}
        arrays |= {f"stream.{name}": value for name, value in self._stream.state().items()}
        return arrays | {"rest": self._rest, "run_length": np.array(self.run_length)}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic]]) -> Self:
        """Restores what `state` gave: the same evidence from the same rows."""
        model = ScanModel.from_arrays({k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")})
        scan = cls(model, run_length=float(state["run_length"]))
        scan._stream.restore({k.removeprefix("stream."): v for k, v in state.items() if k.startswith("stream.")})
        scan._rest = np.array(state["rest"], np.float32)
        return scan
