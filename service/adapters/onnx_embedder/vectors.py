"""Samples that bring their embedding: checked and passed through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.adapters.onnx_embedder.feeder import wrong_type
from service.errors import InputError
from service.ports import Embedded
from service.records import Payload, stable_id

LARGEST = 1e15
"""The largest number taken: its square and sums of squares stay finite in float32."""


class VectorEmbedder:
    """No model: the vector is the embedding."""

    def __init__(self, dimension: int, *, normalize: bool, rules: str = "") -> None:
        self.dimension = dimension
        self._normalize = normalize
        self.fingerprint = stable_id("vectors", dimension, normalize, *([rules] if rules else []))

    def check(self, payload: Payload) -> None:
        """A vector must be one-dimensional, of the declared dimension and finite."""
        if not isinstance(payload, np.ndarray):
            raise wrong_type(payload, "vector", "vectors")
        if payload.shape != (self.dimension,):
            raise InputError("dimension", f"vector: shape {payload.shape}; expected {self.dimension} numbers (embedder.dimension)")
        check_finite(payload)

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        """The vectors as rows."""
        rows = np.asarray(payloads, np.float32).reshape(len(payloads), self.dimension)
        return Embedded(unit(rows) if self._normalize else rows)

    def close(self) -> None:
        """Nothing is held."""


def check_finite(numbers: NDArray[np.float32]) -> None:
    """InputError for NaN, infinities and numbers whose square float32 can't hold."""
    if np.vdot(numbers, numbers) <= LARGEST**2:  # then each is; half the cost of looking at each
        return
    largest = np.abs(numbers).max()
    if not largest <= LARGEST:
        found = "NaN" if np.isnan(largest) else f"{largest:g}"
        raise InputError("not_finite", f"vector: holds {found}; every number must be finite and at most {LARGEST:g} in size")


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to length 1; a row of zeros stays as it is."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), np.float32)
