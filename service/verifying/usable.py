"""Whether a model can be used at all, before anything is judged by it: told in words for whoever trained it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.artefacts import checksum
from service.errors import EmbedderError, InputError
from service.ports import Embedder
from service.records import Payload
from service.verifying.answers import Model, fitting
from service.verifying.unusable import blamed, unusable

TRIED = 32
"""Payloads that a new model must answer before anything else is done with it."""


def usable(load: Callable[[], Embedder], classes: Sequence[str], payloads: Sequence[Payload] = ()) -> Model:
    """Loads it and has it answer the first payloads. InputError says why the model can't be used: no ONNX, an operator set that the
    runtime does not know, other inputs or outputs, logits of other classes, numbers that are none, or whatever else it fails with."""
    try:
        with blamed():
            _check_names(classes)
            model = Model(load(), tuple(classes))
            _try(model, payloads[:TRIED])
    except (EmbedderError, InputError, OSError) as error:
        raise unusable(error) from error
    return model


def require_same_inputs(old: Sequence[str], new: Sequence[str]) -> None:
    """Names under which the models are fed: whoever asks the old one in production goes on asking the new one as before."""
    before, after = (", ".join(sorted(names)) for names in (old, new))
    if before != after:
        raise unusable(
            InputError("inputs", f"it is fed as {after}, the model in force as {before}; export it with inputs of the same names")
        )


def _check_names(classes: Sequence[str]) -> None:
    if not classes:
        raise InputError("classes", "its classes are not named; give them in the order of its logits")
    twice = [name for name, times in Counter(classes).items() if times > 1]
    if twice:
        raise InputError("classes", f"{len(twice)} of its classes are named twice, among them {twice[0]!r:.80}")


def _try(model: Model, payloads: Sequence[Payload]) -> None:
    if not payloads:
        return
    answered = model.embedder.embed(payloads)
    fitting(answered.logits, model.classes)
    if not np.isfinite(answered.embedding).all():
        raise InputError("not_finite", "its embedding is not finite on some rows")


def lost(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """Classes that the old model knows and the new one does not."""
    known = set(new)
    return [name for name in old if name not in known]


def added(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """Classes that are new."""
    return lost(new, old)


def named(path: Path, classes: Sequence[str]) -> dict[str, Any]:
    """How a report names a model that lies in a file."""
    return {"name": path.name, "checksum": checksum(path), "classes": len(classes)}
