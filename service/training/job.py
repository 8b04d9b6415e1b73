"""The whole job: embed, find hyper-parameters, train, write the model, hold it against torch, record how it was made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service import moments
from service.datasets import payload_digest
from service.errors import EmbedderError, InputError
from service.ports import Embedded, Embedder
from service.settings import EmbedderSettings
from service.training.choosing import Chosen, Search, choose, starting
from service.training.fitting import repeatable, torch_logits
from service.training.folds import groups_of
from service.training.grafting import graft, head_of, standing_on
from service.training.material import Material, fresh_rows
from service.training.orders import Order
from service.training.written import FORMAT, environment, plain, sha256, write_record

Progress = Callable[[str, float], None]
Load = Callable[[EmbedderSettings], Embedder]

MODEL, RECORD, CLASSES = "model.onnx", "run.json", "classes.txt"

_BATCH = 256
_COMPARED = 512
"""Rows on which the written model is held against torch."""
_CLOSE = 1e-3
"""Largest difference of logits, in shares of the largest: sums in single precision are added in another order."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to train, on how many threads; `lock`: the file that the libraries were installed by."""

    search: Search
    threads: int = 1
    lock: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What the job leaves in its folder: the model, its classes one per line, and the record of the run."""

    model: Path
    classes: tuple[str, ...]
    run: Mapping[str, Any]

    @property
    def record(self) -> Path:
        """The record's file."""
        return self.model.with_name(RECORD)


def train(order: Order, options: Options, folder: Path, *, load: Load, now: float, progress: Progress = lambda *_: None) -> Made:
    """InputError, ArtefactError or EmbedderError say what is wrong with the data or the model; nothing is left half done."""
    repeatable(options.threads)
    old = standing_on(order.model)
    embedder = load(order.model)
    embedded = _embedded(order, embedder, folder, progress)
    material = _material(order, embedded)
    start = starting(material, None if embedded.logits is None else head_of(old, order.model, order.classes))
    held_out = np.arange(len(material) - order.held_out, len(material)) if order.held_out else None
    chosen = choose(material, start, _search(options.search, held_out), progress=progress)
    progress("writing the model", 0.0)
    written = graft(old, chosen.head, order.model, folder / MODEL)
    difference, rows = _parity(written, order, embedded, chosen, load)
    (folder / CLASSES).write_text("".join(f"{name}\n" for name in chosen.head.classes), encoding="utf-8")
    run = {
        **_record(order, options, material, chosen),
        "warm_start": start.own > 0,
        "old_model": {"file": old.name, "checksum": sha256(old), "fingerprint": embedder.fingerprint},
        "model": {"file": MODEL, "checksum": sha256(written), "largest_difference": difference, "compared_rows": rows},
        "created": moments.written(now),
    }
    write_record(folder / RECORD, run)
    return Made(written, chosen.head.classes, run)


def _search(search: Search, held_out: Any) -> Search:
    return Search(search.head, search.seed, search.splits, search.allowed, held_out)


def _material(order: Order, embedded: Embedded) -> Material:
    labels = tuple(str(sample.label) for sample in order.samples)
    known, old = order.classes, embedded.logits
    if old is not None and old.shape[1] != len(known):
        raise InputError(
            "classes", f"the model in force gives {old.shape[1]} logits and {len(known)} classes are named; name all of them in their order"
        )
    groups = groups_of(embedded.embedding)
    found = Material(embedded.embedding, labels, groups, known, old)
    fresh = fresh_rows([sample.id for sample in order.samples], order.fresh, found.old_right if old is not None else None)
    return Material(embedded.embedding, labels, groups, known, old, fresh)


def _record(order: Order, options: Options, material: Material, chosen: Chosen) -> dict[str, Any]:
    best = chosen.best
    return {
        "format": FORMAT,
        "trainer": "driftgate",
        "recipe": best.recipe.document(),
        "epochs": best.epochs,
        "allowed_flips": options.search.allowed,
        "tried": [{**each.recipe.document(), "worth": each.worth, "validation": plain(each.validation)} for each in chosen.tried],
        "seed": options.search.seed,
        "splits": options.search.splits,
        "threads": options.threads,
        "data": order.document(),
        "fresh_rows": int(material.fresh.sum()),
        "classes": list(chosen.head.classes),
        "new_classes": [name for name in chosen.head.classes if name not in material.known],
        "classes_without_rows": list(material.unmet()),
        "figures": {"train": plain(chosen.train), "validation": plain(best.validation)},
        "environment": environment(options.threads, options.lock),
    }


def _parity(model: Path, order: Order, embedded: Embedded, chosen: Chosen, load: Load) -> tuple[float, int]:
    """The largest difference between the written model's logits and torch's, and over how many rows; EmbedderError where it is large."""
    rows = np.linspace(0, len(order.samples) - 1, min(_COMPARED, len(order.samples)), dtype=np.int64)
    written = load(order.model.with_model(model))
    found = written.embed([order.samples[row].payload for row in rows.tolist()]).logits
    wanted = torch_logits(chosen.head, embedded.embedding[rows])
    if found is None or found.shape != wanted.shape:
        raise EmbedderError(f"{model}: gives no logits for {len(chosen.head.classes)} classes; the embedder's graph can't carry a head")
    off = float(np.abs(found - wanted).max())
    if off > _CLOSE * max(float(np.abs(wanted).max()), 1.0):
        raise EmbedderError(
            f"{model}: its logits differ from torch's by up to {off:.2g}: the embedding that was trained on is not the one that it computes"
        )
    return off, len(rows)


# --- embedding ----------------------------------------------------------------------------------------------------------


def _embedded(order: Order, embedder: Embedder, folder: Path, progress: Progress) -> Embedded:
    """As it is known already, else from the folder where an earlier run of the same samples kept it, else embedded now."""
    if order.embedded is not None and order.fingerprint == embedder.fingerprint:
        return order.embedded
    kept = folder / f"embedded-{_contents(order, embedder)}.npz"
    if not kept.is_file():
        _keep(kept, _embed(order, embedder, progress))
    with np.load(kept, allow_pickle=False) as arrays:
        return Embedded(arrays["embedding"], arrays.get("logits"))


def _embed(order: Order, embedder: Embedder, progress: Progress) -> Embedded:
    parts: list[Embedded] = []
    for start in range(0, len(order.samples), _BATCH):
        batch = order.samples[start : start + _BATCH]
        for sample in batch:
            _check(embedder, sample.id, sample.payload)
        parts.append(embedder.embed([sample.payload for sample in batch]))
        progress("embedding", min(start + _BATCH, len(order.samples)) / len(order.samples))
    if not parts:
        raise InputError("empty", "no samples to train on: the input has none")
    logits = [part.logits for part in parts if part.logits is not None]
    return Embedded(np.concatenate([part.embedding for part in parts]), np.concatenate(logits) if logits else None)


def _check(embedder: Embedder, name: str, payload: Any) -> None:
    try:
        embedder.check(payload)
    except InputError as error:
        raise InputError(error.reason, f"sample {name}: {error}; mend or remove it") from error


def _contents(order: Order, embedder: Embedder) -> str:
    digest = hashlib.blake2b(embedder.fingerprint.encode(), digest_size=10)
    for sample in order.samples:
        digest.update(payload_digest(sample.payload).encode())
    return digest.hexdigest()


def _keep(path: Path, found: Embedded) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    arrays = {"embedding": found.embedding} | ({} if found.logits is None else {"logits": found.logits})
    with draft.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    draft.replace(path)
