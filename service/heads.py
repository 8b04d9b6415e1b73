"""The linear head on top of an embedder: what the demo deploys, what verification compares, what an ONNX model's `logits` come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """`weights` (c, d) float32 and `bias` (c,) float32, rows in the order of `classes`."""

    classes: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.classes)
        if count == 0 or len(set(self.classes)) != count:
            raise ValueError(f"a head needs distinct classes, at least one; found {list(self.classes)!r:.200}")
        if self.weights.ndim != 2 or len(self.weights) != count or self.bias.shape != (count,):
            raise ValueError(
                f"a head of {count} classes takes weights ({count}, d), bias ({count},); found {self.weights.shape} and {self.bias.shape}"
            )

    def logits(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) to (n, c)."""
        return np.asarray(embeddings @ self.weights.T + self.bias, np.float32)

    def probabilities(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) to (n, c); each row sums to 1."""
        scores = self.logits(embeddings)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(scores / scores.sum(axis=1, keepdims=True), np.float32)

    def predict(self, embeddings: NDArray[np.float32]) -> list[str]:
        """The most probable class of each row."""
        return [self.classes[i] for i in self.logits(embeddings).argmax(axis=1)]
