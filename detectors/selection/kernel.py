"""How alike two rows are, on a scale that the reference itself sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.evenly import evenly

MOST = 5_000
"""Rows of a kind that are held against others; of more, as many are taken evenly."""

_QUERIES = 1_000
_BLOCK = 512
_SAME = 1e-6


def directions(rows: NDArray[np.float32], centre: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, d) rows as unit vectors seen from a centre (d,); a row at the centre stays 0."""
    moved = rows - centre
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(moved / np.where(length > 0, length, 1), np.float32)


@dataclass(frozen=True, slots=True)
class Scales:
    """What "alike" means, learnt from how close reference rows lie to each other.

    K(a, b) = clip((cos - c0) / (2 (cm - c0)), 0, 1), where cm is the median and s0 the 10 % quantile of the reference's
    leave-one-out nearest similarities and c0 = s0 - (cm - s0) / 2: a row as close as reference neighbours usually are is half
    covered, one farther away than almost all of them not at all.
    """

    duplicate: float
    """Cosine from which two rows are near-duplicates: .45 × the median nearest distance."""
    zero: float
    half: float

    @classmethod
    def fit(cls, unit: NDArray[np.float32]) -> Scales:
        """From at most 1,000 evenly spaced of (m, d) unit rows against all; exact copies are not neighbours."""
        rows = np.unique(np.linspace(0, len(unit) - 1, _QUERIES).astype(np.int64))
        nearest = np.concatenate([_nearest_other(unit[part], unit) for part in blocks(rows)])
        low, middle = np.quantile(nearest, [0.1, 0.5])
        zero = low - (middle - low) / 2
        half = max(middle, zero + 0.03)
        return cls(duplicate=float(1 - 0.45**2 * (1 - middle)), zero=float(zero), half=float(half))

    @property
    def width(self) -> float:
        """Cosine over which "as near as reference rows are to each other" turns into "farther than almost all of them"."""
        return max((self.half - self.tail) / 2, 0.01)

    @property
    def tail(self) -> float:
        """Cosine to the nearest other row that 10 % of the reference do not reach."""
        return (2 * self.zero + self.half) / 3

    def novel(self, nearest: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log odds that rows are new whose nearest reference row has these cosines: 0 at the reference's own tail."""
        return np.asarray((self.tail - nearest) / self.width, np.float32)

    def kernel(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        """(k, d), (n, d) unit rows → (k, n) in 0..1."""
        return self._scaled(a @ b.T)

    def closeness(self, cosine: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float32]:
        """K of cosines that are known already, of any shape."""
        return self._scaled(cosine.astype(np.float32))

    def _scaled(self, cosine: NDArray[np.float32]) -> NDArray[np.float32]:
        """In place."""
        cosine -= np.float32(self.zero)
        cosine *= np.float32(1 / (2 * (self.half - self.zero)))
        return np.asarray(np.clip(cosine, 0, 1, out=cosine), np.float32)


def _nearest_other(queries: NDArray[np.float32], unit: NDArray[np.float32]) -> NDArray[np.float32]:
    cosine = queries @ unit.T
    cosine[cosine > 1 - _SAME] = -1
    return np.asarray(cosine.max(1), np.float32)


def blocks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """In pieces that a matrix product of theirs with all rows has room for."""
    return (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))


def thinned(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most 5,000 of the rows, evenly spaced in their order."""
    return rows if len(rows) <= MOST else rows[evenly(len(rows), MOST)]
