"""A monitor with traffic and sets of the topics that a test says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets, Role
from service.records import Output, Sample
from service.reference import References
from service.report.material import Material
from tests.service.conftest import TOPICS, World

NOW = 5_000.0


def drawn(n: int, seed: int, topics: Sequence[int]) -> list[tuple[NDArray[np.float32], str]]:
    """Vectors around some of the world's topics, each with the topic's name."""
    rng = np.random.default_rng(seed)
    which = rng.choice(np.array(topics), n)
    rows = (TOPICS[which] + 0.4 * rng.normal(size=(n, TOPICS.shape[1]))).astype(np.float32)
    return [(row, f"topic {topic}") for row, topic in zip(rows, which, strict=True)]


def send(world: World, store: SqliteStore, n: int, topics: Sequence[int], *, seed: int = 1) -> None:
    """Traffic, a multiple of 16 samples."""
    world.log(store, vectors=True).add(np.stack([row for row, _ in drawn(n, seed, topics)]))


def add(world: World, folder: Path, role: Role, n: int, topics: Sequence[int], *, seed: int = 2) -> None:
    """A labelled set."""
    samples = [
        Sample("chat", f"{role}{at}", 1_000.0, row, {"locale": "en"}, Output(label=label), label)
        for at, (row, label) in enumerate(drawn(n, seed, topics))
    ]
    DataSets(folder).add("chat", role, samples, world.embedder, now=NOW)


def material(world: World, store: SqliteStore, folder: Path) -> Material:
    """Of the monitor, with its reference in force."""
    return Material(world.settings, store, world.references, DataSets(folder), now=NOW)


def unreferenced(world: World, store: SqliteStore, folder: Path) -> Material:
    """The same without a reference."""
    return Material(world.settings, store, References(folder / "none"), DataSets(folder), now=NOW)
