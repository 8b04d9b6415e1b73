"""Few rows that stand for many: weighted facility location, chosen greedily."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.selection.kernel import Scales, blocks

_AT_ONCE = 32


class FacilityLocation:
    """Which row covers most of what is not covered yet, step by step.

    A choice S of candidates covers row y as far as C(y) = max over x in S of K(x, y), and is worth Σ w(y) C(y). Each step takes the
    candidate with the largest m(x) Σ w(y) max(0, K(x, y) - C(y)): without merits m that is within 1 - 1/e of the best choice of
    the same size. Gains only shrink, so a candidate whose old gain is below the best fresh one need not be looked at again
    (lazy greedy); the kernel is computed in blocks and never held.

    Parameters
    ----------
    unit : (n, k) float32
        Rows to be covered, as unit vectors.
    weight : (n,) float32
        What covering each is worth, ≥ 0.
    candidates : (c,) int64, optional
        Rows that may be chosen; all by default.
    merit : (n,) float32, optional
        What each candidate's gain is multiplied with, ≥ 0; 1 by default.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> topics = np.eye(3, 8)[np.repeat([0, 1, 2], [60, 40, 25])]
    >>> rows = topics + 0.02 * rng.standard_normal((125, 8))
    >>> unit = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
    >>> places = FacilityLocation(unit, np.ones(125, np.float32), scales=Scales.fit(unit))
    >>> [int(topics[places.step()[0]].argmax()) for _ in range(3)]
    [0, 1, 2]

    References
    ----------
    Nemhauser, Wolsey and Fisher, "An analysis of approximations for maximizing submodular set functions", 1978.
    Minoux, "Accelerated greedy algorithms for maximizing submodular set functions", 1978 (lazy evaluation).
    Wei, Iyer and Bilmes, "Submodularity in data subset selection and active learning", ICML 2015.
    """

    def __init__(
        self,
        unit: NDArray[np.float32],
        weight: NDArray[np.float32],
        *,
        scales: Scales,
        candidates: NDArray[np.int64] | None = None,
        merit: NDArray[np.float32] | None = None,
    ) -> None:
        self._unit, self._weight, self._scales = unit, weight, scales
        self._merit = np.ones(len(unit), np.float32) if merit is None else merit
        self._covered = np.zeros(len(unit), np.float32)
        self._gain = np.full(len(unit), -np.inf, np.float32)
        for rows in blocks(np.arange(len(unit)) if candidates is None else candidates):
            self._refresh(rows)

    def step(self) -> tuple[int, float] | None:
        """The next row and what it adds; none when no candidate is left."""
        if not len(self._gain) or not np.isfinite(self._gain.max()):
            return None
        best = self._freshest()
        gain = float(self._gain[best])
        self.cover(self._unit[best : best + 1])
        self._gain[best] = -np.inf
        return best, gain

    def cover(self, unit: NDArray[np.float32]) -> None:
        """Takes (j, k) unit rows into the choice that need not be among the candidates."""
        for rows in blocks(np.arange(len(unit))):
            np.maximum(self._covered, self._scales.kernel(unit[rows], self._unit).max(0), out=self._covered)

    def discount(self, factor: NDArray[np.float32]) -> None:
        """Multiplies the merits with (n,) factors, 0 to 1, from the next step on: gains still only shrink."""
        self._merit = self._merit * factor

    def _freshest(self) -> int:
        """The row with the largest gain now; refreshes stale gains in place, a few at a time."""
        fresh = np.zeros(len(self._gain), bool)
        while not fresh[best := int(self._gain.argmax())]:
            stale = np.flatnonzero(~fresh & np.isfinite(self._gain))
            rows = stale[np.argsort(-self._gain[stale], kind="stable")[:_AT_ONCE]]
            self._refresh(rows)
            fresh[rows] = True
        return best

    def _refresh(self, rows: NDArray[np.int64]) -> None:
        added = np.maximum(self._scales.kernel(self._unit[rows], self._unit) - self._covered, 0) @ self._weight
        self._gain[rows] = self._merit[rows] * added


def company(
    unit: NDArray[np.float32], near: NDArray[np.float32], scales: Scales, weight: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """(n,) Σ over y in `near` (j, k) of w(y) K(x, y), for each of (n, k) unit rows x; every weight 1 by default."""
    weight = np.ones(len(near), np.float32) if weight is None else weight
    parts = [scales.kernel(unit[rows], near) @ weight for rows in blocks(np.arange(len(unit)))]
    return np.asarray(np.concatenate(parts) if parts else np.empty(0), np.float32)
