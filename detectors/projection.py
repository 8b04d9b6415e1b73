"""Embeddings as points of a picture: two directions that a reference fixes, so that pictures of any later traffic can be laid beside it.

>>> rng = np.random.default_rng(0)
>>> rows = (rng.standard_normal((500, 8)) * [3, 2, 1, 1, 1, 1, 1, 1]).astype(np.float32)
>>> plane = Plane.fit(rows)
>>> [round(share, 2) for share in plane.explained]
[0.45, 0.21]
>>> plane(rows).shape
(500, 2)
>>> bool(np.allclose(plane(rows[:3]), plane(rows)[:3]))  # a point does not move with what is drawn beside it
True
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.evenly import evenly

_MOST_ROWS = 20_000
"""That directions are learnt from, evenly spread."""


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """The two leading principal directions of a reference's rows around their mean.

    A row x becomes (x - c) V, where c is the mean and V (d, 2) holds the right singular vectors of the centred rows with the
    largest singular values s. `explained` is s_i² / Σ s_j²: what of the spread the picture shows; the rest is not seen in it, so
    rows that lie apart may lie on top of each other. Signs are chosen so that each direction's largest number is positive.

    References
    ----------
    Pearson, "On lines and planes of closest fit to systems of points in space", Philosophical Magazine 1901. Jolliffe, "Principal
    Component Analysis", 2nd edition, Springer 2002.
    """

    centre: NDArray[np.float32]
    """(d,)"""
    axes: NDArray[np.float32]
    """(d, 2); a direction that the rows do not have is 0."""
    explained: tuple[float, float]

    @classmethod
    def fit(cls, rows: NDArray[np.float32]) -> Self:
        """From (n, d) rows, n > 0; of many, some evenly spread."""
        kept = np.asarray(rows[evenly(len(rows), _MOST_ROWS)], np.float64)
        centre = kept.mean(0)
        centred = kept - centre
        # The singular vectors of the rows are those of their d × d products, which cost a fraction.
        _, squares, directions = np.linalg.svd(centred.T @ centred, hermitian=True)
        axes, total = np.zeros((rows.shape[1], 2)), float(squares.sum())
        for at, direction in enumerate(directions[:2]):
            axes[:, at] = direction * np.sign(direction[np.abs(direction).argmax()])
        first, second = (float(share) for share in np.append(squares, 0.0)[:2] / (total or 1.0))
        return cls(centre.astype(np.float32), axes.astype(np.float32), (first, second))

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) → (n, 2)."""
        return np.asarray((rows - self.centre) @ self.axes, np.float32)
