"""frouros' maximum mean discrepancy of a sliding window."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from frouros.detectors.data_drift import MMDStreaming
from frouros.utils.kernels import rbf_kernel
from scipy.spatial.distance import pdist

from .serving import Fit, Reference, Rows

WINDOW, REFERENCE = 50, 500
"""Rows; each new row is compared with every row of the reference in the window again, so the reference has to be small."""


class Sliding:
    """It decides nothing itself: it comes without a threshold."""

    step = 1

    def __init__(self, reference: Reference) -> None:
        self._rows = reference.rows[:REFERENCE].astype(np.float64)
        kernel = partial(rbf_kernel, sigma=float(np.median(pdist(self._rows))))
        self._begin = partial(MMDStreaming, window_size=WINDOW, kernel=kernel)
        self._detector: MMDStreaming | None = None

    @property
    def state_bytes(self) -> int:
        """The window."""
        return int(WINDOW * self._rows.itemsize * self._rows.shape[1])

    def restart(self) -> None:
        self._detector = self._begin()
        self._detector.fit(X=self._rows)

    def score(self, rows: Rows) -> tuple[float, bool]:
        assert self._detector is not None  # noqa: S101 - a stream begins with `restart`
        found, _ = self._detector.update(value=rows[0].astype(np.float64))
        return (-np.inf if found is None else float(found.distance)), False


FITS: Mapping[str, Fit] = {"MMDStreaming": Sliding}
