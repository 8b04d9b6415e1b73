"""What annotators are shown: the samples behind a batch's candidates, found where they are kept until they are answered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import msgspec

from service.datasets import ROWS, DataSets, Role, row_of
from service.errors import NotFoundError
from service.records import Sample

_REVIEWED: tuple[Role, ...] = ("golden", "train", "challenge")
"""Rows of these are asked about again; their newest version has them."""

_INDEXES = 16
"""Of versions, kept in memory: a batch's samples are asked for one after the other."""


class _Id(msgspec.Struct):
    """Of a row's line, without the payload beside it."""

    id: str


class Exhibits:
    """Reads single rows of data sets, not whole sets: an annotator opens one image of thousands at a time."""

    def __init__(self, data_sets: DataSets) -> None:
        self._data_sets = data_sets
        self._index = lru_cache(_INDEXES)(_index)

    def sample(self, monitor: str, id: str) -> Sample:
        """NotFoundError where none of the sets has it any more."""
        found = self.samples(monitor, {id})
        if id not in found:
            raise NotFoundError(f"monitor {monitor}: sample {id!r:.100} is in none of its data sets any more")
        return found[id]

    def samples(self, monitor: str, ids: Collection[str]) -> Mapping[str, Sample]:
        """Those of the ids that are kept: from the newest pool set that has them, else from the sets that rows are reviewed of."""
        missing, found = set(ids), dict[str, Sample]()
        for folder in self._folders(monitor):
            here = missing & self._index(folder).keys() if missing else ()
            found.update(self._read(monitor, folder, here))
            missing -= found.keys()
        return found

    def _folders(self, monitor: str) -> Iterator[Path]:
        pools = self._data_sets.versions(monitor, "pool")
        reviewed = [self._data_sets.versions(monitor, role)[-1:] for role in _REVIEWED]
        for manifest in (*reversed(pools), *(newest for each in reviewed for newest in each)):
            yield self._data_sets.folder(monitor, manifest["role"], manifest["version"])

    def _read(self, monitor: str, folder: Path, ids: Collection[str]) -> Mapping[str, Sample]:
        if not ids:
            return {}
        index = self._index(folder)
        with (folder / ROWS).open("rb") as file:
            return {name: row_of(_line(file, *index[name]), monitor).sample for name in ids}


def _line(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


def _index(folder: Path) -> Mapping[str, tuple[int, int]]:
    """id → (first byte, length) of its line."""
    places, at = dict[str, tuple[int, int]](), 0
    decoder = msgspec.json.Decoder(_Id)
    with (folder / ROWS).open("rb") as file:
        for line in file:
            places[decoder.decode(line).id] = (at, len(line))
            at += len(line)
    return places
