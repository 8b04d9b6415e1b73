"""Where the values of a tag never reach: clusters of a set that hold none of them although their shares say that they should."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.clustering import kmeans, nearest
from service.checking.findings import EXAMPLES, Check
from service.checking.sets import Rows

_CLUSTERS, _ROWS_A_CLUSTER, _FITTED = 64, 50, 20_000
_VALUES = 20
"""Of a tag: its commonest."""
_EXPECTED = 12.0
"""Rows that a cell should hold before it is worth a word that it holds none: by chance one in 160,000 such cells does."""


class Cell(NamedTuple):
    """A value of a tag that a cluster should hold `expected` rows of."""

    tag: str
    cluster: int
    expected: float


def cell_check(rows: Rows) -> Iterator[Check]:
    """Nothing where there are neither tags nor clusters."""
    tags = sorted({tag for sample in rows.samples for tag in sample.segments})
    if not tags or rows.vectors is None or len(rows) < 2 * _ROWS_A_CLUSTER:
        return
    cluster = _clusters(rows.vectors)
    empty = sorted((cell for tag in tags for cell in empty_cells(rows, tag, cluster)), key=lambda cell: -cell.expected)
    shown = tuple(f"{cell.tag} in cluster {cell.cluster}: 0 rows, {cell.expected:.0f} expected" for cell in empty[:EXAMPLES])
    said = f"{len(empty):,} cells of {int(cluster.max()) + 1} clusters and the values of {', '.join(tags[:3])} are empty"
    yield Check("empty_cells", rows.name, len(empty), said if empty else "none", shown)


def empty_cells(rows: Rows, tag: str, cluster: NDArray[np.int64]) -> Iterator[Cell]:
    """Of the tag's commonest values, were they spread over the clusters like all rows that carry the tag."""
    values = np.array([sample.segments.get(tag, "") for sample in rows.samples])
    names, of = np.unique(values, return_inverse=True)
    counts = np.zeros((len(names), int(cluster.max()) + 1))
    np.add.at(counts, (of, cluster), 1)
    counts = counts[names != ""]
    names = names[names != ""]
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    for value in np.argsort(-counts.sum(1), kind="stable")[:_VALUES].tolist():
        for at in np.flatnonzero((counts[value] == 0) & (expected[value] >= _EXPECTED)).tolist():
            yield Cell(f"{tag}={names[value]}", at, float(expected[value, at]))


def _clusters(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    rng = np.random.default_rng(0)
    drawn = rows[np.sort(rng.choice(len(rows), min(len(rows), _FITTED), replace=False))]
    return nearest(rows, kmeans(drawn, min(_CLUSTERS, len(rows) // _ROWS_A_CLUSTER), rng=rng))[1]
