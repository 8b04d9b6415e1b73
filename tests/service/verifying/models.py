"""Small models of vectors, and labelled samples for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InputError
from service.ports import Embedded
from service.records import Payload, Sample
from service.verifying import Model

CENTRES = 3.0 * np.eye(4, dtype=np.float32)
NAMES = ("pay", "ship", "login", "voice")


@dataclass
class Nearest:
    """Answers by the nearest of the centres that it knows."""

    centres: NDArray[np.float32]
    fingerprint: str = "nearest"
    dimension: int = 4
    fails: str = ""
    shift: float = 0.0

    def check(self, payload: Payload) -> None:
        pass

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        if self.fails:
            raise InputError("model", self.fails)
        rows = np.stack([np.asarray(payload, np.float32) for payload in payloads])
        return Embedded(rows, (2 * rows @ self.centres.T - (self.centres**2).sum(1) + np.float32(self.shift)).astype(np.float32))

    def close(self) -> None:
        pass


def model(*names: str, **options: Any) -> Model:
    """One that knows these classes, in this order."""
    return Model(Nearest(CENTRES[[NAMES.index(name) for name in names]], "-".join(names), **options), names)


OLD = model("pay", "ship", "login")
NEW = model("voice", "login", "pay", "ship")


def samples(count: int, seed: int, *names: str, noise: float = 0.6, tags: Sequence[str] = ("de", "en")) -> tuple[Sample, ...]:
    """Around the centres of these classes."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(names), count)
    rows = CENTRES[[NAMES.index(names[at]) for at in drawn]] + noise * rng.normal(size=(count, 4)).astype(np.float32)
    return tuple(
        Sample("chat", f"{seed}-{i}", 0.0, row.astype(np.float32), {"locale": tags[i % len(tags)]}, None, names[at])
        for i, (row, at) in enumerate(zip(rows, drawn.tolist(), strict=True))
    )
