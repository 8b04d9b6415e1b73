"""What failure samples and earlier answers say about the rows near them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.selection.base import REJECTED, UNKNOWN, Known
from detectors.selection.coverage import company
from detectors.selection.kernel import Scales, blocks

FAILURE_WEIGHT = 3.0
"""Answers that a known failure counts as much as: someone has already looked at it."""

_COHERENT = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Rows with a right class that the model did not give, and rows that turned out to be no use or no failure.

    Attributes
    ----------
    rows : (a, k) float32
        Accepted: failure samples and answers other than what the model had said, as unit rows.
    labels : (a,) int64
    weight : (a,) float32
    coherent : (a,) bool
        Whether other evidence supports the label: more than contradicts it. A forced answer to junk is alone with its label; a
        failure sample that others contradict is not believed either.
    rejected, confirmed : (r, k), (g, k) float32
    """

    rows: NDArray[np.float32]
    labels: NDArray[np.int64]
    weight: NDArray[np.float32]
    coherent: NDArray[np.bool_]
    rejected: NDArray[np.float32]
    confirmed: NDArray[np.float32]

    @classmethod
    def of(cls, known: Known, white: Callable[[NDArray[np.float32]], NDArray[np.float32]], scales: Scales) -> Evidence:
        """Sorts what is known into accepted, rejected and confirmed rows of the whitened space; unlabelled failures are one class."""
        none = known.reference[:0]
        failures = none if known.failures is None else known.failures
        labels = np.full(len(failures), UNKNOWN) if known.failure_labels is None else known.failure_labels
        answered, answers = (none, labels[:0]) if known.answered is None or known.answers is None else (known.answered, known.answers)
        said = np.full(len(answers), UNKNOWN) if known.answered_predicted is None else known.answered_predicted
        rejected, confirmed = answers == REJECTED, (answers == said) & (answers != REJECTED)
        new = ~rejected & ~confirmed
        rows, out = white(np.concatenate([failures, answered[new]])), white(answered[rejected])
        labels = np.concatenate([labels, answers[new]])
        weight = np.repeat(np.array([FAILURE_WEIGHT, 1], np.float32), [len(failures), int(new.sum())])
        return cls(rows, labels, weight, _coherent(rows, labels, weight, out, scales), out, white(answered[confirmed]))

    @property
    def classes(self) -> NDArray[np.int64]:
        """Classes in which the model is known to fail."""
        return np.unique(self.labels)

    @property
    def asked(self) -> NDArray[np.float32]:
        """(a + r + g, k) everything that need not be asked about again."""
        return np.concatenate([self.rows, self.rejected, self.confirmed])


def _coherent(
    rows: NDArray[np.float32], labels: NDArray[np.int64], weight: NDArray[np.float32], rejected: NDArray[np.float32], scales: Scales
) -> NDArray[np.bool_]:
    """(a,) whether the weight of like labels around each row reaches .3 and exceeds that of other answers by as much."""
    support, against = np.zeros(len(rows), np.float32), company(rows, rejected, scales)
    for part in blocks(np.arange(len(rows))):
        near = scales.kernel(rows[part], rows) * weight
        near[np.arange(len(part)), part] = 0
        alike = labels[part][:, None] == labels
        support[part] = (near * alike).sum(1)
        against[part] += (near * ~alike).sum(1)
    given = weight >= FAILURE_WEIGHT
    return np.asarray((support >= np.maximum(against, 0) + _COHERENT) | given & (against <= support + weight))


def closeness(unit: NDArray[np.float32], near: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) cosine of each of (n, k) unit rows to the nearest of (j, k); -1 where there is none."""
    if not len(near):
        return np.full(len(unit), -1, np.float32)
    parts = [(unit[rows] @ near.T).max(1) for rows in blocks(np.arange(len(unit)))]
    return np.asarray(np.concatenate(parts) if parts else np.empty(0), np.float32)
