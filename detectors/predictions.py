"""The model's answers given what it was asked: tells a model that answers differently from traffic that asks differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.ranks import Percentiles

_MOST_CLASSES = 512
_PRIOR = 2.0
"""Weight, in rows, of the classes' overall shares in each cluster."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Surprise of a predicted class in its sample's cluster, -log P(class | cluster), and its ranks.

    One number per sample sees permuted answers and a class that is given more often than the inputs explain, however many classes
    there are; a changed mix of inputs alone leaves it where it was, which counts of the classes would not.
    """

    classes: NDArray[np.str_]
    """(K,) ascending, the commonest of the reference."""
    surprise: NDArray[np.float32]
    """(C, K + 1) by cluster and class; the last column is for classes that the reference hardly knows."""
    ranks: Percentiles

    @classmethod
    def fit(
        cls,
        cluster: NDArray[np.int64],
        predicted: NDArray[np.str_],
        *,
        clusters: int,
        calibration: tuple[NDArray[np.int64], NDArray[np.str_]],
    ) -> Self:
        """From the fit part's clusters (n,) and predicted classes (n,), '' where there is none; ranks from those of the calibration part.

        P(class | cluster) is the cluster's own share, drawn by two rows' weight to the class's share of all.
        """
        given = predicted != ""
        found, counts = np.unique(predicted[given], return_counts=True)
        classes = np.sort(found[np.argsort(-counts, kind="stable")[:_MOST_CLASSES]])
        table = np.zeros((clusters, len(classes) + 1))
        np.add.at(table, (cluster[given], _column(classes, predicted[given])), 1.0)
        overall = (table.sum(0) + 0.5) / (table.sum() + 0.5 * table.shape[1])
        shares = (table + _PRIOR * overall) / (table.sum(1, keepdims=True) + _PRIOR)
        bare = cls(classes, (-np.log(shares)).astype(np.float32), Percentiles(np.empty(0, np.float32)))
        values = bare.values(*calibration)
        return cls(bare.classes, bare.surprise, Percentiles.of(values))

    def values(self, cluster: NDArray[np.int64], predicted: NDArray[np.str_]) -> NDArray[np.float32]:
        """(m,) surprise of each sample's class; NaN where the model gave none."""
        values = self.surprise[cluster, _column(self.classes, predicted)]
        return np.where(predicted == "", np.float32(np.nan), values).astype(np.float32)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """All that `from_arrays` needs."""
        return {"classes": self.classes, "surprise": self.surprise, "ranks": self.ranks.sorted}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Restores what `to_arrays` gave."""
        classes, surprise, ranks = arrays["classes"], arrays["surprise"], arrays["ranks"]
        return cls(np.asarray(classes, np.str_), np.asarray(surprise, np.float32), Percentiles(np.asarray(ranks, np.float32)))


def _column(classes: NDArray[np.str_], predicted: NDArray[np.str_]) -> NDArray[np.int64]:
    """Each class's column, the last for those that are not known."""
    if not len(classes):
        return np.zeros(len(predicted), np.int64)
    at = np.minimum(np.searchsorted(classes, predicted), len(classes) - 1)
    return np.where(classes[at] == predicted, at, len(classes)).astype(np.int64)
