"""The two models of a switch, and what both say of the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.switch import margins, takes_new
from service.artefacts import checksum
from service.errors import InputError
from service.ports import Embedder
from service.records import Sample
from service.settings import EmbedderSettings, MonitorSettings
from service.switching.graph import Names, metadata_of, read_model

if TYPE_CHECKING:
    from onnx import ModelProto

Load: TypeAlias = Callable[[EmbedderSettings], Embedder]
Progress: TypeAlias = Callable[[str, float], None]

_BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One of the models, its graph and the names of its classes in the order of its logits."""

    path: Path
    graph: ModelProto
    settings: EmbedderSettings
    classes: tuple[str, ...]

    def named(self) -> dict[str, str]:
        """How a certificate names it."""
        return {"file": self.path.name, "checksum": checksum(self.path)}


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """`places`: where each of the old model's classes stands among the new one's."""

    old: Side
    new: Side
    places: tuple[int, ...]
    names: Names


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """(n,) the true classes and both answers, as places among the new model's classes (-1: none of them), and the margins."""

    labels: NDArray[np.int64]
    old: NDArray[np.int64]
    new: NDArray[np.int64]
    margin: NDArray[np.float32]

    @property
    def old_right(self) -> NDArray[np.bool_]:
        """(n,)"""
        return np.asarray(self.old == self.labels)

    @property
    def new_right(self) -> NDArray[np.bool_]:
        """(n,)"""
        return np.asarray(self.new == self.labels)

    def served(self, threshold: float) -> NDArray[np.int64]:
        """(n,) what the switch answers."""
        return np.where(takes_new(self.margin, threshold), self.new, self.old)


def pair_of(settings: MonitorSettings, old: Path | None, new: Path, classes: Sequence[str], called: Callable[[str], str] = str) -> Pair:
    """`old` None: the model in force. `classes`: the new model's, where its file does not name them and they are not the old one's.
    `called`: a class as the label scheme calls it by now."""
    in_force, logits = settings.embedder.model, settings.embedder.logits_output
    if in_force is None or logits is None:
        lack = "`input: none` has no model" if in_force is None else "embedder.logits_output is not set"
        raise InputError("no_logits", f"monitor {settings.name}: {lack}, so there are no logits to switch by")
    before = _called(_side(settings, old or in_force, settings.classes), called)
    after = _called(_side(settings, new, tuple(classes) or settings.classes), called)
    _check_tokenizers(before, after)
    lacking = [name for name in before.classes if name not in after.classes]
    if lacking:
        raise InputError(
            "classes",
            f"{new}: lacks {len(lacking)} of the old model's {len(before.classes)} classes ({', '.join(lacking[:5])}): "
            "a switch takes a new model with the same classes or more; name them with --classes",
        )
    where = {name: place for place, name in enumerate(after.classes)}
    return Pair(before, after, tuple(where[name] for name in before.classes), Names(settings.embedder.embedding_output, logits))


def answers_of(pair: Pair, samples: Sequence[Sample], load: Load, progress: Progress) -> Answers:
    """What both say; InputError without one logit per class."""
    old = _logits(pair.old, samples, load, lambda done: progress("old model's answers", done)).argmax(1)
    logits = _logits(pair.new, samples, load, lambda done: progress("new model's answers", done))
    placed = np.array(pair.places, np.int64)[old]
    where = {name: place for place, name in enumerate(pair.new.classes)}
    labels = np.array([where.get(sample.label or "", -1) for sample in samples], np.int64)
    return Answers(labels, placed, logits.argmax(1), margins(logits, placed))


def _called(side: Side, called: Callable[[str], str]) -> Side:
    names = tuple(map(called, side.classes))
    if len(set(names)) < len(names):
        raise InputError("classes", f"{side.path}: some of its classes are one by now; a switch takes models that tell them apart")
    return replace(side, classes=names)


def _side(settings: MonitorSettings, path: Path, classes: tuple[str, ...]) -> Side:
    """A file that names its own classes knows best."""
    graph = read_model(path)
    names = class_names(path, metadata_of(graph)) or classes
    if not names:
        raise InputError(
            "classes", f"{path}: its classes are not known: declare `classes` for monitor {settings.name}, or name them with --classes"
        )
    return Side(path, graph, settings.embedder.with_model(path), names)


def class_names(path: Path, metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Those that a model names in its metadata, in the order of its logits; () where it names none."""
    try:
        found = json.loads(metadata.get("classes") or "[]")
    except json.JSONDecodeError as error:
        raise InputError("classes", f"{path}: `classes` in its metadata is no JSON list: {error}") from error
    if not isinstance(found, list) or len(set(map(str, found))) != len(found):
        raise InputError("classes", f"{path}: `classes` in its metadata must be a list of distinct names")
    return tuple(map(str, found))


def _check_tokenizers(old: Side, new: Side) -> None:
    """One input for both; a tokenizer that is missing is told when the model is loaded."""
    paths = [side.settings.tokenizer for side in (old, new) if old.settings.input == "text"]
    if len({path.read_bytes() for path in paths if path and path.is_file()}) > 1:
        raise InputError("tokenizer", f"{new.path} comes with another tokenizer than the old model: a switch feeds both the same tokens")


def _logits(side: Side, samples: Sequence[Sample], load: Load, progress: Callable[[float], None]) -> NDArray[np.float32]:
    """(n, classes) of one model."""
    model, parts = load(side.settings), []
    for start in range(0, len(samples), _BATCH):
        progress(start / len(samples))
        logits = model.embed([sample.payload for sample in samples[start : start + _BATCH]]).logits
        if logits is None or logits.shape[1] != len(side.classes):
            found = "none" if logits is None else str(logits.shape[1])
            raise InputError("no_logits", f"{side.path}: must give one logit for each of its {len(side.classes)} classes; found {found}")
        parts.append(logits)
    return np.concatenate(parts)
