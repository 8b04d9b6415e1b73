"""An embedding must not depend on its company: with a model for which it does, a change of batch size looks like drift."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.errors import EmbedderError
from service.ports import Embedded
from service.records import Payload

TOLERANCE = 0.014
"""Largest distance between a payload's outputs alone and in company, relative to their length: a cosine of 0.9999."""


def check_invariance(path: Path, embed: Callable[[Sequence[Payload]], Embedded], probes: Sequence[Payload]) -> None:
    """Embeds the probes one by one and together; EmbedderError if they differ by more than rounding."""
    alone = [embed([probe]) for probe in probes]
    together = embed(probes)
    worst = _distance(np.concatenate([one.embedding for one in alone]), together.embedding)
    if together.logits is not None:
        worst = max(worst, _distance(np.concatenate([one.logits for one in alone if one.logits is not None]), together.logits))
    if worst > TOLERANCE:
        raise EmbedderError(
            f"{path}: what this model answers depends on the other samples of the batch (relative difference {worst:.2g} between "
            f"alone and together, at most {TOLERANCE} allowed), so batching alone would look like drift. Models quantised with "
            "onnxruntime's quantize_dynamic do this, and models that ignore the attention mask: use the float model, "
            "weight-only or static quantisation, or export with a batch size of 1."
        )


def _distance(alone: NDArray[np.float32], together: NDArray[np.float32]) -> float:
    """The largest relative difference of two rows."""
    lengths = np.linalg.norm(alone, axis=1)
    return float(np.max(np.linalg.norm(together - alone, axis=1) / np.maximum(lengths, 1e-6)))
