"""What makes vectors of payloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.records import (
    Payload,
)


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """`embedding` (n, d) float32, finite; `logits` (n, classes) float32 where the model gives them."""

    embedding: NDArray[np.float32]
    logits: NDArray[np.float32] | None = None


class Embedder(Protocol):
    """Payloads in, vectors out."""

    @property
    def fingerprint(self) -> str:
        """Hash of model, tokenizer and options: embeddings of different fingerprints never meet."""

    @property
    def dimension(self) -> int: ...

    def check(self, payload: Payload) -> None:
        """InputError(reason, message) if it can't be embedded: empty, too long, wrong type or dimension, not finite, an image bomb."""

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        """Embeds checked payloads, in the order given. A payload that still fails raises InputError."""

    def close(self) -> None: ...
