"""Drift of meaning in images: two kinds of garment that the model and its reference never saw come up."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.figures import Figure, Progress
from benchmarks.public_sets import Garments, garments
from benchmarks.replaying import REFERENCE, Document, Split, change_figures, replays

SHARES = (0.1, 0.2, 0.5)


def run(progress: Progress) -> Sequence[Figure]:
    """PNG images through the whole service, one stream for each share of new ones."""
    found = garments()
    split = Split.of(found.held_out, REFERENCE, np.random.default_rng(0))
    document = partial(_document, found)
    with replays(found.embedder, classes=found.classes) as service:
        service.learn(map(document, split.reference), progress)
        return list(change_figures(service, split, document, SHARES, progress))


def _document(found: Garments, row: int) -> Document:
    from PIL import Image  # noqa: PLC0415 - an extra, and only for images

    buffer = io.BytesIO()
    Image.fromarray(found.images[row]).save(buffer, "PNG")
    return {"id": str(row), "image": base64.b64encode(buffer.getvalue()).decode()}
