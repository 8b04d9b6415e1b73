"""A softmax layer on principal components: what a refresh retrains, in a fraction of a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

COMPONENTS, PENALTY = 128, 0.03
"""Of the embedding; and of half the squared weights, beside the sum of the losses of rows of unit length in the mean."""

_STEPS, _TOLERANCE = 150, 3e-2
"""Of L-BFGS; the largest slope at which it ends, where a row's loss has slopes of about 1."""

Rows = NDArray[np.float32]
Classes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """Principal components of the rows a first model was trained on; the same ones for every later model."""

    centre: Rows
    axes: Rows
    """(d, r), scaled so that rows have unit length in the mean."""

    @classmethod
    def fit(cls, rows: Rows) -> Components:
        """From (n, d) rows."""
        centre = rows.mean(0)
        moved = rows - centre
        axes = np.linalg.eigh(moved.T @ moved)[1][:, ::-1][:, :COMPONENTS]
        return cls(centre, np.asarray(axes / np.sqrt(((moved @ axes) ** 2).sum(1).mean()), np.float32))

    def __call__(self, rows: Rows) -> Rows:
        """(n, d) → (n, r + 1), with a 1 for the offset."""
        return np.column_stack([(rows - self.centre) @ self.axes, np.ones(len(rows), np.float32)])


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A trained layer."""

    components: Components
    weights: NDArray[np.float32]
    """(r + 1, C)"""

    def probabilities(self, rows: Rows) -> Rows:
        """(n, d) → (n, C)"""
        return np.asarray(softmax(self.components(rows) @ self.weights, axis=1), np.float32)

    def answers(self, rows: Rows) -> Classes:
        """(n, d) → (n,)"""
        return np.asarray((self.components(rows) @ self.weights).argmax(1), np.int64)


def train(rows: Rows, labels: Classes, classes: int, *, start: Head | None = None, weights: Rows | None = None) -> Head:
    """To its optimum on (n, d) rows with labels (n,), from where another model stands, whose components it takes. Weights (n,) count
    a row more or less than once."""
    components = start.components if start else Components.fit(rows)
    inputs = components(rows)
    first = np.zeros((inputs.shape[1], classes), np.float32)
    if start:
        first[:, : start.weights.shape[1]] = start.weights
    counts = np.ones(len(rows), np.float32) if weights is None else weights
    loss = _Loss(inputs, labels, counts, classes)
    found = minimize(
        loss, first.ravel() * loss.stretch, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS, "gtol": _TOLERANCE, "maxcor": 10}
    )
    return Head(components, np.asarray((found.x / loss.stretch).reshape(first.shape), np.float32))


class _Loss:
    """The penalised loss and its slope at weights that are stretched by about their curvature's root, which saves half the steps."""

    def __init__(self, inputs: Rows, labels: Classes, counts: Rows, classes: int) -> None:
        self._inputs, self._labels, self._counts, self._classes = inputs, labels, counts, classes
        curvature = PENALTY + (counts @ inputs**2) / classes
        self.stretch = np.repeat(np.sqrt(curvature), classes).astype(np.float64)
        self._penalty = np.full((inputs.shape[1], 1), PENALTY, np.float32)
        self._penalty[-1] = 1e-3 * PENALTY

    def __call__(self, stretched: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = (stretched / self.stretch).reshape(-1, self._classes).astype(np.float32)
        scores = self._inputs @ weights
        scores -= scores.max(1, keepdims=True)
        chances = np.exp(scores)
        total = chances.sum(1)
        own = np.arange(len(self._labels)), self._labels
        loss = float(self._counts @ (np.log(total) - scores[own]).astype(np.float64))
        chances *= (self._counts / total)[:, None]
        chances[own] -= self._counts
        slope = self._inputs.T @ chances + self._penalty * weights
        loss += 0.5 * float((self._penalty * weights**2).sum())
        return loss, slope.ravel().astype(np.float64) / self.stretch
