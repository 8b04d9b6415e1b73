"""What training on a row would do to the rows that must not regress, foretold from the last layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from detectors.influence import LastLayer
from detectors.selection.kernel import blocks

_LEAST = 1e-6
"""Probability below which a class counts as one that the model does not have."""

_MOST = 1_000

_COMPONENTS = 64
"""Of the rows, in which the layer is looked at. Where dimensions are as many as rows the curvature fits the rows themselves: of requests
in 384 of them flips are foretold with a rank correlation of .20, in 64 with .52 (of images in 128 with .50 and .47)."""

_UNSURE = 1e-4
"""Share of its probabilities that a layer is taken to spread evenly: one that is never unsure has no curvature to divide by."""


@dataclass(frozen=True, slots=True, eq=False)
class Harm:
    """A softmax layer as m rows see it that must not regress (golden's select part): z their 64 leading principal components and a 1, p
    what it says of them.

    *Influence.* A Newton step on a new row (x, y) that counts like s of the m rows, with the layer's curvature taken for the Kronecker
    product of A and B (K-FAC, see `LastLayer`), changes the mean loss of the m rows, to second order and with δ = p(x) - e(y), by

        h(x, y) = -s δ · M x / m + s² (x · A⁻¹ x) (δ · B⁻¹ δ) / (2 m²),   M = B⁻¹ (mean (p(z) - e(y(z))) zᵀ) A⁻¹,

    for all labels of a row at once. The first term is what influence functions give; near an optimum the mean slope is small,
    and for all but the slightest weights the second one decides. A label that the layer has no class for takes from all others.

    *Virtual flips.* A gradient step along A⁻¹ x that is just large enough for the row to get its label moves the margin of every row
    z towards that label by its own share of what x gets, k(z, x) = z A⁻¹ x. Counted are the rows, right before, that come to be
    called y, each as far as a logistic law of its margin says.

    Assumes an embedding that stays as it is. Measured by training on single rows of requests and images anew, influence ranks the loss
    of the m rows themselves (rank correlation .4 to .5 where s is slight) and says nothing of other rows; flips rank the flips of
    other rows (.5). Before the label is known neither says much (see `risk`).

    Attributes
    ----------
    centre, axes : (d,), (d, k) float32
        From embeddings to components.
    slope : (C, k + 1) float32
        M.
    inverse, outputs : (k + 1, k + 1), (C, C) float32
        A⁻¹ and B⁻¹.
    right : (r, k + 1) float32
        Rows that the layer gets right, and below their classes; of more than 1,000 those that it is least sure of.
    classes : (r,) int64
    margins : (C + 1, r) float32
        By how many nats each of them is not called each class; endlessly many for its own.
    rows
        m.

    References
    ----------
    Koh and Liang, "Understanding black-box predictions via influence functions", ICML 2017.
    Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", ICML 2015.
    Toneva et al., "An empirical study of example forgetting during deep neural network learning", ICLR 2019.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = rng.integers(0, 3, 300)
    >>> rows = (3 * np.eye(3, 4)[labels] + rng.standard_normal((300, 4))).astype(np.float32)
    >>> said = np.exp(3 * rows[:, :3]) / np.exp(3 * rows[:, :3]).sum(1, keepdims=True)
    >>> harm = Harm.fit(rows[:200], labels[:200], said[:200])
    >>> one = slice(200, 201)
    >>> wrong = (labels[one] + 1) % 3
    >>> bool(harm.flips(rows[one], said[one], wrong) > harm.flips(rows[one], said[one], labels[one]))
    True
    """

    centre: NDArray[np.float32]
    axes: NDArray[np.float32]
    slope: NDArray[np.float32]
    inverse: NDArray[np.float32]
    outputs: NDArray[np.float32]
    right: NDArray[np.float32]
    classes: NDArray[np.int64]
    margins: NDArray[np.float32]
    rows: int

    @classmethod
    def fit(cls, embeddings: NDArray[np.float32], labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Harm:
        """From rows (m, d), their labels (m,), each below C, and what the layer says of them (m, C). Costs O(m (d² + C²))."""
        centre = embeddings.mean(0)
        moved = (embeddings - centre).astype(np.float64)
        axes = np.linalg.eigh(moved.T @ moved)[1][:, -_COMPONENTS:].astype(np.float32)
        unsure = (probabilities * (1 - _UNSURE) + _UNSURE / probabilities.shape[1]).astype(np.float32)
        layer = LastLayer.fit((embeddings - centre) @ axes, labels, unsure)
        gradient = (layer.residuals.T @ layer.rows).astype(np.float64) / len(layer.rows)
        right, margins = _margins(labels, probabilities)
        return cls(
            centre,
            axes,
            (layer.outputs @ gradient @ layer.inputs).astype(np.float32),
            layer.inputs.astype(np.float32),
            layer.outputs.astype(np.float32),
            layer.rows[right],
            labels[right],
            margins,
            len(layer.rows),
        )

    def influence(self, embeddings: NDArray[np.float32], probabilities: NDArray[np.float32], *, weight: float = 1.0) -> NDArray[np.float32]:
        """(n, C + 1) nats by which the mean loss rises if (n, d) rows, of which the layer says (n, C), are trained on, by label; the last
        column is for any class that the layer does not have. `weight` is s. Costs O(n (d k + k C + C²)).
        """
        inputs = self._inputs(embeddings)
        pull, own = inputs @ self.slope.T, probabilities @ self.outputs
        taken, spread = (np.einsum("nc,nc->n", probabilities, term)[:, None] for term in (pull, own))
        slope = np.hstack([pull - taken, -taken])
        bent = np.hstack([spread - 2 * own + np.diag(self.outputs), spread + np.diag(self.outputs).max()])
        share = weight / self.rows
        leverage = np.einsum("nd,nd->n", inputs @ self.inverse, inputs)[:, None]
        return np.asarray(share * slope + share**2 / 2 * leverage * bent, np.float32)

    def flips(self, embeddings: NDArray[np.float32], probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n,) of the m rows, how many would flip to the label (n,) that each row is trained on with; labels from C on are new classes.

        Costs O(n (d + r) k).
        """
        inputs, found = self._inputs(embeddings), np.zeros(len(labels), np.float32)
        before = expit(-self.margins).sum(1)
        for rows in blocks(np.arange(len(labels))):
            label = np.minimum(labels[rows], probabilities.shape[1])
            found[rows] = self._called(inputs[rows], probabilities[rows], label) - before[label]
        return found

    def reach(
        self,
        embeddings: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        rows: NDArray[np.float32],
        said: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """(n, m) by how much likelier each of m rows (m, d), of which the layer says (m, C), comes to be called the label of each of n
        rows, once that one is trained on. The same step as in `flips`, pair by pair. Costs O((n + m) d k + n m k)."""
        label = np.minimum(labels, probabilities.shape[1])
        chances, moves = self._step(self._inputs(embeddings), probabilities, label)
        logs = np.log(np.maximum(np.column_stack([said, np.zeros(len(said), np.float32)]), _LEAST))
        called = said.argmax(1)
        margins = (logs[np.arange(len(said)), called][:, None] - logs)[:, label].T
        moved = moves @ self._inputs(rows).T
        moved *= chances[:, called] + (1 - chances[np.arange(len(label)), label])[:, None]
        return np.asarray(expit(moved - margins) - expit(-margins), np.float32)

    def _called(self, inputs: NDArray[np.float32], probabilities: NDArray[np.float32], label: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n,) rows that are called each row's label once it is trained on."""
        chances, moves = self._step(inputs, probabilities, label)
        moved = moves @ self.right.T
        moved *= np.take(chances, self.classes, axis=1) + (1 - chances[np.arange(len(label)), label])[:, None]
        moved -= self.margins[label]
        return np.asarray(expit(moved, out=moved).sum(1), np.float32)

    def _step(
        self, inputs: NDArray[np.float32], probabilities: NDArray[np.float32], label: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What is said of rows, a class that the layer does not have included, and where training on each with its label goes."""
        across, at = inputs @ self.inverse, np.arange(len(label))
        chances = np.maximum(np.column_stack([probabilities, np.zeros(len(label), np.float32)]), _LEAST)
        pull = 1 - chances[at, label]
        most = chances.max(1)
        own = np.einsum("nd,nd->n", across, inputs)
        step = np.log(most / chances[at, label]) / np.maximum(own * (pull + most), np.finfo(np.float32).tiny)
        return chances, np.asarray(across * step[:, None].astype(np.float32), np.float32)

    def _inputs(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.column_stack([(embeddings - self.centre) @ self.axes, np.ones(len(embeddings), np.float32)])


def _margins(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The rows that `Harm` holds, and their margins."""
    right = np.flatnonzero(probabilities.argmax(1) == labels)
    logs = np.log(np.maximum(np.column_stack([probabilities[right], np.zeros(len(right), np.float32)]), _LEAST))
    margins = logs[np.arange(len(right)), labels[right]][:, None] - logs
    margins[np.arange(len(right)), labels[right]] = np.inf
    least = np.sort(margins.min(1).argsort(kind="stable")[:_MOST])
    return right[least], np.ascontiguousarray(margins[least].T, np.float32)
