"""The demo's stage: a support chat with a model, golden and training sets and a reference, as a team would have set it up."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from service.app import Installation
from service.datasets import Role
from service.demo.classifier import fit
from service.demo.messages import CALM, CLEAN, Message, Traffic
from service.heads import Head
from service.model_build import attach_head, cached_minilm
from service.ports import Embedder
from service.records import Sample
from service.reference import Origin
from service.reference_rows import embed_rows
from service.settings import EmbedderSettings, Settings, parse

MONITOR = "support-chat"
ANNOTATORS, TRAINER, ONCALL = "annotators", "trainer", "on-call"

_TRAIN, _GOLDEN, _REFERENCE = 1_000, 750, 2_500
_BY_ITSELF = {"promotion": "automatic", "rebase": "at_once"}
"""Nobody is asked, and the model that serves is driftgate's own embedder."""

Progress = Callable[[str, float], None]
"""A step's name and the share of it that is done."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the demo plays with; `truth` grows with every message drawn, and the service never sees it."""

    directory: Path
    traffic: Traffic
    truth: dict[str, str | None]

    @classmethod
    def new(cls, directory: Path, *, seed: int) -> Scene:
        """An empty stage in a folder of its own."""
        return cls(directory, Traffic(np.random.default_rng(seed), pace=2.0), {})

    def draw(self, count: int, *, start: float, mix: Any = CALM) -> list[Message]:
        """The next messages of the chat."""
        messages = self.traffic.draw(count, start=start, mix=mix)
        self.truth.update({message.id: message.intent for message in messages})
        return messages

    def document(self, model: Path, classes: Sequence[str], *, port: int) -> dict[str, Any]:
        """The configuration, as `driftgate.yaml` would hold it."""
        folders = [{"type": "folder", "name": name, "path": name} for name in (ANNOTATORS, TRAINER, ONCALL)]
        monitor = {
            "name": MONITOR,
            "embedder": {"model": str(model), "input": "text", "max_tokens": 64},
            "classes": list(classes),
            "segments": {"tags": ["locale", "product"]},
            "detection": {"run_length": 10_000, "pane_samples": 16, "accept_supported": True},
            "annotation": {"budget": 96, "price": 0.12, "destination": ANNOTATORS},
            "selection": {"rounds": 3, "challenge": 24},
            "refresh": {"destination": TRAINER, "after_samples": 960, "margin": 0.03, **_BY_ITSELF},
            "pool": {"rows": 6_000},
            "notify": [ONCALL],
        }
        return {"directory": "state", "server": {"port": port}, "destinations": folders, "monitors": [monitor]}


def first_model(scene: Scene, cache: Path, *, now: float, progress: Progress) -> tuple[Path, Head, list[Message]]:
    """MiniLM with a linear head, trained on clean labelled messages: what the team has deployed."""
    from service.app import load_embedder  # noqa: PLC0415 - ONNX Runtime is loaded when the show has begun

    progress("writing the sentence embedder", 0.0)
    minilm = cached_minilm(cache)
    messages = scene.draw(_TRAIN, start=now - 30 * 86_400, mix=CLEAN)
    embedder = load_embedder(EmbedderSettings(model=minilm, max_tokens=64))
    vectors = _embedded(embedder, messages, lambda done: progress("training the first classifier", done))
    head = fit(vectors, [str(message.intent) for message in messages])
    embedder.close()
    return attach_head(minilm, head, scene.directory / "model" / "model.onnx"), head, messages


def prepare(installation: Installation, scene: Scene, train: Sequence[Message], *, now: float, progress: Progress) -> None:
    """Data sets and the reference: ordinary days, junk included."""
    embedder = installation.embedder(MONITOR)
    golden = scene.draw(_GOLDEN, start=now - 20 * 86_400, mix=CLEAN)
    _add(installation, "train", train, now, progress)
    _add(installation, "golden", golden, now, progress)
    ordinary = scene.draw(_REFERENCE, start=now - 7 * 86_400)
    monitor = installation.settings.monitor(MONITOR)
    rows = embed_rows(
        labelled(ordinary),
        embedder,
        classes=monitor.classes,
        progress=lambda done: progress("embedding the reference", done / _REFERENCE),
    )
    installation.references.build(monitor, rows, Origin(embedder.fingerprint, now), progress=progress)


def _add(installation: Installation, role: Role, messages: Sequence[Message], now: float, progress: Progress) -> None:
    def done(rows: int) -> None:
        progress(f"adding the {role} set", rows / len(messages))

    samples, embedder, classes = labelled(messages), installation.embedder(MONITOR), installation.settings.monitor(MONITOR).classes
    installation.data_sets.add(MONITOR, role, samples, embedder, now=now, classes=classes, progress=done)


def labelled(messages: Iterable[Message]) -> list[Sample]:
    """Messages with their truth as label; junk has none."""
    return [replace(message.sample(MONITOR), label=message.intent) for message in messages]


def retrain(installation: Installation, head: Head, target: Path) -> tuple[Path, Head]:
    """What the team's training job does: fits a new head on the newest training set, and packs the model with how it was made."""
    train = installation.data_sets.load(MONITOR, "train")
    labels = [str(sample.label) for sample in train.samples]
    new = fit(train.embeddings, labels, classes=head.classes)
    settings = installation.effective(MONITOR).embedder
    if settings.model is None:
        raise ValueError("the demo's monitor has a model")
    right = sum(said == label for said, label in zip(new.predict(train.embeddings), labels, strict=True))
    figures = {"train": {"accuracy": right / len(labels), "rows": len(labels)}}
    model = attach_head(settings.model, new, target)
    run = target.with_name("run.json")
    run.write_text(json.dumps({"method": "softmax layer on the frozen embedder, L-BFGS", "figures": figures}), encoding="utf-8")
    archive = target.with_suffix(".tar")
    with tarfile.open(archive, "w") as packed:
        for path in (model, target.with_name("tokenizer.json"), run):
            packed.add(path, path.name)
    return archive, new


def settings_for(scene: Scene, model: Path, head: Head, *, port: int) -> Settings:
    """The validated configuration; the environment is that of a real installation, whose directory is not the demo's to write to."""
    return parse(scene.document(model, head.classes, port=port), base=scene.directory, environment=False)


def _embedded(embedder: Embedder, messages: Sequence[Message], progress: Callable[[float], None]) -> Any:
    parts = []
    for start in range(0, len(messages), 128):
        parts.append(embedder.embed([message.text for message in messages[start : start + 128]]).embedding)
        progress(min(start + 128, len(messages)) / len(messages))
    return np.concatenate(parts)
