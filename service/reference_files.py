"""The files of a reference version: what detection learned, the rows' numbers, and their erasable ids and texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.learning import chunks
from detectors.model import ScanModel
from service.quality import gauge_of
from service.reference_rows import ReferenceRows

FORMAT = 2
"""Of these files; a version of another format has to be built anew."""


def write(draft: Path, rows: ReferenceRows, model: ScanModel) -> None:
    """Into an empty folder."""
    gauge = {} if rows.gauge is None else {f"gauge.{name}": value for name, value in rows.gauge.to_arrays().items()}
    np.savez(draft / "model.npz", allow_pickle=False, **model.to_arrays(), **gauge)
    numeric: dict[str, NDArray[np.generic]] = {
        "embeddings": rows.embeddings,
        "confidence": rows.confidence,
        "clusters": np.concatenate([model.summarizer.describe(rows.embeddings[part]).cluster for part in chunks(rows.embeddings)]),
        **_coded("labels", rows.labels),
        **_coded("predicted", rows.predicted),
        **_coded("segments", [tuple(sorted(tags.items())) for tags in rows.segments]),
    }
    if rows.quality is not None:
        numeric["quality"] = rows.quality
    if rows.times is not None:
        numeric["times"] = rows.times
    np.savez(draft / "numeric.npz", allow_pickle=False, **numeric)
    with (draft / "rows.jsonl").open("w", encoding="utf-8") as file:
        for row in zip(rows.ids, rows.texts, strict=True):
            file.write(json.dumps(dict(zip(("id", "text"), row, strict=True)), ensure_ascii=False) + "\n")


def read(folder: Path) -> tuple[ScanModel, ReferenceRows, NDArray[np.int64]]:
    """What `write` wrote, and the cluster of each row."""
    with np.load(folder / "model.npz", allow_pickle=False) as arrays:
        learned = dict(arrays)
    gauge = gauge_of({name.removeprefix("gauge."): value for name, value in learned.items() if name.startswith("gauge.")})
    with np.load(folder / "numeric.npz", allow_pickle=False) as arrays:
        numeric = dict(arrays)
    with (folder / "rows.jsonl").open(encoding="utf-8") as file:
        ids, texts = zip(*((row["id"], row["text"]) for row in map(json.loads, file)), strict=True)
    rows = ReferenceRows(
        ids,
        texts,
        _values("labels", numeric, lambda label: label or None),
        _values("segments", numeric, dict),
        numeric["confidence"],
        numeric["embeddings"],
        _values("predicted", numeric, str),
        numeric.get("quality"),
        gauge,
        numeric.get("times"),
    )
    return ScanModel.from_arrays(learned), rows, numeric["clusters"]


def _coded(name: str, column: Sequence[Hashable]) -> dict[str, NDArray[np.generic]]:
    """Each row's place among the column's values, and those once, as JSON: one long value makes no wide array."""
    places: dict[Hashable, int] = {}
    at = [places.setdefault(value, len(places)) for value in column]
    return {name: np.array(at, np.int32), f"{name}.values": np.frombuffer(json.dumps(list(places)).encode(), np.uint8)}


def _values(name: str, arrays: Mapping[str, NDArray[np.generic]], made: Callable[[Any], Any]) -> tuple[Any, ...]:
    """What `_coded` wrote; equal rows share one value."""
    values = [made(value) for value in json.loads(arrays[f"{name}.values"].tobytes())]
    return tuple(values[at] for at in arrays[name].tolist())
