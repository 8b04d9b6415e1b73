"""What a training job is given that cannot see our disk: a tar of the train and challenge sets, and where each label comes from.

Below a folder named after the cycle lie `manifest.json` (the request, the manifests of both sets), `provenance.jsonl` (each row's label and
the answers it was made of) and the sets as they lie on disk, with the checksums in their own manifests: `train/`, `challenge/`.
"""

from __future__ import annotations

import json
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from service import annotation
from service.artefacts import MANIFEST, read_manifest
from service.datasets import ROWS, DataSets, Role
from service.errors import InputError, NotFoundError
from service.ports import Store
from service.records import AnnotationBatch, Label, RefreshCycle

FORMAT = 1
MOST_BYTES = 20_000_000_000
"""Of one parcel; what is larger is fetched from the disk that it lies on."""

_BATCHES = 100_000
_PIECE = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_OPEN: tuple[Role, ...] = ("train", "challenge")
"""Golden rows stay: nothing that is trained may have seen them."""


class _Row(msgspec.Struct):
    id: str
    label: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the parcel: what was made for it, or what lies on disk."""

    name: str
    content: bytes | Path

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def pieces(self) -> Iterator[bytes]:
        """What it holds, little by little."""
        if isinstance(self.content, bytes):
            yield self.content
            return
        with self.content.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


@dataclass(frozen=True, slots=True)
class Parcel:
    """A tar that is written while it is sent. The same link gives the same bytes until another answer comes in."""

    name: str
    members: tuple[Member, ...]
    time: float

    @property
    def size(self) -> int:
        """Bytes of the tar."""
        return sum(_BLOCK + _padded(member.size) for member in self.members) + 2 * _BLOCK

    def pieces(self) -> Iterator[bytes]:
        """The tar, little by little."""
        for member in self.members:
            entry = tarfile.TarInfo(f"{self.name}/{member.name}")
            entry.size, entry.mtime = member.size, int(self.time)
            yield entry.tobuf(tarfile.USTAR_FORMAT)
            yield from member.pieces()
            yield bytes(_padded(entry.size) - entry.size)
        yield bytes(2 * _BLOCK)


class Parcels:
    """Packs what a cycle's link names."""

    def __init__(self, store: Store, data_sets: DataSets) -> None:
        self._store = store
        self._data_sets = data_sets

    def manifest(self, cycle_id: str, sets: Mapping[Role, int]) -> dict[str, Any]:
        """What is in the parcel, and what the model is asked for."""
        cycle = self._store.get(RefreshCycle, cycle_id)
        held = {role: read_manifest(folder, verify=False) for role, folder in self._folders(cycle, sets)}
        return {
            "format": FORMAT,
            "cycle": cycle.id,
            "monitor": cycle.monitor,
            "reference_version": cycle.reference_version,
            "classes": next((manifest["classes"] for manifest in held.values()), []),
            "checksums": "blake2b, 20 bytes",
            "sets": held,
            "request": cycle.requested,
        }

    def pack(self, cycle_id: str, sets: Mapping[Role, int]) -> Parcel:
        """InputError where it is too large to be sent."""
        cycle = self._store.get(RefreshCycle, cycle_id)
        folders = self._folders(cycle, sets)
        made = [
            Member(MANIFEST, json.dumps(self.manifest(cycle_id, sets), indent=2, ensure_ascii=False).encode() + b"\n"),
            Member("provenance.jsonl", b"".join(self._provenance(cycle.monitor, folders))),
        ]
        kept = [Member(f"{role}/{path.name}", path) for role, folder in folders for path in sorted(folder.iterdir())]
        parcel = Parcel(f"driftgate-{cycle.id}", (*made, *kept), cycle.created)
        if parcel.size > MOST_BYTES:
            raise InputError("too_large", f"cycle {cycle.id}: {parcel.size:,} bytes, and at most {MOST_BYTES:,} are sent; copy the folders")
        return parcel

    def _folders(self, cycle: RefreshCycle, sets: Mapping[Role, int]) -> Sequence[tuple[Role, Path]]:
        folders = [(role, self._data_sets.folder(cycle.monitor, role, sets[role])) for role in _OPEN if role in sets]
        if not all(folder.is_dir() for _, folder in folders):
            raise NotFoundError(f"cycle {cycle.id}: its data sets were removed since")
        return folders

    def _provenance(self, monitor: str, folders: Iterable[tuple[Role, Path]]) -> Iterator[bytes]:
        """One line for each row. `answers` is empty of those that came with their label; of the others `probability` is that of the label
        to which the answers come together, and `spread` how uncertain that is."""
        given = defaultdict[str, list[Label]](list)
        for label in self._store.labels(monitor):
            given[label.sample].append(label)
        agreements = annotation.answers(self._store, self._store.find(AnnotationBatch, monitor=monitor, limit=_BATCHES))
        for role, folder in folders:
            with (folder / ROWS).open("rb") as file:
                for row in map(msgspec.json.Decoder(_Row).decode, file):
                    line = {"set": role, "id": row.id, "label": row.label, **_sureness(agreements.get(row.id))}
                    yield msgspec.json.encode({**line, "answers": [_answer(label) for label in given.get(row.id, ())]}) + b"\n"


def _sureness(agreement: annotation.Agreement | None) -> Mapping[str, float | None]:
    if agreement is None:
        return {"probability": None, "spread": None}
    return {"probability": round(agreement.probability, 4), "spread": round(agreement.spread, 4)}


def _answer(label: Label) -> Mapping[str, Any]:
    return {"batch": label.batch, "annotator": label.annotator, "label": label.label, "unusable": label.unusable, "time": label.time}


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
