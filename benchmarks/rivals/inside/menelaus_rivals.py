"""menelaus' test by a tree of cells."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from menelaus.data_drift import KdqTreeBatch

from .batches import WINDOW, Batches
from .serving import Fit, Reference, Rows


class AsShipped:
    """After an alarm it takes the batch that raised it as its reference; a new stream gets the first one back."""

    step = WINDOW

    def __init__(self, reference: Rows) -> None:
        self._reference = reference.astype(np.float64)
        self._detector: KdqTreeBatch | None = None

    @property
    def state_bytes(self) -> int:
        """A batch, which may become the reference."""
        return int(WINDOW * self._reference.itemsize * self._reference.shape[1])

    def restart(self) -> None:
        self._detector = KdqTreeBatch()
        self._detector.set_reference(self._reference)

    def score(self, rows: Rows) -> tuple[float, bool]:
        assert self._detector is not None  # noqa: S101 - a stream begins with `restart`
        self._detector.update(rows.astype(np.float64))
        alarm = self._detector.drift_state == "drift"
        return float(alarm), alarm


def kdq_tree(reference: Reference) -> AsShipped | Batches:
    """The statistic is the divergence of the batch's cells from the reference's."""
    if reference.shipped:
        return AsShipped(reference.rows)
    detector = KdqTreeBatch(bootstrap_samples=1)
    detector.set_reference(reference.rows.astype(np.float64))
    tree = detector._kdqtree

    def test(rows: Rows) -> tuple[float, bool]:
        tree.fill(rows.astype(np.float64), tree_id="test", reset=True)
        return float(tree.kl_distance(tree_id1="build", tree_id2="test")), False

    return Batches(reference.rows, test, detector)


FITS: Mapping[str, Fit] = {"KdqTreeBatch": kdq_tree}
