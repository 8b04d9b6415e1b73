"""From embeddings to summaries: everything that the fit part of a reference teaches about describing a sample.

>>> rng = np.random.default_rng(0)
>>> fit, calibration, fresh = rng.standard_normal((3, 500, 8)).astype(np.float32)
>>> summarizer = Summarizer.fit(fit, calibration, rng=rng)
>>> summarizer.scalar_names, round(float(summarizer.describe(fresh).novelty.mean()), 1)
(('novelty', 'residual'), 0.5)
>>> far = summarizer.describe(fresh + 5)
>>> int(summarizer.summarize(far, slice(0, 16)).clusters[-1])  # near none of the reference's
16
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.accuracy import TERMS, AccuracyCalibration
from detectors.clustering import kmeans, nearest, squared_distances
from detectors.features import RandomFeatures
from detectors.panes import NOVELTY_BINS, Summary
from detectors.predictions import Predictions
from detectors.ranks import Percentiles, exceedance

NOVEL = 0.995
"""Novelty percentile beyond which a sample belongs to no reference cluster."""

LARGEST = 1e15
"""In size, of an embedding's numbers: their squares and sums of squares stay finite in float32."""

_PROTOTYPES, _CLUSTERS, _COMPONENTS = 512, 48, 64


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """What is kept of each of m samples: features (m, D) float32, scalars (m, S) float32, cluster (m,) int64 and novelty
    percentile (m,) float32 in 0..1, terms of accuracy (m, 4) float64 or (m, 0). Cluster C means novel."""

    features: NDArray[np.float32]
    scalars: NDArray[np.float32]
    cluster: NDArray[np.int64]
    novelty: NDArray[np.float32]
    accuracy: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.cluster)

    def take(self, rows: NDArray[np.int64]) -> Described:
        """Some of the samples."""
        return Described(self.features[rows], self.scalars[rows], self.cluster[rows], self.novelty[rows], self.accuracy[rows])

    def calibrating(self) -> Described:
        """Calibration rows as calibration takes them: in each scalar the highest counts as higher than every row of the reference.

        Where a measure never varies there, the first sample that differs would else be an alarm; as it is, one in n may differ.
        """
        scalars = self.scalars.copy()
        scalars[scalars.argmax(0), np.arange(scalars.shape[1])] = np.log1p(np.float32(len(scalars)))
        return replace(self, scalars=scalars)


@dataclass(frozen=True, slots=True, eq=False)
class Extras:
    """What is known of n rows beside their embeddings; None (or no measure) where nothing is.

    confidence : (n,) float32, the model's largest probability. predicted : (n,) str, the class that it gave, '' where none.
    quality : measure → (n,) float32, its values.
    """

    confidence: NDArray[np.float32] | None = None
    predicted: NDArray[np.str_] | None = None
    quality: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def take(self, rows: NDArray[np.int64]) -> Extras:
        """Of some of the rows."""
        confidence = None if self.confidence is None else self.confidence[rows]
        predicted = None if self.predicted is None else self.predicted[rows]
        return Extras(confidence, predicted, {name: values[rows] for name, values in self.quality.items()})

    @property
    def columns(self) -> NDArray[np.float32] | None:
        """(n, Q), the measures side by side."""
        return np.stack(list(self.quality.values()), axis=1) if self.quality else None


