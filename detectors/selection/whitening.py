"""A space in which what tells classes apart counts, and what rows of one class differ in does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.selection.kernel import directions, thinned

SHRINK = 0.6
"""Share of the within-class covariance that is taken to be the same in all directions."""

_PAIRS = 1_000
_DIMENSION, _BEYOND, _SURELY = 128, 32, 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """Unit rows, seen from the reference's centre, in the metric of its shrunk within-class covariance.

    S = (1 - .6) W + .6 tr(W) / d I, where W is the covariance of rows around the mean of their class. In S^(-1/2) (x - centre) a
    difference that rows of one class have anyway counts less than one that only rows of different classes have. Where fewer than
    two rows share a class, W is half the covariance of the differences between nearest neighbours, which are mostly of one class.
    Of more than 128 dimensions those are kept in which the reference, whitened, spreads most: kernels cost less, and agree. At most 32 of
    them give way to directions in which rows of the pool spread well beyond that: what is new would be cut off with the rest of its
    directions, and its rows would look as if each lay alone.

    Attributes
    ----------
    centre : (d,) float32
    factor : (d, k) float32
    """

    centre: NDArray[np.float32]
    factor: NDArray[np.float32]

    @classmethod
    def fit(
        cls, rows: NDArray[np.float32], classes: NDArray[np.int64] | None = None, *, pool: NDArray[np.float32] | None = None
    ) -> Whitening:
        """From (m, d) rows, m ≥ 2 and not all alike, and their classes (m,), negative where not known; `pool`: (n, d) rows that are held
        against them. Costs O((m + 5,000) d²).

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> classes = rng.integers(0, 2, 400)
        >>> rows = np.stack([classes + 0.1 * rng.standard_normal(400), 5 * rng.standard_normal(400)], 1).astype(np.float32)
        >>> stretch = np.linalg.norm(Whitening.fit(rows, classes).factor, axis=1)  # of the direction that tells classes apart
        >>> round(float(stretch[0] / stretch[1]), 1)
        1.5

        References
        ----------
        Fisher, "The use of multiple measurements in taxonomic problems", 1936.
        Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004 (shrinkage).
        Marchenko and Pastur, "Distribution of eigenvalues for some sets of random matrices", 1967 (what chance spreads to).
        """
        if rows.ndim != 2 or len(rows) < 2:
            raise ValueError(f"reference: at least 2 rows to learn what is alike from, found {len(rows)}; give more golden rows")
        centre = rows.mean(0, dtype=np.float64)
        moved = rows - centre
        if not (np.ptp(rows, axis=0) > 0).any():
            raise ValueError(f"reference: all its {len(rows)} rows are alike, so nothing says what is near; give different golden rows")
        inner = _within(moved, classes)
        dimension = rows.shape[1]
        level = max(float(np.trace(inner)) / dimension, float(np.mean(moved**2)) * 1e-3)
        values, vectors = np.linalg.eigh((1 - SHRINK) * inner + SHRINK * level * np.eye(dimension))
        root = (vectors / np.sqrt(values)) @ vectors.T
        others = (thinned(rows[:0] if pool is None else pool) - centre) @ root
        return cls(centre.astype(np.float32), np.asarray(root @ _spread(moved @ root, others), np.float32))

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) → (n, k) unit rows; a row at the centre stays 0."""
        mapped = np.asarray((rows - self.centre) @ self.factor, np.float32)
        return directions(mapped, np.zeros(mapped.shape[1], np.float32))


def _within(moved: NDArray[np.float64], classes: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """(d, d) the covariance around class means, or that of nearest neighbours where classes are not known."""
    known = np.zeros(len(moved), bool) if classes is None else classes >= 0
    if classes is not None and known.any():
        rows, member = moved[known], np.unique(classes[known], return_inverse=True)[1]
        counts = np.bincount(member)
        sums = np.zeros((len(counts), rows.shape[1]))
        np.add.at(sums, member, rows)
        free = len(rows) - len(counts)
        if free >= 1:
            around = rows - (sums / counts[:, None])[member]
            return np.asarray(around.T @ around / free)
    return _between_neighbours(moved)


def _between_neighbours(moved: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = np.unique(np.linspace(0, len(moved) - 1, _PAIRS).astype(np.int64))
    squares = (moved**2).sum(1)
    distance = squares - 2 * moved[rows] @ moved.T
    distance[np.arange(len(rows)), rows] = np.inf
    apart = moved[rows] - moved[distance.argmin(1)]
    return np.asarray(apart.T @ apart / (2 * len(rows)))


def _spread(white: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d, k) directions in which whitened rows spread most; all of them up to 128.

    For those with least spread stand directions beyond these in which others (n, d) spread more than noise in all of d - 128
    directions, with the least spread kept, would by chance: by 2 (1 + √((d - 128) / n))² times.
    """
    dimension = white.shape[1]
    if dimension <= _DIMENSION:
        return np.eye(dimension)
    values, vectors = np.linalg.eigh(white.T @ white / len(white))
    kept, rest = vectors[:, -_DIMENSION:], vectors[:, :-_DIMENSION]
    if not len(others):
        return np.asarray(kept)
    outside = others @ rest
    spread, turned = np.linalg.eigh(outside.T @ outside / len(others))
    chance = _SURELY * values[-_DIMENSION] * (1 + np.sqrt(rest.shape[1] / len(others))) ** 2
    beyond = rest @ turned[:, spread > chance][:, -_BEYOND:]
    return np.concatenate([kept[:, beyond.shape[1] :], beyond], axis=1)
