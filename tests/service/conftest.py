"""A small real reference and a monitor of vectors, for the tests of the worker's parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.summarizer import Summarizer
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.ports import Embedder
from service.settings import MonitorSettings
from service.watched import WatchedMonitor

DIMENSION = 6


@dataclass(frozen=True)
class SmallReference:
    """What folding needs of a reference, without its calibration."""

    summarizer: Summarizer
    fingerprint: str
    version: int = 1
    segment_values: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"locale": ("en", "de")})


class MakeMonitor(Protocol):
    def __call__(self, name: str = ..., *, model: Embedder | None = ..., version: int | None = ..., **settings: Any) -> WatchedMonitor: ...


@pytest.fixture(scope="session")
def summarizer() -> Summarizer:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(200, DIMENSION)).astype(np.float32)
    return Summarizer.fit(rows[:120], rows[120:], rng=rng)


@pytest.fixture(scope="session")
def make_monitor(summarizer: Summarizer) -> MakeMonitor:
    """A monitor of vectors with one segment tag and panes of 8 samples or 60 s; `version=None` leaves out the reference."""

    def make(name: str = "chat", *, model: Embedder | None = None, version: int | None = 1, **settings: Any) -> WatchedMonitor:
        document = {
            "name": name,
            "embedder": {"input": "none", "dimension": DIMENSION},
            "segments": {"tags": ["locale"]},
            "detection": {"pane_samples": 8, "pane_seconds": 60.0},
            **settings,
        }
        chosen = model or VectorEmbedder(DIMENSION, normalize=False)
        reference = None if version is None else SmallReference(summarizer, chosen.fingerprint, version)
        return WatchedMonitor(MonitorSettings.model_validate(document), chosen, reference)

    return make


@pytest.fixture(scope="session")
def vector() -> Callable[[int], NDArray[np.float32]]:
    """The n-th vector of a fixed stream."""
    return lambda n: np.random.default_rng(n).normal(size=DIMENSION).astype(np.float32)
