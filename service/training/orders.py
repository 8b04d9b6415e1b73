"""What a head is to be trained from: a cycle's training set, a downloaded one, or files. Golden and challenge rows are never opened."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.artefacts import MANIFEST
from service.datasets import DataSet, DataSets, checksum
from service.errors import ConflictError, InputError
from service.ports import Embedded, Store
from service.records import AnnotationBatch, CycleState, Purpose, RefreshCycle, Sample
from service.settings import EmbedderSettings

MOST_BYTES = 20_000_000_000
"""That a download is unpacked to."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_FILES = frozenset({MANIFEST, "rows.jsonl", "embeddings.npy", "logits.npy"})


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """Labelled samples, and the model that a new head is to stand on.

    Attributes
    ----------
    model
        The embedder's settings with the model in force, whose `classes` are in the order of its logits.
    fresh
        Ids of the samples that this refresh brings; None where nobody says.
    held_out
        How many of the samples, the last ones, are for validation alone.
    embedded
        What the embedder of that `fingerprint` made of the samples, where that is known.
    """

    samples: tuple[Sample, ...]
    model: EmbedderSettings
    classes: tuple[str, ...]
    source: Mapping[str, Any]
    fresh: frozenset[str] | None = None
    held_out: int = 0
    embedded: Embedded | None = None
    fingerprint: str = ""

    def document(self) -> dict[str, Any]:
        """How a record names the samples."""
        return {**self.source, "rows": len(self.samples), "held_out": self.held_out, "content": checksum(self.samples)}


def of_cycle(cycle: RefreshCycle, store: Store, data_sets: DataSets, model: EmbedderSettings, classes: Sequence[str]) -> Order:
    """The training set that the cycle's request names; what its batches asked about is fresh."""
    if cycle.state is CycleState.ANNOTATING:
        raise ConflictError(f"refresh cycle {cycle.id} still waits for labels; it is trained once they are in")
    cited = cited_train(cycle.requested or {})
    version = None if cited is None else int(cited["version"])
    found = data_sets.load(cycle.monitor, "train", version)
    items = [item for name in cycle.batches for item in store.get(AnnotationBatch, name).items]
    fresh = frozenset(item.id for item in items if item.purpose is not Purpose.CHALLENGE)
    return _of_set(found, model, classes, {"cycle": cycle.id, "train": found.cited()}, fresh)


def of_download(tar: Path, folder: Path, model: EmbedderSettings, classes: Sequence[str]) -> Order:
    """From what the link of a refresh request opens; only the training set is unpacked, into `folder`."""
    monitor, version, asked = _unpacked(tar, folder)
    found = DataSets(folder).load(monitor, "train", version)
    return _of_set(found, model, classes or found.classes, {"train": found.cited()}, frozenset(asked) or None)


def of_files(
    samples: Iterable[Sample], validation: Iterable[Sample], model: EmbedderSettings, classes: Sequence[str], names: Sequence[str]
) -> Order:
    """From samples in files."""
    train, held_out = list(samples), list(validation)
    for sample in (*train, *held_out):
        if sample.label is None:
            raise InputError("missing_label", f"sample {sample.id}: no label; every row that is trained on needs one")
    return Order((*train, *held_out), model, tuple(classes), {"files": list(names)}, held_out=len(held_out))


def cited_train(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The training set as a refresh request names it."""
    sets: Sequence[Mapping[str, Any]] = request.get("data_sets", ())
    return next((each for each in sets if each["role"] == "train"), None)


def _of_set(
    found: DataSet, model: EmbedderSettings, classes: Sequence[str], source: Mapping[str, Any], fresh: frozenset[str] | None
) -> Order:
    rows = [row for row, sample in enumerate(found.samples) if sample.label is not None]
    logits = None if found.logits is None else found.logits[rows]
    kept = Embedded(np.asarray(found.embeddings[rows], np.float32), logits)
    samples = tuple(found.samples[row] for row in rows)
    return Order(samples, model, tuple(classes), source, fresh, embedded=kept, fingerprint=str(found.manifest["fingerprint"]))


def _unpacked(tar: Path, folder: Path) -> tuple[str, int, list[str]]:
    """The monitor, the version of its training set, and the ids that the cycle's own batches asked about; nothing else is written."""
    try:
        with tarfile.open(tar, "r:") as packed:
            members = {member.name.partition("/")[2]: member for member in packed if member.isfile()}
            told = _json(packed, members, MANIFEST)
            monitor, version = str(told["monitor"]), int(told["sets"]["train"]["version"])
            request = told.get("request") or {}
            target = _target(folder, monitor, version)
            for name in sorted(members.keys() & {f"train/{each}" for each in _FILES}):
                _copy(packed, members[name], target / Path(name).name)
            own = {str(batch["batch"]) for batch in request.get("provenance", ())}
            return monitor, version, _asked(packed, members, own)
    except (OSError, tarfile.TarError, KeyError, TypeError, ValueError) as error:
        raise InputError("file", f"{tar}: not what the data link of a refresh request opens: {error!r:.200}; download it again") from error


def _target(folder: Path, monitor: str, version: int) -> Path:
    """Where the set is to lie, as below an installation's directory."""
    if not _NAME.fullmatch(monitor):
        raise ValueError(f"no monitor's name: {monitor!r:.80}")
    target = folder / "datasets" / monitor / "train" / f"v{version}"
    target.mkdir(parents=True, exist_ok=True)
    return target


def _asked(packed: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], batches: set[str]) -> list[str]:
    member = members.get("provenance.jsonl")
    stream = None if member is None else packed.extractfile(member)
    lines = [json.loads(line) for line in stream] if stream is not None else []
    return [row["id"] for row in lines if row["set"] == "train" and any(answer["batch"] in batches for answer in row["answers"])]


def _json(packed: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str) -> Any:
    stream = packed.extractfile(members[name])
    return json.load(stream) if stream is not None else {}


def _copy(packed: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = packed.extractfile(member)
    if source is None or member.size > MOST_BYTES:
        raise ValueError(f"{member.name} of {member.size:,} bytes")
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
