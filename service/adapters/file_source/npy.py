"""Vectors in order, as `numpy.save` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from service.adapters.file_source.feed import Feed
from service.decoding.sample_json import original_of
from service.errors import InputError
from service.records import Record, Rejected, Sample

_ROWS = 1024


def check_npy(feed: Feed) -> None:
    """InputError unless the file holds float vectors that the monitor takes; all rows being alike, the first usable one speaks for all."""
    array = _mapped(feed.path)
    if array.ndim != 2 or array.dtype.kind != "f" or array.dtype.itemsize > 8 or not array.shape[1]:
        raise InputError(
            "file", f"{feed.path.name}: needs shape (samples, dimension) of float16, 32 or 64; found {array.shape} of {array.dtype}"
        )
    usable = next((row for row in _block(feed.path, 0) if np.isfinite(row).all()), None)
    if usable is None or feed.options.check is None:
        return
    try:
        feed.options.check(usable)
    except InputError as error:
        raise InputError(error.reason, f"{feed.path.name}: {error}") from error


def read_npy(feed: Feed, start: int) -> Iterator[Record]:
    """Records from row `start` on. The file is mapped anew for each block, so that what was read does not stay in memory."""
    for first in range(start, len(_mapped(feed.path)), _ROWS):
        block = _block(feed.path, first)
        unusable = set(np.flatnonzero(~np.isfinite(block).all(axis=1)).tolist())
        if not unusable:
            yield from _records(feed, first, block)
            continue
        for i, row in enumerate(block):
            yield from [_refused(feed, first + i, row)] if i in unusable else _records(feed, first + i, row[np.newaxis])


def _records(feed: Feed, first: int, rows: NDArray[np.float32]) -> list[Record]:
    """Each row is copied, so that whoever keeps one sample does not keep its whole block."""
    partition, monitor, prefix = feed.partition, feed.monitor, feed.partition.topic_id
    return [
        Record(partition, offset, 0.0, (Sample(monitor, f"{prefix}/{offset}", 0.0, row.copy()),)) for offset, row in enumerate(rows, first)
    ]


def _refused(feed: Feed, offset: int, row: NDArray[np.float32]) -> Record:
    where = f"row {offset} holds a value that is not finite in float32, at column {int(np.argmin(np.isfinite(row)))}"
    return Record(
        feed.partition, offset, 0.0, (Rejected("not_finite", where, original_of({"vector": row.tolist()}), monitor=feed.monitor),)
    )


def _block(path: Path, first: int) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.array(_mapped(path)[first : first + _ROWS], np.float32, order="C")


def _mapped(path: Path) -> NDArray[Any]:
    try:
        return open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise InputError("file", f"{path.name}: no .npy file that can be read: {error}") from error
