"""Which training rows an answer stands on: what the last layer would say without each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DAMPING = 0.01
"""Of the mean curvature, added to all of it: directions in which nothing was learnt would count without end otherwise."""

_BLOCK = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class LastLayer:
    """A softmax layer on embeddings, as far as leaving out one of its n training rows can be foretold.

    The loss of row i is -log p(y), its gradient δ ⊗ x with δ = p - e(y), x the embedding and a 1. The layer's curvature is taken for
    the Kronecker product of A = mean x xᵀ and B = mean (diag p - p pᵀ), each damped by 1 % of its mean eigenvalue, so that one
    Newton step without row i raises the loss of a query q by

        (δq · B⁻¹ δi) (xq · A⁻¹ xi) / n.

    It assumes that the layer was trained to its optimum on these rows, over an embedding that stays as it is. A first-order
    estimate: good for which rows come first and on which side they stand, less so for by how much.

    Examples
    --------
    >>> rows = np.float32([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    >>> sure = np.float32([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    >>> layer = LastLayer.fit(rows, np.array([0, 1, 1, 1]), sure)
    >>> np.sign(layer.on(rows[0], sure[0], label=0)).tolist()
    [1.0, -1.0, 1.0, 1.0]
    >>> int(layer.own().argmax())
    1

    References
    ----------
    Koh and Liang, "Understanding black-box predictions via influence functions", ICML 2017.
    Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", ICML 2015.
    """

    rows: NDArray[np.float32]
    """(n, d + 1) embeddings and ones."""
    residuals: NDArray[np.float32]
    """(n, C) δ."""
    inputs: NDArray[np.float64]
    """(d + 1, d + 1) inverse of A."""
    outputs: NDArray[np.float64]
    """(C, C) inverse of B."""

    @classmethod
    def fit(cls, embeddings: NDArray[np.float32], labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> LastLayer:
        """From the training rows (n, d), their labels (n,), each below C, and what the layer says of them (n, C).

        Costs O(n d² + n C²) once.
        """
        count, classes = probabilities.shape
        if embeddings.shape[0] != count or labels.shape != (count,) or not count:
            raise ValueError(f"as many embeddings and labels as probabilities, at least one: {embeddings.shape}, {labels.shape}, {count}")
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels: 0 to {classes - 1}, found {labels.min()} to {labels.max()}; leave out rows of other classes")
        rows = np.concatenate([embeddings, np.ones((count, 1), np.float32)], axis=1).astype(np.float32, copy=False)
        mean = probabilities.mean(0, dtype=np.float64)
        curvature = np.diag(mean) - (probabilities.T @ probabilities).astype(np.float64) / count
        residuals = probabilities.astype(np.float32)
        residuals[np.arange(count), labels] -= 1
        return cls(rows, residuals, _inverse((rows.T @ rows).astype(np.float64) / count), _inverse(curvature))

    def on(self, embedding: NDArray[np.float32], probabilities: NDArray[np.float32], *, label: int) -> NDArray[np.float32]:
        """(n,) nats by which the loss of a query (d,) with those probabilities (C,) would rise without each training row.

        Above 0 the row supports the label, below it opposes it. Costs O(n (d + C)).
        """
        residual = probabilities.astype(np.float64)
        residual[label] -= 1
        across = self.rows @ (self.inputs @ np.append(embedding, 1.0)).astype(np.float32)
        return np.asarray(across * (self.residuals @ (self.outputs @ residual).astype(np.float32)) / len(self.rows), np.float32)

    def own(self) -> NDArray[np.float32]:
        """(n,) nats by which each row's own loss would rise without it: high where only the row itself speaks for its label.

        Costs O(n d² + n C²).
        """
        found = np.empty(len(self.rows), np.float32)
        inputs, outputs = self.inputs.astype(np.float32), self.outputs.astype(np.float32)
        for start in range(0, len(found), _BLOCK):
            part = slice(start, start + _BLOCK)
            leverage = np.einsum("ij,ij->i", self.rows[part] @ inputs, self.rows[part])
            found[part] = leverage * np.einsum("ij,ij->i", self.residuals[part] @ outputs, self.residuals[part])
        return np.asarray(found / len(found), np.float32)


def _inverse(curvature: NDArray[np.float64]) -> NDArray[np.float64]:
    size = len(curvature)
    damped = curvature + (_DAMPING * np.trace(curvature) / size + np.finfo(np.float64).tiny) * np.eye(size)
    return np.asarray(np.linalg.inv(damped), np.float64)
