"""Drift of meaning in short requests: three domains that the model and its reference never saw come up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.detection import delay_figures, run_length_figures
from benchmarks.figures import Figure, Progress
from benchmarks.public_sets import Requests, embedded, requests
from benchmarks.replaying import REFERENCE, Document, Split, change_figures, replays

SHARES = (0.05, 0.1, 0.2, 0.5)


def run(progress: Progress) -> Sequence[Figure]:
    """Text through the whole service, then many streams of its embeddings through its decisions."""
    found = requests()
    return [*replay_figures(found, progress), *statistics(found, progress)]


def replay_figures(found: Requests, progress: Progress) -> list[Figure]:
    """One stream for each share of new requests."""
    split = Split.of(found.held_out, REFERENCE, np.random.default_rng(0))
    document = partial(_document, found)
    with replays(found.embedder, classes=found.classes) as service:
        service.learn(map(document, split.reference), progress)
        return list(change_figures(service, split, document, SHARES, progress))


def statistics(found: Requests, progress: Progress) -> list[Figure]:
    """Mean delay and run length."""
    path = embedded("clinc150", found.embedder, found.texts.tolist, progress)
    return [*delay_figures(path, found.held_out, progress), *run_length_figures(path, found.held_out, progress)]


def _document(found: Requests, row: int) -> Document:
    return {"id": str(row), "text": found.texts[row]}
