"""The calibrated multi-scale scan, as a library user meets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.base import Evidence
from detectors.learning import Order
from detectors.model import ScanModel, fit_model
from detectors.stream import StreamScan
from detectors.summarizer import require_finite
from detectors.thresholds import check_run_length

_CHUNK = 4096
"""Rows described at once, so that a large batch costs no more memory than a small one."""


class DriftScan:
    """Sequential test of semantic drift on embeddings, with a run length that was asked for; a `Detector`.

    Squared mean differences of random Fourier features in several spectrally regularised norms, and scalar novelty channels,
    over suffix windows of all dyadic lengths; each a tail probability under the null law of its channel and length; alarm when
    the most surprising exceeds the threshold at which streams resampled from the calibration part alarm once per run length.
    About 10 µs a row at 384 dimensions in batches; the stream's state is at most 128 kB.

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
        self._rest_times = np.empty(0)

    @classmethod
    def fit(
        cls,
        reference: NDArray[np.float32],
        *,
        run_length: float,
        seed: int,
        order: Order = "iid",
        accept_supported: bool = False,
        times: NDArray[np.float64] | None = None,
    ) -> Self:
        """From (n, d) float32 rows that the model is known to be good on.

        order: "time" when neighbouring rows depend on each other; then the rows must be in time order.
        accept_supported: take the run length that so many rows support when it is shorter than the one asked for; else ValueError
        says how many rows are needed.
        times: (n,) Unix seconds of the rows; where they cover three whole days or two weeks, a daily or weekly cycle is learned, and
        `update` takes times too.
        """
        check_run_length(run_length)
        model = fit_model(np.asarray(reference, np.float32), seed=seed, order=order, times=times)
        if not accept_supported:
            model.require(run_length)
        return cls(model, run_length=min(run_length, model.calibration.supported))

    @property
    def supported_run_length(self) -> float:
        """Longest run length, in samples, that the reference can hold to."""
        return self.model.calibration.supported

    def update(self, batch: NDArray[np.float32], times: NDArray[np.float64] | None = None) -> Evidence:
        """(m, d) float32 rows in order; the evidence after them. `alarm` is true if the crossing lies within the batch.

        times: (m,) Unix seconds, needed where a daily cycle was learned; rows at no time (NaN, or earlier than those before them in
        their pane) are counted and not weighed.

        ValueError, with nothing taken, for rows of another dimension or with values that are not finite, or beyond 1e15 in size.
        """
        new = np.asarray(batch, np.float32)
        if new.ndim != 2 or new.shape[1] != self.model.summarizer.dimension:
            raise ValueError(f"rows have {self.model.summarizer.dimension} dimensions here, found shape {new.shape}")
        require_finite(new)
        stamps = self._stamps(len(new), times)
        rows, at = np.concatenate([self._rest, new]), np.concatenate([self._rest_times, stamps])
        whole = len(rows) // self.model.pane * self.model.pane
        self._rest, self._rest_times = rows[whole:].copy(), at[whole:]
        step = _CHUNK // self.model.pane * self.model.pane
        parts = [slice(start, min(start + step, whole)) for start in range(0, whole, step)]
        crossed = [self._take(rows[part], at[part]) for part in parts]
        return replace(self._stream.evidence, alarm=any(crossed), samples=self._stream.samples + len(self._rest))

    def _stamps(self, rows: int, times: NDArray[np.float64] | None) -> NDArray[np.float64]:
        if times is None:
            if self.model.profile.clock.size > 1 and rows:
                raise ValueError("the reference has a cycle of the day: rows need their times")
            return np.zeros(rows)
        if np.shape(times) != (rows,):
            raise ValueError(f"times are one for each of the {rows} rows, found shape {np.shape(times)}")
        return np.asarray(times, np.float64)

    def _take(self, rows: NDArray[np.float32], times: NDArray[np.float64]) -> bool:
        """Whole panes of rows; whether an alarm was raised among them."""
        described, pane, crossed = self.model.summarizer.describe(rows), self.model.pane, False
        for start in range(0, len(rows), pane):
            span = (float(times[start]), float(times[start + pane - 1]))
            crossed |= self._stream.update(self.model.summarizer.summarize(described, slice(start, start + pane)), span=span).alarm
        return crossed

    def reset(self) -> None:
        """Forget the stream, keep the reference."""
        self._stream.reset()
        self._rest, self._rest_times = self._rest[:0], self._rest_times[:0]

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Reference and stream, as arrays without pickle."""
        arrays = {f"model.{name}": value for name, value in self.model.to_arrays().items()}
        arrays |= {f"stream.{name}": value for name, value in self._stream.state().items()}
        return arrays | {"rest": self._rest, "rest_times": self._rest_times, "run_length": np.array(self.run_length)}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic]]) -> Self:
        """Restores what `state` gave: the same evidence from the same rows."""
        model = ScanModel.from_arrays({k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")})
        scan = cls(model, run_length=float(state["run_length"]))
        scan._stream.restore({k.removeprefix("stream."): v for k, v in state.items() if k.startswith("stream.")})
        scan._rest, scan._rest_times = np.array(state["rest"], np.float32), np.array(state["rest_times"], np.float64)
        return scan
