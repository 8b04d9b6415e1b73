"""From the model's named outputs to vectors: pooling, normalisation, logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.adapters.onnx_embedder.graph import Graph
from service.adapters.onnx_embedder.vectors import LARGEST, unit
from service.errors import EmbedderError, InputError
from service.ports import Embedded
from service.settings import EmbedderSettings


class Readout:
    """Which outputs are read, and how."""

    def __init__(self, settings: EmbedderSettings, graph: Graph) -> None:
        if settings.embedding_output not in graph.outputs:
            raise EmbedderError(
                f"{graph.path}: no output {settings.embedding_output!r} (embedder.embedding_output); there are: {', '.join(graph.outputs)}"
            )
        logits = settings.logits_output if settings.logits_output in graph.outputs else None
        self.outputs = (settings.embedding_output, *([logits] if logits else []))
        self._path = graph.path
        self._pooling = settings.pooling
        self._normalize = settings.normalize is not False

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that decides how the outputs are read, for the fingerprint."""
        return {"outputs": self.outputs, "pooling": self._pooling, "normalize": self._normalize}

    def read(self, results: list[NDArray[Any]], mask: NDArray[Any] | None) -> Embedded:
        """InputError for rows that are not finite."""
        embedding = self._pool(results[0], mask)
        lengths = np.linalg.norm(embedding, axis=1)
        finite = lengths <= LARGEST
        if len(results) > 1:
            finite &= (results[1] < np.inf).all(axis=1)  # false for NaN too; a masked class may be -inf
        if not finite.all():
            raise InputError("not_finite", "the model's answer to this payload is not finite; check the model on it")
        logits = results[1].astype(np.float32, copy=False) if len(results) > 1 else None
        return Embedded(unit(embedding) if self._normalize else embedding, logits)

    def check(self, results: list[NDArray[Any]]) -> None:
        """EmbedderError unless the outputs have the shapes that pooling expects: (n, d) or, to be pooled, (n, tokens, d); logits (n, c)."""
        name, shape = self.outputs[0], list(results[0].shape)
        if self._pooling == "none" and len(shape) == 3:
            raise EmbedderError(f"{self._path}: output {name} has a vector per token, {shape}; set embedder.pooling to mean or cls")
        expected = 2 if self._pooling == "none" else 3
        if len(shape) != expected:
            raise EmbedderError(f"{self._path}: output {name} is {shape}; with `pooling: {self._pooling}` it needs {expected} dimensions")
        if len(results) > 1 and results[1].ndim != 2:
            raise EmbedderError(f"{self._path}: output {self.outputs[1]} is {list(results[1].shape)}; logits need [samples, classes]")

    def _pool(self, output: NDArray[Any], mask: NDArray[Any] | None) -> NDArray[np.float32]:
        vectors = output.astype(np.float32, copy=False)
        if self._pooling == "cls":
            return vectors[:, 0]
        if self._pooling == "mean":
            weights = np.ones(vectors.shape[:2], np.float32) if mask is None else mask.astype(np.float32)
            sums = np.einsum("ntd,nt->nd", vectors, weights)
            return np.asarray(sums / weights.sum(axis=1, keepdims=True), np.float32)
        return vectors
