"""What is trained: a linear head, or one with a layer of hidden units beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Kind = Literal["linear", "mlp"]


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """relu(x · innerᵀ + offset) · outerᵀ: inner (h, d), offset (h,), outer (c, h)."""

    inner: Floats
    offset: Floats
    outer: Floats


@dataclass(frozen=True, slots=True, eq=False)
class TrainedHead:
    """logits = x · weightsᵀ + bias, and what the hidden layer adds: weights (c, d), bias (c,), rows in the order of `classes`."""

    classes: tuple[str, ...]
    weights: Floats
    bias: Floats
    hidden: Hidden | None = None

    @property
    def kind(self) -> Kind:
        """`linear` or `mlp`."""
        return "mlp" if self.hidden else "linear"

    def logits(self, rows: Floats) -> Floats:
        """(n, d) to (n, c)."""
        found = rows @ self.weights.T + self.bias
        if self.hidden is not None:
            found += np.maximum(rows @ self.hidden.inner.T + self.hidden.offset, 0) @ self.hidden.outer.T
        return np.asarray(found, np.float32)

    def widened(self, classes: tuple[str, ...], bias: Floats) -> TrainedHead:
        """With further classes behind its own, whose logits are the biases (c, ) given for them: those of its own stay."""
        own, new = len(self.classes), len(classes) - len(self.classes)
        hidden = self.hidden
        if hidden is not None:
            hidden = Hidden(hidden.inner, hidden.offset, np.concatenate([hidden.outer, np.zeros((new, len(hidden.inner)), np.float32)]))
        weights = np.concatenate([self.weights, np.zeros((new, self.weights.shape[1]), np.float32)])
        return TrainedHead(classes, weights, np.concatenate([self.bias, bias[own:]]), hidden)

    def lowered(self, which: NDArray[np.bool_], much: float) -> TrainedHead:
        """With so much taken off the logits of some classes (c,)."""
        return TrainedHead(self.classes, self.weights, np.asarray(self.bias - which * np.float32(much), np.float32), self.hidden)
