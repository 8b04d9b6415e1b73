"""What text, images and tensors have in common: payloads are checked one by one and fed in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from service.adapters.onnx_embedder.graph import Feed
from service.errors import InputError
from service.records import Payload

ROWS = 32
"""The most samples of one run."""

_ELEMENTS = 1 << 24
"""The most numbers that a batch of images or tensors holds: 64 MB as float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One run of the model: `rows` are the payloads' places; `mask` (n, tokens) is 1 where a token is not padding."""

    rows: NDArray[np.int64]
    feed: Feed
    mask: NDArray[Any] | None = None


class Feeder(Protocol):
    """Turns payloads of one kind into model inputs."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything besides the model that decides what it is fed, as JSON takes it, for the fingerprint."""

    def check(self, payload: Payload) -> None:
        """Raises InputError if the payload can't be embedded."""

    def batches(self, payloads: Sequence[Payload]) -> Iterator[Batch]:
        """Every payload once, in an order that suits the model."""

    def probes(self) -> Sequence[Payload]:
        """Payloads as different as they come, the largest last: what the model must embed the same, alone or in company."""


def row_runs(count: int, *, rows: int, elements: int) -> Iterator[NDArray[np.int64]]:
    """Consecutive runs of `rows`, fewer where samples of so many elements would fill the memory."""
    step = max(1, min(rows, _ELEMENTS // elements))
    for start in range(0, count, step):
        yield np.arange(start, min(start + step, count))


def wrong_type(payload: Payload, field: str, expected: str) -> InputError:
    """The error of a payload of another kind."""
    kind = {str: "text", bytes: "an image", np.ndarray: "a vector"}.get(type(payload), type(payload).__name__)
    return InputError("wrong_type", f"{field}: the monitor's embedder takes {expected}, found {kind}")
