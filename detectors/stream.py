"""The scan of one stream: pane summaries in, evidence out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors.base import NO_EFFECT, Effect, Evidence
from detectors.effects import novel_share, squared_norm_interval, tail_z
from detectors.law import Law
from detectors.model import ScanModel, Slice
from detectors.panes import NOVELTY_BINS, Summary
from detectors.windows import SCALES, Windows


class StreamScan:
    """The scan of one stream: summaries of consecutive samples in, evidence out. Holds at most 128 kB however long it runs."""

    def __init__(self, model: ScanModel, *, run_length: float, slice: Slice | None = None) -> None:
        self.model = model
        self.slice = slice or model.whole()
        self.threshold = model.calibration.curve.threshold(min(run_length, 1e10))
        self._law = self._sliced_law()
        self._widths = np.cumsum(
            [len(model.eigenvalues), len(model.summarizer.scalar_names), model.summarizer.clusters + 1, NOVELTY_BINS, 1]
        )
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.samples = 0
        self._latched = False
        self._partial: Summary | None = None
        self._windows = Windows(SCALES, int(self._widths[-1]) + len(self.model.spectrum.weights))
        self.evidence = Evidence(False, False, 0, 0.0, self.threshold, NO_EFFECT, 0, "")

    def update(self, summary: Summary, *, span: tuple[float, float] = (0.0, 0.0)) -> Evidence:
        """Adds a summary; evidence moves once at least a pane of samples has come together. `span`: time of its first and last sample."""
        merged = summary if self._partial is None else self._partial.merge(summary)
        self.samples += summary.count
        if merged.count < self.model.pane:
            self._partial = replace(merged, sums=merged.sums.astype(np.float32).astype(np.float64))  # as `state` keeps it
            self.evidence = replace(self.evidence, alarm=False, samples=self.samples)
            return self.evidence
        self._partial = None
        self._windows.push(self._row(merged), span=span)
        self.evidence = self._weigh()
        return self.evidence

    @property
    def window_start(self) -> float:
        """Time at which the most surprising window began."""
        n = self._sums()[2]
        return float(self._windows.starts[0, int(np.searchsorted(n, self.evidence.scale))]) if len(n) else 0.0

    def window(self) -> Summary:
        """The most surprising window's clusters, novelty and count (its sums are in the spectrum's basis)."""
        n = self._sums()[2]
        if not len(n):
            return self.model.summarizer.empty()
        row = self._windows.latest[int(np.searchsorted(n, self.evidence.scale))].astype(np.float64)
        sums, scalars, clusters, novelty, *_ = np.split(row, self._widths)
        return Summary(self.evidence.scale, sums, scalars, np.rint(clusters).astype(np.int64), np.rint(novelty).astype(np.int64))

    def novel_share(self) -> Effect:
        """Share of new content in the most surprising window, with an interval that holds over all windows scanned so far."""
        z = tail_z(self.model.calibration.curve.threshold(20.0 * max(self.samples, 50)))
        return novel_share(self.window().novelty, rows=self.slice.scalar_rows, z=z)

    def resolved_effect(self) -> float:
        """Upper bound (level .95) of the present effect, in the unwhitened norm and from the longest window that is calm, or the
        longest there is: below the tolerance means that nothing beyond it is left."""
        channel = self.model.spectrum.names.index("mmd")
        features, _, n = self._sums()
        if not len(n):
            return float("inf")
        squared = np.square(features) @ self.model.spectrum.weights[channel]
        width = 1 / n + 1 / self.slice.rows
        theta = squared - self._law.mean[: len(n), channel] * width
        noise = 1.645 * self._law.deviation[: len(n), channel] * width
        return float(np.sqrt(np.maximum(theta + noise, 0.0)).min() / self.model.units[channel])

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
        arrays: dict[str, NDArray[np.generic]] = {"head": head, "sums": self._windows.sums, "starts": self._windows.starts}
        if self._partial is not None:
            arrays["partial"] = np.frombuffer(self._partial.to_bytes(), np.uint8)
        return arrays

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes up where `state` was taken; a state of another model's shape is refused."""
        sums = np.array(state["sums"], np.float32)
        if sums.shape != self._windows.sums.shape:
            raise ValueError(f"state of shape {sums.shape} does not fit a scan of shape {self._windows.sums.shape}")
        self.samples, self._windows.panes, latched = (int(v) for v in np.asarray(state["head"], np.int64))
        self._latched, self._windows.sums, self._windows.starts = bool(latched), sums, np.array(state["starts"], np.float64)
        self._partial = Summary.from_bytes(np.asarray(state["partial"], np.uint8).tobytes()) if "partial" in state else None
        if self._windows.panes:
            self.evidence = replace(self._weigh(), alarm=False)

    def _row(self, summary: Summary) -> NDArray[np.float32]:
        """A pane's sums in the spectrum's basis around the slice's mean, its counts, and its squared norms for the spread."""
        features = summary.sums.astype(np.float32) @ self.model.spectrum.basis - summary.count * self.slice.features
        scalars = summary.scalars - summary.count * self.slice.scalars
        spread = self.model.spectrum.weights @ np.square(features) / summary.count
        return np.concatenate(
            [features, scalars, summary.clusters, summary.novelty, [summary.count], spread], dtype=np.float32, casting="unsafe"
        )

    def _sums(self) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
        """Mean differences (K, D) and (K, S) of the windows, and their samples (K,)."""
        rows, w = self._windows.latest, self._widths
        n = rows[:, w[3]].astype(np.float64)
        return np.asarray(rows[:, : w[0]] / n[:, None], np.float32), rows[:, w[0] : w[1]] / n[:, None], n

    def _weigh(self) -> Evidence:
        features, scalars, n = self._sums()
        squared = np.square(features) @ self.model.spectrum.weights.T
        quadratic = squared * (n / (1 + n / self.slice.rows))[:, None]
        score = scalars / self.slice.scalar_deviation * np.sqrt(n / (1 + n / self.slice.scalar_rows))[:, None]
        filled = slice(0, len(n))
        law = Law(self._law.mean[filled], self._law.deviation[filled], self._law.skewness[filled])
        surprise = law.surprise(np.hstack([quadratic, score]))
        surprise[n < self.slice.least_samples] = 0.0
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
        scanned = self.samples - (self._partial.count if self._partial else 0)
        surprise = self.model.calibration.curve.threshold(20.0 * max(scanned, 50))
        z = tail_z(surprise)
        features, scalars, n = self._sums()
        norms = len(self.model.spectrum.weights)
        unit, width = self.model.units[channel], 1 / n[k] + 1 / self.slice.rows
        if channel >= norms:
            s = channel - norms
            half = z * self.slice.scalar_deviation[s] * np.sqrt(1 / n[k] + 1 / self.slice.scalar_rows)
            return Effect(*(float(max(v, 0.0) / unit) for v in (scalars[k, s], scalars[k, s] - half, scalars[k, s] + half)))
        w = self.model.spectrum.weights[channel].astype(np.float64)
        squared = np.square(features[k].astype(np.float64))
        norm = float(w @ squared)
        mean, deviation = self._law.mean[k, channel], self._law.deviation[k, channel]
        along = float((w**2 * squared) @ self.model.eigenvalues) / max(norm, 1e-12)
        extra = max(self._spread(k, channel, norm, float(n[k])) - self.slice.moments.t1[channel], 0.0)
        slope = 4 * (along + extra) * width * max(mean / self.slice.moments.t1[channel], 1.0)
        theta, noise = norm - mean * width, deviation * width
        low, _ = squared_norm_interval(theta, noise=noise, slope=slope, z=max(self._law.quantile(surprise, (k, channel)), z))
        _, high = squared_norm_interval(theta, noise=noise, slope=slope, z=z)
        return Effect(*(float(np.sqrt(max(v, 0.0)) / unit) for v in (theta, low, high)))

    def _spread(self, k: int, channel: int, norm: float, n: float) -> float:
        """Trace of the window's own covariance in a channel's norm, from how its panes scatter."""
        panes = float(self._windows.lengths()[k])
        if panes < 4:
            return float(self.slice.moments.t1[channel])
        total = float(self._windows.latest[k, int(self._widths[-1]) + channel])
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
