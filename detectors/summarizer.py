"""From embeddings to summaries: everything that the fit part of a reference teaches about describing a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.clustering import kmeans, squared_distances
from detectors.features import RandomFeatures
from detectors.panes import NOVELTY_BINS, Summary

NOVEL = 0.995
"""Novelty percentile beyond which a sample belongs to no reference cluster."""

_PROTOTYPES, _CLUSTERS, _COMPONENTS = 512, 48, 64


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """What is kept of each of m samples: features (m, D) float32, scalars (m, S) float32, cluster (m,) int64 and novelty
    percentile (m,) float32 in 0..1. Cluster C means novel."""

    features: NDArray[np.float32]
    scalars: NDArray[np.float32]
    cluster: NDArray[np.int64]
    novelty: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.cluster)

    def take(self, rows: NDArray[np.int64]) -> Described:
        """Some of the samples."""
        return Described(self.features[rows], self.scalars[rows], self.cluster[rows], self.novelty[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Percentiles:
    """Ranks among the calibration part's own values; `sorted` is ascending (n,) float32."""

    sorted: NDArray[np.float32]

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Share of the calibration part below each value, 0 to n / (n + 1)."""
        return (np.searchsorted(self.sorted, values) / (len(self.sorted) + 1)).astype(np.float32)


def exceedance(percentile: NDArray[np.float32]) -> NDArray[np.float32]:
    """-log(1 - percentile): standard exponential under the reference, large for what hardly ever occurs there."""
    return -np.log1p(-percentile)


@dataclass(frozen=True, slots=True, eq=False)
class Summarizer:
    """Describes samples by random features, novelty scores and the nearest reference cluster, and sums them over panes.

    Scalar channels: *novelty* (distance to the nearest of at most 512 prototypes), *residual* (squared length outside at most 64
    leading components) and, where the model gives it, *confidence* (one minus the largest probability); each as the exceedance
    of its percentile among the calibration part's own.
    """

    random_features: RandomFeatures
    mean: NDArray[np.float32]
    """(D,) mean feature of the reference, which sums are centred at."""
    prototypes: NDArray[np.float32]
    prototype_cluster: NDArray[np.int64]
    centre: NDArray[np.float32]
    components: NDArray[np.float32]
    """(d, r) leading directions of the fit part around `centre`."""
    novelty_ranks: Percentiles
    residual_ranks: Percentiles
    confidence_ranks: Percentiles | None = None

    @classmethod
    def fit(
        cls,
        fit: NDArray[np.float32],
        calibration: NDArray[np.float32],
        *,
        rng: np.random.Generator,
        confidence: NDArray[np.float32] | None = None,
    ) -> Self:
        """Learns directions and prototypes from the fit rows, ranks from the disjoint calibration rows (and their confidences)."""
        features = RandomFeatures.fit(fit, rng=rng)
        prototypes = kmeans(fit, min(_PROTOTYPES, max(1, len(fit) // 4)), rng=rng)
        centres = kmeans(fit, min(_CLUSTERS, max(1, len(fit) // 40)), rng=rng)
        centre = fit.mean(0)
        _, _, directions = np.linalg.svd(fit - centre, full_matrices=False)
        bare = cls(
            random_features=features,
            mean=np.zeros(features.dimension, np.float32),
            prototypes=prototypes,
            prototype_cluster=squared_distances(prototypes, centres).argmin(1),
            centre=centre,
            components=np.ascontiguousarray(directions[: min(_COMPONENTS, fit.shape[1] // 2)].T),
            novelty_ranks=Percentiles(np.empty(0, np.float32)),
            residual_ranks=Percentiles(np.empty(0, np.float32)),
        )
        distance, _ = bare._nearest(calibration)
        return replace(
            bare,
            novelty_ranks=Percentiles(np.sort(distance)),
            residual_ranks=Percentiles(np.sort(bare._residual(calibration))),
            confidence_ranks=None if confidence is None else Percentiles(np.sort(1 - confidence)),
        )

    @property
    def dimension(self) -> int:
        """d, of the embeddings."""
        return int(self.prototypes.shape[1])

    @property
    def features(self) -> int:
        """D, of the feature sums."""
        return self.random_features.dimension

    @property
    def clusters(self) -> int:
        """C, the reference clusters; the novel ones come after them."""
        return int(self.prototype_cluster.max()) + 1

    @property
    def scalar_names(self) -> tuple[str, ...]:
        """The scalar channels, in the order of `Summary.scalars`."""
        return ("novelty", "residual") + (() if self.confidence_ranks is None else ("confidence",))

    def describe(self, embeddings: NDArray[np.float32], *, confidence: NDArray[np.float32] | None = None) -> Described:
        """(m, d) float32 → Described. Rows without a confidence (NaN, or none at all) count as the reference's median."""
        distance, nearest = self._nearest(embeddings)
        novelty = self.novelty_ranks(distance)
        scores = [exceedance(novelty), exceedance(self.residual_ranks(self._residual(embeddings)))]
        if self.confidence_ranks is not None:
            given = np.full(len(embeddings), np.nan, np.float32) if confidence is None else confidence
            percentile = np.where(np.isnan(given), np.float32(0.5), self.confidence_ranks(1 - given))
            scores.append(exceedance(percentile.astype(np.float32)))
        ranks = len(self.novelty_ranks.sorted)
        cluster = np.where(novelty >= min(NOVEL, ranks / (ranks + 1)), self.clusters, self.prototype_cluster[nearest])
        return Described(self.random_features(embeddings), np.stack(scores, axis=1), cluster, novelty)

    def summarize(self, described: Described, rows: slice | NDArray[np.int64]) -> Summary:
        """The summary of a group of described samples."""
        novelty, cluster = described.novelty[rows], described.cluster[rows]
        bins = np.minimum((novelty * NOVELTY_BINS).astype(np.int64), NOVELTY_BINS - 1)
        return Summary(
            len(cluster),
            described.features[rows].sum(0, dtype=np.float64) - len(cluster) * self.mean.astype(np.float64),
            described.scalars[rows].sum(0, dtype=np.float64),
            np.bincount(cluster, minlength=self.clusters + 1),
            np.bincount(bins, minlength=NOVELTY_BINS),
        )

    def empty(self) -> Summary:
        """The summary of no samples."""
        return Summary.empty(self.features, len(self.scalar_names), self.clusters)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """All that `from_arrays` needs."""
        arrays: dict[str, NDArray[np.generic]] = {
            "weights": self.random_features.weights,
            "mean": self.mean,
            "prototypes": self.prototypes,
            "prototype_cluster": self.prototype_cluster,
            "centre": self.centre,
            "components": self.components,
            "novelty_ranks": self.novelty_ranks.sorted,
            "residual_ranks": self.residual_ranks.sorted,
        }
        if self.confidence_ranks is not None:
            arrays["confidence_ranks"] = self.confidence_ranks.sorted
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Restores what `to_arrays` gave."""

        def single(name: str) -> NDArray[np.float32]:
            return np.asarray(arrays[name], np.float32)

        return cls(
            RandomFeatures(single("weights")),
            single("mean"),
            single("prototypes"),
            np.asarray(arrays["prototype_cluster"], np.int64),
            single("centre"),
            single("components"),
            Percentiles(single("novelty_ranks")),
            Percentiles(single("residual_ranks")),
            Percentiles(single("confidence_ranks")) if "confidence_ranks" in arrays else None,
        )

    def _nearest(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Squared distance to the nearest prototype, and which."""
        distances = squared_distances(rows - self.centre, self.prototypes - self.centre)  # a common offset would cost all digits
        nearest = distances.argmin(1)
        return distances[np.arange(len(rows)), nearest], nearest

    def _residual(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared length outside the leading components."""
        centred = rows - self.centre
        inside = centred @ self.components
        return np.asarray(np.einsum("ij,ij->i", centred, centred) - np.einsum("ij,ij->i", inside, inside), np.float32)
