"""Tensors: fed to the model as they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.adapters.onnx_embedder.feeder import ROWS, Batch, row_runs, wrong_type
from service.adapters.onnx_embedder.graph import Graph
from service.adapters.onnx_embedder.vectors import check_finite
from service.errors import EmbedderError, InputError
from service.records import Payload


class TensorFeeder:
    """Arrays of the shape that the model declares, or flat ones with as many numbers."""

    def __init__(self, graph: Graph) -> None:
        self._input = graph.only_input("tensor")
        shape = self._input.shape[1:]
        self._shape = tuple(size for size in shape if size is not None)
        if len(self._shape) != len(shape) or not self._shape:
            raise EmbedderError(f"{graph.path}: the model takes {self._input}; `input: tensor` needs every dimension but the first fixed")
        self._elements = math.prod(self._shape)
        self._rows = graph.rows(ROWS)
        whole = np.iinfo(self._input.dtype) if self._input.dtype.kind in "iu" else None
        self._range = (int(whole.min), int(whole.max)) if whole else None

    @property
    def identity(self) -> Mapping[str, Any]:
        """Nothing but the model decides."""
        return {}

    def check(self, payload: Payload) -> None:
        """Arrays must have the declared shape and numbers that the model's type can hold."""
        check_finite(payload := self._shaped(payload))
        if self._range and not (self._range[0] <= payload.min() <= payload.max() <= self._range[1]):
            low, high = self._range
            raise InputError(
                "out_of_range", f"vector: {payload.min()} to {payload.max()}; the model takes {self._input.dtype}, {low} to {high}"
            )

    def batches(self, payloads: Sequence[Payload]) -> Iterator[Batch]:
        """In the order given."""
        for rows in row_runs(len(payloads), rows=self._rows, elements=self._elements):
            tensors = np.stack([self._shaped(payloads[row]) for row in rows])
            yield Batch(rows, {self._input.name: tensors.astype(self._input.dtype, copy=False)})

    def _shaped(self, payload: Payload) -> NDArray[Any]:
        """As the model declares it; what one model takes another one may not."""
        if not isinstance(payload, np.ndarray):
            raise wrong_type(payload, "vector", "tensors")
        if payload.shape not in {self._shape, (self._elements,)}:
            raise InputError("dimension", f"vector: shape {payload.shape}; the model takes {self._shape}, or {self._elements} numbers")
        return payload.reshape(self._shape)

    def probes(self) -> Sequence[Payload]:
        """Noise of several strengths, within what the model's type can hold."""
        rng = np.random.default_rng(0)
        strengths = np.geomspace(0.1, 100.0, 16)
        noise = (rng.standard_normal((len(strengths), *self._shape)).T * strengths).T
        low, high = self._range or (-np.inf, np.inf)
        return list(np.clip(noise, low, high).astype(np.float32))
