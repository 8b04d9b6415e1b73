"""A monitor whose model answered, and what was right, made up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.datasets import DataSets, Role
from service.records import Judgement, Output, Sample
from service.report.material import Material

NOW = 5_000.0
CLASSES = ("card", "loan", "save")


def knowing(made: Material, judgements: Sequence[Judgement]) -> Material:
    """The same, once these have come back."""
    made.judgements = judgements
    return made


def judged(n: int, seed: int, *, wrong: float = 0.1, bad: float | None = None) -> list[Judgement]:
    """Answers a second apart, of which a share is wrong: `bad` in the locale fr and cluster 2, where it is given."""
    rng = np.random.default_rng(seed)
    found = []
    for at in range(n):
        locale, cluster = str(rng.choice(["en", "de", "fr"], p=[0.5, 0.3, 0.2])), int(rng.integers(0, 4))
        rate = bad if bad is not None and (locale, cluster) == ("fr", 2) else wrong
        truth, other = rng.choice(CLASSES, 2, replace=False).tolist()
        predicted = other if rng.random() < rate else truth
        when = 1_000.0 + at
        sure = float(rng.uniform(0.8, 1))
        found.append(
            Judgement("chat", f"s{at}", predicted, truth, sure, {"locale": locale}, cluster, 1, when, when + float(rng.exponential(60)))
        )
    return found


def add(folder: Path, role: Role, rows: NDArray[np.float32], *, wrong: int, seed: int = 0) -> None:
    """A set of which the model answered so many rows wrongly."""
    rng = np.random.default_rng(seed)
    samples = []
    for at, row in enumerate(rows):
        truth, other = rng.choice(CLASSES, 2, replace=False).tolist()
        probabilities = tuple(0.9 if name == (other if at < wrong else truth) else 0.05 for name in CLASSES)
        output = Output(probabilities=probabilities)
        samples.append(Sample("chat", f"{role}{at}", 1_000.0, row, {"locale": "en" if at % 2 else "de"}, output, truth))
    DataSets(folder).add("chat", role, samples, VectorEmbedder(rows.shape[1], normalize=False), now=NOW, classes=CLASSES)
