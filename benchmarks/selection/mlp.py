"""A network of two layers that never ends twice at the same place: what retraining from scratch does to answers that were right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from benchmarks.selection.head import Classes, Components, Rows

HIDDEN, EPOCHS, BATCH, RATE, DECAY = 128, 30, 64, 2e-3, 1e-4
_FIRST, _SECOND = 0.9, 0.999
"""Of Adam."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """softmax(relu(x A) B) of principal components x."""

    components: Components
    inner: NDArray[np.float32]
    outer: NDArray[np.float32]

    def probabilities(self, rows: Rows) -> Rows:
        """(n, d) → (n, C)"""
        hidden = np.maximum(_inputs(self.components, rows) @ self.inner, 0)
        return np.asarray(softmax(_with_one(hidden) @ self.outer, axis=1), np.float32)


def train_mlp(components: Components, rows: Rows, labels: Classes, classes: int, *, rng: np.random.Generator) -> Network:
    """By Adam with a falling rate, from weights and in an order that `rng` draws."""
    inputs = _inputs(components, rows)
    shapes = (inputs.shape[1], HIDDEN), (HIDDEN + 1, classes)
    weights = [rng.normal(scale=np.sqrt(2 / shape[0]), size=shape).astype(np.float32) for shape in shapes]
    state = [(np.zeros_like(each), np.zeros_like(each)) for each in weights]
    steps, total = 0, EPOCHS * -(-len(rows) // BATCH)
    for _ in range(EPOCHS):
        order = rng.permutation(len(rows))
        for start in range(0, len(rows), BATCH):
            steps += 1
            batch = order[start : start + BATCH]
            slopes = _slopes(weights, inputs[batch], labels[batch])
            _step(weights, slopes, state, steps, RATE * (1 - (steps - 1) / total))
    return Network(components, *weights)


def _slopes(weights: list[Rows], inputs: Rows, labels: Classes) -> list[Rows]:
    hidden = np.maximum(inputs @ weights[0], 0)
    wide = _with_one(hidden)
    chances = softmax(wide @ weights[1], axis=1)
    chances[np.arange(len(labels)), labels] -= 1
    chances /= len(labels)
    back = (chances @ weights[1][:-1].T) * (hidden > 0)
    return [inputs.T @ back, wide.T @ chances]


def _step(weights: list[Rows], slopes: list[Rows], state: list[tuple[Rows, Rows]], steps: int, rate: float) -> None:
    for weight, slope, (first, second) in zip(weights, slopes, state, strict=True):
        first[:] += (1 - _FIRST) * (slope - first)
        second[:] += (1 - _SECOND) * (slope**2 - second)
        lifted = np.sqrt(second / (1 - _SECOND**steps)) + 1e-8
        weight[:] -= rate * (first / (1 - _FIRST**steps) / lifted + DECAY * weight)


def _inputs(components: Components, rows: Rows) -> Rows:
    """Of about unit variance each, with a 1 for the offset."""
    found = components(rows)
    found[:, :-1] *= np.sqrt(found.shape[1])
    return np.asarray(found, np.float32)


def _with_one(rows: Rows) -> Rows:
    return np.column_stack([rows, np.ones(len(rows), np.float32)])
