"""Files as a source: each a partition, read one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from service.adapters.file_source.feed import Feed
from service.adapters.file_source.jsonl import read_jsonl
from service.adapters.file_source.npy import check_npy, read_npy
from service.adapters.file_source.parquet import check_parquet, read_parquet
from service.decoding.options import SampleOptions
from service.errors import InputError
from service.ports import Bounds
from service.records import Partition, Record


class _Format(NamedTuple):
    read: Callable[[Feed, int], Iterator[Record]]
    check: Callable[[Feed], None] = lambda _: None


_JSONL = _Format(read_jsonl)
_FORMATS = {
    ".jsonl": _JSONL,
    ".ndjson": _JSONL,
    ".npy": _Format(read_npy, check_npy),
    ".parquet": _Format(read_parquet, check_parquet),
}


class FileSource:
    """Samples of JSONL, `.npy` and Parquet files, each file a partition; offsets are lines or rows, from 0.

    A file that can't be read as a whole raises InputError when the source is made; a line or row that can't be used is a rejection.
    """

    def __init__(self, paths: Sequence[Path], monitor: str, options: SampleOptions) -> None:
        self._feeds = {feed.partition: feed for feed in (_feed(path, monitor, options) for path in paths)}
        if len(self._feeds) != len(paths):
            raise InputError("file", "the same file is given twice")
        self._streams: dict[Partition, Iterator[Record]] = {}
        for partition in self._feeds:
            self.seek(partition, 0)

    def partitions(self) -> Sequence[Partition]:
        """One per file, in the order given."""
        return tuple(self._feeds)

    def seek(self, partition: Partition, offset: int) -> None:
        """The next poll of the file starts at line or row `offset`."""
        feed = self._feeds[partition]
        self._streams[partition] = _format(feed.path).read(feed, offset)
        self._streams = {known: self._streams[known] for known in self._feeds if known in self._streams}

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:  # noqa: ARG002 - a file never makes anyone wait
        """Up to `limit` records of the first file that has some left."""
        for partition in tuple(self._streams):
            records = list(islice(self._streams[partition], limit))
            if len(records) < limit:
                del self._streams[partition]
            if records:
                return records
        return ()

    def committed(self, partition: Partition, offset: int) -> None:
        """Nothing is let go of."""

    def bounds(self, partition: Partition) -> Bounds:  # noqa: ARG002 - all begin and end alike
        """Unknown: what lies outside is told by reading it."""
        return Bounds()

    def alive(self) -> None:
        """Nobody else gives the partitions out."""

    @property
    def ended(self) -> bool:
        """True once every file has given its last record."""
        return not self._streams

    def close(self) -> None:
        """Lets go of the open files."""
        self._streams.clear()


def read_samples(paths: Sequence[Path], monitor: str, options: SampleOptions) -> Iterator[Record]:
    """Every record of the files in order: one sample or rejection each, `offset` being its line or row."""
    for path in paths:
        feed = _feed(path, monitor, options)
        yield from _format(path).read(feed, 0)


def _feed(path: Path, monitor: str, options: SampleOptions) -> Feed:
    known = _format(path)
    feed = Feed.of(path, monitor, options)
    known.check(feed)
    return feed


def _format(path: Path) -> _Format:
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        raise InputError("file", f"{path}: samples are read from {', '.join(_FORMATS)} files") from None
