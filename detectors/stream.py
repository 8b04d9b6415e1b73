"""The scan of one stream: pane summaries in, evidence out. `DriftScan` does the same for rows, and names the sources.

>>> from detectors.model import fit_model
>>> rng = np.random.default_rng(0)
>>> model = fit_model(rng.standard_normal((2000, 8)).astype(np.float32), seed=1)
>>> scan = StreamScan(model, run_length=5000)
>>> described = model.summarizer.describe(rng.standard_normal((320, 8)).astype(np.float32) + 1)
>>> panes = [model.summarizer.summarize(described, slice(at, at + 16)) for at in range(0, 320, 16)]
>>> [scan.update(pane).alarm for pane in panes].count(True)
1
>>> scan.evidence.above, scan.evidence.effect.low > 0.1
(True, True)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from detectors.accuracy import Estimated
from detectors.base import Effect, Evidence
from detectors.effects import Choice, EffectMeter, WindowMeans, novel_share
from detectors.kinds import Signs
from detectors.model import ScanModel, Slice
from detectors.panes import NOVELTY_BINS, Summary
from detectors.rows import Leading, Rows
from detectors.windows import STATE_BYTES, Windows, scales_within

_HEAD, _LEVELS = 64, 16
"""Bytes of the state's small parts, and of the thresholds of a scale's two accumulators."""


class StreamScan:
    """The scan of one stream: summaries of consecutive samples in, evidence out. Holds at most 128 kB however long it runs."""

    def __init__(self, model: ScanModel, *, run_length: float, slice: Slice | None = None) -> None:
        self.model = model
        self.slice = slice or model.whole()
        self._tune(run_length)
        self._clock = self.slice.profile.clock
        self._meter = EffectMeter(model, self.slice)
        self._rows = Rows(model, self.slice)
        beside = len(model.summarizer.empty().to_bytes()) + 8 * self._clock.size + _HEAD
        self._scales = scales_within(STATE_BYTES - beside, self._rows.length, beside=_LEVELS + 16 * self._rows.exact)
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.samples = 0
        self.surprises: NDArray[np.float64] = np.zeros((0, len(self.model.channels)))
        """(filled, M) tail surprise of each window length and channel after the last pane."""
        self._latched = False
        self._at = 0
        self._partial: Summary | None = None
        self._timed = np.zeros(self._clock.size)
        """Time basis of the partial pane's samples, summed."""
        self._windows = Windows(self._scales, self._rows.length, exact=self._rows.exact)
        self._levels = np.full((2, self._scales), self.threshold)
        self.evidence = Evidence(False, False, 0, 0.0, self.threshold, 0, "")

    @property
    def longest_window(self) -> int:
        """Samples that the longest window holds at least, once the stream has brought them: a row with many channels has fewer scales."""
        return int(self.model.pane * 2 ** (self._scales - 1))

    def retune(self, run_length: float) -> None:
        """Changes the run length from here on: a higher threshold holds at once, a lower one for windows that begin after this."""
        self._tune(run_length)
        if self._partial is None:
            self._levels[1, : self._windows.fresh] = self.threshold
        if not self.samples:
            self._levels[:] = self.threshold
        self._levels = np.maximum(self._levels, self.threshold)

    def update(self, summary: Summary, *, span: tuple[float, float] = (0.0, 0.0)) -> Evidence:
        """Adds a summary; evidence moves once at least a pane of samples has come together. `span`: time of its first and last sample.

        ValueError, with nothing taken, for sums that are not finite.
        """
        self.samples += summary.checked().count
        basis = self._clock.between(*span)
        if basis is None:  # the clock jumped: nothing can be expected of these samples, so they are counted and not weighed
            self.evidence = replace(self.evidence, alarm=False, samples=self.samples)
            return self.evidence
        merged = summary if self._partial is None else self._partial.merge(summary)
        self._timed = self._timed + summary.count * basis
        if merged.count < self.model.pane:
            self._partial = replace(merged, sums=merged.sums.astype(np.float32).astype(np.float64))  # as `state` keeps it
            self.evidence = replace(self.evidence, alarm=False, samples=self.samples)
            return self.evidence
        self._partial = None
        self._windows.push(*self._rows.pack(merged, self._timed), span=span)
        self._timed = np.zeros(self._clock.size)
        k = self._windows.fresh
        self._levels[0, :k] = self._levels[1, :k]
        self._levels[1, :k] = self.threshold
        self.evidence = self._weigh()
        return self.evidence

    def among(self, channels: NDArray[np.bool_]) -> Evidence:
        """The evidence of some of the channels alone, (M,) of them marked; `alarm` is False: the crossing is the whole scan's."""
        if not self._windows.filled:
            return replace(self.evidence, alarm=False, above=False)
        return self._strongest(self._means(), channels)[1]

    def window_start(self, evidence: Evidence) -> float:
        """Time at which the window began that the evidence, taken after the last pane, speaks of."""
        if not self._windows.filled:
            return 0.0
        return float(self._windows.starts[int(np.searchsorted(self._means().samples, evidence.scale))])

    def window(self) -> Summary:
        """The most surprising window's counts and sums; those of its features are in the spectrum's basis."""
        if not self._windows.filled:
            return self.model.summarizer.empty()
        return self._rows.summary(self._windows, self._at)

    def novel_share(self) -> Effect:
        """Share of new content in the most surprising window, with an interval that holds over all windows scanned so far."""
        surprise, inflation = self.chosen, self.model.dependence.inflation
        novelty = self._rows.novelty(self._windows, self._at) if self._windows.filled else np.zeros(NOVELTY_BINS, np.int64)
        return novel_share(novelty, self.slice, surprise=surprise, inflation=inflation)

    def accuracy(self) -> Estimated | None:
        """Of the model over the most surprising window, from its confidence; None where the reference couldn't calibrate that."""
        calibration = self.model.summarizer.accuracy
        if calibration is None or not self._windows.filled:
            return None
        return calibration.estimate(self.window().accuracy, inflation=self.model.dependence.inflation)

    def signs(self) -> Signs:
        """What the most surprising window shows of each channel, to name its kind by."""
        means, k, model = self._means(), self._at, self.model
        surprise = dict(zip(model.channels, self.surprises[k].tolist(), strict=True))
        return Signs(surprise, dict(zip(model.channels, self._meter.shares(means, k).tolist(), strict=True)))

    def resolved_effect(self) -> float:
        """Upper bound of a window's mean effect, in the unwhitened norm: the smallest over the windows, which hold together (level .95).

        A window that begins after the drift ended soon shows that it has; one that reaches back mixes both. It holds at one look, not
        at the best of many: whoever asks after each pane and stops at the first low answer errs more often than once in twenty.
        """
        return self._meter.resolved(self._means()) if self._windows.filled else float("inf")

    @property
    def chosen(self) -> float:
        """Tail surprise that the choice of the most surprising window shows by chance: what its intervals must allow for."""
        return self._choice(self._crossed).surprise

    @property
    def leading(self) -> Leading | None:
        """Mean difference of the most surprising window; None before there is one."""
        return self._rows.leading(self._windows, self._at) if self._windows.filled else None

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything about the stream, as arrays; at most 128 kB."""
        arrays: dict[str, NDArray[np.generic]] = {
            "head": np.array([self.samples, self._latched], np.int64),
            "levels": self._levels,
            "run_length": np.array(self.run_length),
        }
        arrays |= self._windows.state()
        if self._partial is not None:
            arrays["partial"] = np.frombuffer(self._partial.to_bytes(), np.uint8)
            arrays["timed"] = self._timed
        return arrays

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes up where `state` was taken, thresholds included; ValueError for a state of another model's shape."""
        self._windows.restore(state)
        self.samples, latched = (int(v) for v in np.asarray(state["head"], np.int64))
        self._latched = bool(latched)
        self._levels = np.array(state["levels"], np.float64)
        self._tune(float(state["run_length"]))
        self._partial = Summary.from_bytes(np.asarray(state["partial"], np.uint8).tobytes()) if "partial" in state else None
        self._timed = np.array(state["timed"], np.float64) if "timed" in state else np.zeros(self._clock.size)
        if self._windows.panes:
            self.evidence = replace(self._weigh(), alarm=False)

    def _tune(self, run_length: float) -> None:
        curve = self.slice.curve
        self.run_length = min(run_length, 1e10)
        self.threshold = curve.threshold(self.run_length)
        self._gap = curve.threshold(20 * self.run_length) - self.threshold

    def _means(self) -> WindowMeans:
        return self._rows.means(self._windows)

    def _weigh(self) -> Evidence:
        means = self._means()
        self.surprises = self._meter.surprise(means)
        self._at, found = self._strongest(means, np.ones(len(self.model.channels), bool))
        alarm = found.above and not self._latched
        self._latched |= found.above
        return replace(found, alarm=alarm)

    def _strongest(self, means: WindowMeans, channels: NDArray[np.bool_]) -> tuple[int, Evidence]:
        """The window that exceeds its threshold most (or falls short of it least) in some of the channels, and what it says."""
        margin = np.where(channels, self.surprises - self._levels[0, : len(self.surprises), None], -np.inf)
        k, channel = (int(v) for v in np.unravel_index(int(margin.argmax()), margin.shape))
        above, level = bool(margin[k, channel] > 0), float(self._levels[0, k])
        choice = self._choice(level if above else None)
        return k, Evidence(
            False,
            above,
            self.samples,
            float(self.surprises[k, channel]),
            level,
            int(means.samples[k]),
            self.model.channels[channel],
            partial(self._meter.effect, means.only(k), channel, among=channels, choice=choice),
        )

    @property
    def _crossed(self) -> float | None:
        return self.evidence.threshold if self.evidence.above else None

    def _choice(self, crossed: float | None) -> Choice:
        """What an interval of the most surprising window must allow for to hold (level .95) over all scanned so far, and at an alarm:
        there the evidence had `crossed` a threshold."""
        scanned = self.samples - (self._partial.count if self._partial else 0)
        return Choice(self.slice.curve.threshold(20.0 * max(scanned, 50)), crossed, self._gap)
