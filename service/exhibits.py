"""What annotators are shown: the samples behind a batch's candidates, found where they are kept until they are answered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import msgspec

from service import annotation
from service.datasets import ROWS, DataSets, Role, row_of
from service.errors import NotFoundError
from service.ports import Revision, Store
from service.records import AnnotationBatch, Sample

_REVIEWED: tuple[Role, ...] = ("golden", "train", "challenge")
"""Rows of these are asked about again; their newest version has them."""

_INDEXES = 16
"""Of versions, kept in memory: a batch's samples are asked for one after the other."""


@dataclass(frozen=True, slots=True)
class ImageType:
    """What an image is by its first bytes, whatever anybody says of it."""

    media: str
    suffix: str


_UNKNOWN = ImageType("application/octet-stream", "bin")
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": ImageType("image/png", "png"),
    b"\xff\xd8\xff": ImageType("image/jpeg", "jpg"),
    b"GIF8": ImageType("image/gif", "gif"),
    b"BM": ImageType("image/bmp", "bmp"),
    b"II*\x00": ImageType("image/tiff", "tif"),
    b"MM\x00*": ImageType("image/tiff", "tif"),
}


class _Id(msgspec.Struct):
    """Of a row's line, without the payload beside it."""

    id: str


class Exhibits:
    """Reads single rows of data sets, not whole sets: an annotator opens one image of thousands at a time."""

    def __init__(self, store: Store, data_sets: DataSets) -> None:
        self._store = store
        self._data_sets = data_sets
        self._index = lru_cache(_INDEXES)(_index)

    def sample(self, batch: str, shown: str) -> Sample:
        """The sample behind an id that the batch's annotators see; NotFoundError where none of the data sets has it any more."""
        found = self.samples(batch, {shown})
        if shown not in found:
            raise NotFoundError(f"annotation batch {batch}: {shown!r:.100} is none of its samples, or was removed since")
        return found[shown]

    def samples(self, batch: str, shown: Collection[str]) -> Mapping[str, Sample]:
        """Those of the ids that are kept: from the newest pool set that has them, else from the sets that rows are reviewed of."""
        found = self._store.get(AnnotationBatch, batch)
        items = annotation.items_by_shown(found)
        asked = {name: items[name].id for name in shown if name in items}
        samples = self.kept(found.monitor, set(asked.values()))
        return {name: samples[kept] for name, kept in asked.items() if kept in samples}

    def kept(self, monitor: str, ids: Collection[str]) -> Mapping[str, Sample]:
        """Those of the monitor's samples, by their own ids, that a data set has."""
        missing, found = set(ids), dict[str, Sample]()
        for folder in self._folders(monitor) if missing else ():
            here = missing & self._index(folder, self._data_sets.revised(folder)).keys()
            found |= self._read(monitor, folder, here)
            missing = missing - found.keys()
            if not missing:
                break
        return found

    def _folders(self, monitor: str) -> Iterator[Path]:
        pools = self._data_sets.versions(monitor, "pool")
        reviewed = [self._data_sets.versions(monitor, role)[-1:] for role in _REVIEWED]
        for manifest in (*reversed(pools), *(newest for each in reviewed for newest in each)):
            yield self._data_sets.folder(monitor, manifest["role"], manifest["version"])

    def _read(self, monitor: str, folder: Path, ids: Collection[str]) -> Mapping[str, Sample]:
        if not ids:
            return {}
        index = self._index(folder, self._data_sets.revised(folder))
        with (folder / ROWS).open("rb") as file:
            return {name: row_of(_line(file, *index[name]), monitor).sample for name in ids}


def image_type(content: bytes) -> ImageType:
    """Of formats that can hold no script."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ImageType("image/webp", "webp")
    return next((found for begins, found in _IMAGES.items() if content.startswith(begins)), _UNKNOWN)


def _line(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


def _index(folder: Path, _revised: Revision) -> Mapping[str, tuple[int, int]]:
    """id → (first byte, length) of its line; another revision of the folder has others."""
    places, at = dict[str, tuple[int, int]](), 0
    decoder = msgspec.json.Decoder(_Id)
    with (folder / ROWS).open("rb") as file:
        for line in file:
            places[decoder.decode(line).id] = (at, len(line))
            at += len(line)
    return places
