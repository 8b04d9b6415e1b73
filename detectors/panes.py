"""Mergeable summaries of consecutive samples: what a worker keeps of them, and all that a drift test needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

NOVELTY_BINS = 100
"""Bins of the novelty histogram: percentiles 0-1, 1-2, ..., 99-100 of the reference's own novelty."""

RARE_BIN = 95
"""Novelty percentile beyond which a twentieth of the reference's own traffic lies."""

_HEAD = 20

_LARGEST = 1e15
"""In size, of a sum: features have length 1 and scalars are logarithms of ranks, so that no number of samples comes near."""


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """Sums over the samples of a pane. Under `merge`, summaries of one reference are a commutative monoid (to float rounding).

    Attributes
    ----------
    count
        Samples.
    sums : (D,) float64
        Sum of the samples' features, centred at the reference mean.
    scalars : (S,) float64
        Sum of the samples' scalar channels, in the order of `Summarizer.scalar_names`.
    clusters : (C + 1,) int64
        Samples nearest to each reference cluster; the last entry counts the novel ones, near none.
    novelty : (100,) int64
        Histogram of the novelty percentile.
    accuracy : (4,) float64, or (0,)
        Sum of the samples' `AccuracyCalibration.terms`; empty where the reference calibrated no confidence.
    """

    count: int
    sums: NDArray[np.float64]
    scalars: NDArray[np.float64]
    clusters: NDArray[np.int64]
    novelty: NDArray[np.int64]
    accuracy: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def empty(cls, dimension: int, scalars: int, clusters: int, accuracy: int = 0) -> Self:
        """The neutral element for D features, S scalar channels, C clusters and 4 or no terms of accuracy."""
        return cls(
            0,
            np.zeros(dimension),
            np.zeros(scalars),
            np.zeros(clusters + 1, np.int64),
            np.zeros(NOVELTY_BINS, np.int64),
            np.zeros(accuracy),
        )

    def merge(self, other: Summary) -> Summary:
        """The summary of both panes' samples together."""
        return Summary(
            self.count + other.count,
            self.sums + other.sums,
            self.scalars + other.scalars,
            self.clusters + other.clusters,
            self.novelty + other.novelty,
            self.accuracy + other.accuracy,
        )

    def to_bytes(self) -> bytes:
        """Little-endian: five uint32 (count, D, S, C + 1, terms of accuracy), sums as float32, scalars as float64, clusters and novelty
        as uint32, accuracy as float64."""
        head = np.array([self.count, *map(len, (self.sums, self.scalars, self.clusters, self.accuracy))], "<u4")
        sums = (self.sums.astype("<f4"), self.scalars.astype("<f8"))
        counts = (self.clusters.astype("<u4"), self.novelty.astype("<u4"))
        return b"".join(part.tobytes() for part in (head, *sums, *counts, self.accuracy.astype("<f8")))

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Reads what `to_bytes` wrote; ValueError if the length does not fit its own head, or for sums that are not finite."""
        if len(blob) < _HEAD:
            raise ValueError(f"a summary has at least {_HEAD} bytes, found {len(blob)}")
        count, dimension, scalars, clusters, terms = (int(v) for v in np.frombuffer(blob, "<u4", 5))
        ends = np.cumsum([_HEAD, 4 * dimension, 8 * scalars, 4 * clusters, 4 * NOVELTY_BINS, 8 * terms])
        if len(blob) != ends[-1]:
            raise ValueError(
                f"a summary of {dimension} features, {scalars} scalars, {clusters} clusters and {terms} terms of accuracy has "
                f"{ends[-1]} bytes, found {len(blob)}"
            )
        return cls(
            count,
            np.frombuffer(blob, "<f4", dimension, ends[0]).astype(np.float64),
            np.frombuffer(blob, "<f8", scalars, ends[1]).astype(np.float64),
            np.frombuffer(blob, "<u4", clusters, ends[2]).astype(np.int64),
            np.frombuffer(blob, "<u4", NOVELTY_BINS, ends[3]).astype(np.int64),
            np.frombuffer(blob, "<f8", terms, ends[4]).astype(np.float64),
        ).checked()

    def checked(self) -> Self:
        """Itself; ValueError for sums that single precision cannot hold, which would silence whatever they are added to."""
        for name in ("sums", "scalars", "accuracy"):
            largest = float(np.abs(getattr(self, name)).max(initial=0.0))
            if not largest <= _LARGEST:
                raise ValueError(f"a summary's {name} are finite and at most {_LARGEST:g} in size, found {largest:g}")
        return self