@dataclass(frozen=True, slots=True, eq=False)
class Summarizer:
    """Describes samples by random features, novelty scores and the nearest reference cluster, and sums them over panes.

    Scalar channels: *novelty* (distance to the nearest of at most 512 prototypes), *residual* (squared length outside at most 64
    leading components); where the model gives them *confidence* (one minus the largest probability) and *prediction* (surprise of
    the predicted class in its cluster); and two for each quality measure, *<measure> high* and *<measure> low*. Each is the
    exceedance of its percentile among the calibration part's own.

    References
    ----------
    Rahimi and Recht, "Random features for large-scale kernel machines", NeurIPS 2007. Jackson and Mudholkar, "Control procedures for
    residuals associated with principal component analysis", Technometrics 1979 (residual).
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
    predictions: Predictions | None = None
    quality_ranks: Mapping[str, Percentiles] = field(default_factory=dict)
    """Of each quality measure, in the order of the columns that `describe` takes."""
    accuracy: AccuracyCalibration | None = None
    """What a confidence says of being right: reported, no drift channel."""

    @classmethod
    def fit(
        cls,
        fit: NDArray[np.float32],
        calibration: NDArray[np.float32],
        *,
        rng: np.random.Generator,
        confidence: NDArray[np.float32] | None = None,
        predicted: tuple[NDArray[np.str_], NDArray[np.str_]] | None = None,
        quality: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> Self:
        """Learns directions and prototypes from the fit rows, ranks from the disjoint calibration rows.

        confidence : (n,) largest probability for each calibration row.
        predicted : classes of the fit rows and of the calibration rows, '' where the model gave none.
        quality : measure → (n,) its values for the calibration rows.
        """
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
        distance, prototype = _nearest(bare, calibration - centre)
        answers = None
        if predicted is not None:
            own = bare.prototype_cluster[_nearest(bare, fit - centre)[1]], predicted[0]
            apart = bare.prototype_cluster[prototype], predicted[1]
            answers = Predictions.fit(*own, clusters=bare.clusters, calibration=apart)
        return replace(
            bare,
            novelty_ranks=Percentiles.of(distance),
            residual_ranks=Percentiles.of(_residual(bare, calibration - centre)),
            confidence_ranks=None if confidence is None else Percentiles.of(1 - confidence),
            predictions=answers,
            quality_ranks={name: Percentiles.of(values) for name, values in (quality or {}).items()},
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
        names = ["novelty", "residual"]
        names += ["confidence"] if self.confidence_ranks is not None else []
        names += ["prediction"] if self.predictions is not None else []
        return (*names, *(f"{name} {side}" for name in self.quality_ranks for side in ("high", "low")))

    def describe(
        self,
        embeddings: NDArray[np.float32],
        *,
        confidence: NDArray[np.float32] | None = None,
        predicted: NDArray[np.str_] | None = None,
        quality: NDArray[np.float32] | None = None,
    ) -> Described:
        """(m, d) float32 → Described. What a row lacks (confidence or quality NaN, class '', or none at all) counts as the reference's
        mean. ValueError for embeddings that are not finite or too large.

        quality : (m, Q) float32, a column for each measure.
        """
        require_finite(embeddings)
        m = len(embeddings)
        centred = embeddings - self.centre
        distance, prototype = _nearest(self, centred)
        novelty, at = self.novelty_ranks(distance), self.prototype_cluster[prototype]
        percentiles = [novelty, self.residual_ranks(_residual(self, centred))]
        if self.confidence_ranks is not None:
            percentiles.append(self.confidence_ranks(_unknown(m) if confidence is None else 1 - confidence))
        if self.predictions is not None:
            percentiles.append(self.predictions.ranks(_unknown(m) if predicted is None else self.predictions.values(at, predicted)))
        for column, ranks in enumerate(self.quality_ranks.values()):
            values = _unknown(m) if quality is None else quality[:, column]
            percentiles += [ranks(values), Percentiles(-ranks.sorted[::-1])(-values)]
        scalars = exceedance(np.stack(percentiles, axis=1))
        cluster = _clusters(self, novelty, at)
        terms = np.zeros((m, 0)) if self.accuracy is None else self.accuracy.terms(_unknown(m) if confidence is None else confidence)
        return Described(self.random_features(embeddings), scalars, cluster, novelty, terms)

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
            described.accuracy[rows].sum(0),
        )

    def empty(self) -> Summary:
        """The summary of no samples."""
        return Summary.empty(self.features, len(self.scalar_names), self.clusters, 0 if self.accuracy is None else TERMS)

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
        if self.predictions is not None:
            arrays |= {f"predictions.{name}": value for name, value in self.predictions.to_arrays().items()}
        if self.accuracy is not None:
            arrays |= {f"accuracy.{name}": value for name, value in self.accuracy.to_arrays().items()}
        arrays["quality"] = np.array(list(self.quality_ranks), np.str_)
        return arrays | {f"quality.{name}": ranks.sorted for name, ranks in self.quality_ranks.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Restores what `to_arrays` gave."""

        def single(name: str) -> NDArray[np.float32]:
            return np.asarray(arrays[name], np.float32)

        def part(prefix: str) -> dict[str, NDArray[np.generic]]:
            return {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}

        answers, accuracy = part("predictions."), part("accuracy.")
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
            Predictions.from_arrays(answers) if answers else None,
            {str(name): Percentiles(single(f"quality.{name}")) for name in arrays["quality"]},
            AccuracyCalibration.from_arrays(accuracy) if accuracy else None,
        )


def require_finite(embeddings: NDArray[np.float32]) -> None:
    """ValueError for NaN, infinities and numbers beyond `LARGEST`: a distance would overflow and count as the strangest, or as NaN."""
    usable = np.abs(embeddings) <= LARGEST
    if not usable.all():
        row = int((~usable).any(1).argmax())
        raise ValueError(f"rows with values that are not finite, or beyond {LARGEST:g} in size: row {row} is the first; leave them out")


def _nearest(summarizer: Summarizer, centred: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Squared distance to the nearest prototype, and which; a common offset would cost all digits."""
    return nearest(centred, summarizer.prototypes - summarizer.centre)


def _residual(summarizer: Summarizer, centred: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared length outside the leading components."""
    inside = centred @ summarizer.components
    return np.asarray(np.einsum("ij,ij->i", centred, centred) - np.einsum("ij,ij->i", inside, inside), np.float32)


def _clusters(summarizer: Summarizer, novelty: NDArray[np.float32], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """The nearest prototype's, C of what is novel."""
    rows = len(summarizer.novelty_ranks.sorted)
    return np.where(novelty >= min(NOVEL, rows / (rows + 1)), summarizer.clusters, at)


def _unknown(rows: int) -> NDArray[np.float32]:
    return np.full(rows, np.nan, np.float32)


def spoilt(summarizer: Summarizer, described: Described) -> NDArray[np.bool_]:
    """(m,) samples beyond all but 1 in 200 of the reference's rows in a quality measure."""
    first = len(summarizer.scalar_names) - 2 * len(summarizer.quality_ranks)
    return np.asarray((described.scalars[:, first:] > -np.log(0.005)).any(1), np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """Where each of m samples stands: cluster (m,) int64, C for novel ones; novelty percentile (m,) float32 in 0..1; distance (m,)
    float32 to the nearest prototype, in multiples of the calibration part's median one."""

    cluster: NDArray[np.int64]
    novelty: NDArray[np.float32]
    distance: NDArray[np.float32]


def located(summarizer: Summarizer, embeddings: NDArray[np.float32]) -> Located:
    """As `Summarizer.describe` says it, without the features that cost most of its time."""
    require_finite(embeddings)
    squared, prototype = _nearest(summarizer, embeddings - summarizer.centre)
    novelty = summarizer.novelty_ranks(squared)
    typical = float(np.median(summarizer.novelty_ranks.sorted)) or 1.0
    cluster = _clusters(summarizer, novelty, summarizer.prototype_cluster[prototype])
    return Located(cluster, novelty, np.sqrt(np.maximum(squared, 0) / np.float32(typical)))
