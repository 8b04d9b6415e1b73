"""Samples that bring their embedding: checked and passed through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.adapters.onnx_embedder.feeder import wrong_type
from service.errors import EmbedderError, InputError
from service.ports import Embedded
from service.records import Payload, stable_id

LARGEST = 1e15
"""The largest number taken: its square and sums of squares stay finite in float32."""


class VectorEmbedder:
    """No model: the vector is the embedding. The dimension is the declared one, or that of the first vector checked."""

    def __init__(self, dimension: int | None, *, normalize: bool) -> None:
        self._dimension = dimension
        self._normalize = normalize
        self.fingerprint = stable_id("vectors", normalize)

    @property
    def dimension(self) -> int:
        """EmbedderError as long as neither the settings nor a sample have told."""
        if self._dimension is None:
            raise EmbedderError("the dimension of the vectors is not known before the first one; set embedder.dimension")
        return self._dimension

    def check(self, payload: Payload) -> None:
        """A vector must be one-dimensional, of the stream's dimension and finite."""
        if not isinstance(payload, np.ndarray):
            raise wrong_type(payload, "vector", "vectors")
        dimension = self._dimension or payload.size
        if payload.shape != (dimension,) or not dimension:
            raise InputError("dimension", f"vector: shape {payload.shape}; expected {dimension or 'at least 1'} numbers in one dimension")
        check_finite(payload)
        self._dimension = dimension

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        """The vectors as rows."""
        if not payloads:
            return Embedded(np.empty((0, self.dimension), np.float32))
        rows = np.concatenate([np.asarray(p, np.float32) for p in payloads]).reshape(len(payloads), self.dimension)
        return Embedded(unit(rows) if self._normalize else rows)

    def close(self) -> None:
        """Nothing is held."""


def check_finite(numbers: NDArray[np.float32]) -> None:
    """InputError for NaN, infinities and numbers whose square float32 can't hold."""
    largest = np.abs(numbers).max()
    if not largest <= LARGEST:
        found = "NaN" if np.isnan(largest) else f"{largest:g}"
        raise InputError("not_finite", f"vector: holds {found}; every number must be finite and at most {LARGEST:g} in size")


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to length 1; a row of zeros stays as it is."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), np.float32)
