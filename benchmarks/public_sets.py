"""The public data sets below DRIFTGATE_DATA: read as they are, embedded once by the project's own embedder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Progress, Skipped
from service.adapters.onnx_embedder import load_embedder
from service.ports import Embedder
from service.records import Payload
from service.reference_rows import sureness
from service.settings import EmbedderSettings

CACHE = Path(".cache/bench")
"""Embeddings by fingerprint; may be deleted at any time."""

CLINC_HELD_OUT = ("credit_cards", "travel", "kitchen_and_dining")
FASHION_HELD_OUT = ("Bag", "Ankle boot")

_BATCH = 256


def public_sets() -> Path:
    """The folder, which the project does not bring."""
    folder = os.environ.get("DRIFTGATE_DATA", "")
    if not folder or not Path(folder).is_dir():
        raise Skipped("needs DRIFTGATE_DATA, a folder of public data sets (benchmarks/README.md says what it holds)")
    return Path(folder).resolve()


def column(path: Path, name: str) -> list[Any]:
    """One column of a Parquet file."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - an extra, and only for the real sets

    return list(pq.read_table(path, columns=[name])[name].to_pylist())


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """CLINC150 without its out-of-scope part: short requests in ten domains, three of which the model never saw."""

    texts: NDArray[np.object_]
    domains: NDArray[np.object_]
    embedder: EmbedderSettings
    classes: tuple[str, ...]

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """(n,) requests of the domains that play the drift."""
        return np.isin(self.domains, CLINC_HELD_OUT)


def requests() -> Requests:
    """With the classifier that was trained on the other seven domains."""
    folder = public_sets()
    texts, domains = (np.array(column(folder / "text/clinc150.parquet", name), object) for name in ("text", "domain"))
    scope = domains != "oos"
    model = folder / "models/text/clinc_minilm.int8w.onnx"
    embedder = EmbedderSettings(model=model, tokenizer=folder / "models/static/tokenizer.json")
    return Requests(texts[scope], domains[scope], embedder, _classes(model))


@dataclass(frozen=True, slots=True, eq=False)
class Garments:
    """Fashion-MNIST, both parts together: (n, 28, 28) uint8 and the names of what they show."""

    images: NDArray[np.uint8]
    names: NDArray[np.str_]
    embedder: EmbedderSettings
    classes: tuple[str, ...]

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """(n,) images of the classes that play the drift."""
        return np.isin(self.names, FASHION_HELD_OUT)


def garments() -> Garments:
    """With the classifier of the other eight classes."""
    folder = public_sets()
    with np.load(folder / "img/fashion_mnist_small.npz", allow_pickle=False) as arrays:
        images = np.concatenate([arrays["x_train"], arrays["x_test"]])
        names = arrays["classes"][np.concatenate([arrays["y_train"], arrays["y_test"]])]
    model = folder / "models/image/fashion_mnist_cnn8.onnx"
    return Garments(images, names, EmbedderSettings(model=model, input="image", image_channels=1), _classes(model))


def _classes(model: Path) -> tuple[str, ...]:
    described = json.loads(model.with_name(model.name.split(".")[0] + ".json").read_text(encoding="utf-8"))
    return tuple(described["classes"])


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """(n, d) float32 embeddings and (n,) float32 confidences of the model, in one file."""

    path: Path

    def load(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both, as a process of its own can do."""
        with np.load(self.path, allow_pickle=False) as arrays:
            return arrays["embedding"], arrays["confidence"]


def embedded(name: str, settings: EmbedderSettings, payloads: Callable[[], Sequence[Payload]], progress: Progress) -> Embedded:
    """Embeds a set once per embedder; which has then passed the check that batching changes nothing."""
    embedder = load_embedder(settings)
    path = CACHE / f"{name}-{embedder.fingerprint}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        embedding, confidence = _embed(embedder, payloads(), progress)
        draft = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(draft, allow_pickle=False, embedding=embedding, confidence=confidence)
        draft.replace(path)
    return Embedded(path)


def _embed(embedder: Embedder, payloads: Sequence[Payload], progress: Progress) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rows, confidence = [], list[float]()
    for start in range(0, len(payloads), _BATCH):
        progress(f"embedding, {start:,} of {len(payloads):,}")
        part = embedder.embed(payloads[start : start + _BATCH])
        rows.append(part.embedding)
        confidence += [sureness(None, logits) for logits in (part.logits if part.logits is not None else [None] * len(part.embedding))]
    return np.concatenate(rows), np.array(confidence, np.float32)
