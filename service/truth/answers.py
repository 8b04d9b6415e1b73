"""What the model answered, packed: a block of columns per batch, so that keeping 200,000 answers costs a commit one small write.

A block begins with the number of its rows and their keys, so that a look-up reads those alone; it names its classes and tags once. A
sample's key is a 64-bit hash of its id: of 200,000 the odds that two share one are one in a billion.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.errors import ArtefactError
from service.records import Answer

N = TypeVar("N")
"""What a store knows a block by."""

LARGEST = 4_096
"""Rows of a block; smaller ones are merged up to it, in time."""

SMALL = 1_024
"""Rows below which a block is worth merging."""


class _Block(msgspec.Struct, array_like=True, frozen=True):
    """Rows of one reference version; columns are numpy's bytes, little-endian."""

    version: int
    times: bytes
    confidence: bytes
    clusters: bytes
    predicted: bytes
    """(n,) uint16, each row's place in `classes`."""
    origins: bytes
    """(n,) uint16, likewise in `tags`."""
    classes: tuple[str, ...]
    tags: tuple[tuple[dict[str, str], tuple[str, ...]], ...]
    """Tags of samples, with the segments that they count in."""


_ROWS = struct.Struct("<I")
_KEY_BYTES = 8
_NUMBERS = (("times", "<f8"), ("confidence", "<f2"), ("clusters", "<i2"))
_CODES = (("predicted", "classes"), ("origins", "tags"))
_decoder = msgspec.msgpack.Decoder(_Block)
_encode = msgspec.msgpack.Encoder().encode


def _hashes(ids: Iterable[str]) -> bytes:
    return b"".join([blake2b(each.encode(), digest_size=_KEY_BYTES).digest() for each in ids])


def keys(body: bytes) -> bytes:
    """Those of a block's rows, 8 bytes each, after the 4 of their number; stores that can read a part of a value read no more than that."""
    return body[_ROWS.size : _begins(body)]


def pack(
    ids: Sequence[str],
    predicted: Sequence[str],
    tags: Sequence[Mapping[str, str]],
    streams: Callable[[Mapping[str, str]], tuple[str, ...]],
    *,
    numbers: Mapping[str, NDArray[np.generic]],
    version: int,
) -> bytes:
    """A block of at most 4,096 samples. numbers : `times`, `confidence` and `clusters`, (n,) each; streams : the segments of some tags."""
    classes: dict[str, int] = {}
    origins: dict[tuple[tuple[str, str], ...], int] = {}
    places = [classes.setdefault(each, len(classes)) for each in predicted]
    homes = [origins.setdefault(tuple(each.items()), len(origins)) for each in tags]
    columns = [numbers[name].astype(kind).tobytes() for name, kind in _NUMBERS]
    named = (np.array(column, "<u2").tobytes() for column in (places, homes))
    known = [(dict(origin), streams(dict(origin))) for origin in origins]
    return _ROWS.pack(len(ids)) + _hashes(ids) + _encode([version, *columns, *named, list(classes), known])


def find(blocks: Iterable[tuple[N, bytes]], samples: Collection[str], read: Callable[[N], bytes | None]) -> dict[str, Answer]:
    """What blocks know of these samples. blocks : name and `keys` of each, the newest first, asked for as long as samples are missing;
    read : the block of a name, None where it has gone."""
    wanted = dict(zip(np.frombuffer(_hashes(samples), "<u8").tolist(), samples, strict=True))
    found: dict[str, Answer] = {}
    for name, hashes in blocks if wanted else ():
        column = np.frombuffer(hashes, "<u8")
        places = np.flatnonzero(np.isin(column, np.fromiter(wanted, np.uint64, len(wanted))))
        body = read(name) if len(places) else None
        if body is None:
            continue
        block = _read(body)
        for at, key in zip(places[::-1].tolist(), column[places[::-1]].tolist(), strict=True):
            if key in wanted:
                found[wanted.pop(key)] = _answer(block, at)
        if not wanted:
            break
    return found


def without(body: bytes, samples: Collection[str]) -> tuple[bytes, int]:
    """The block in which these samples can't be found any more, and how many of its rows were theirs; the rows' number stays."""
    column = np.frombuffer(keys(body), "<u8")
    theirs = np.isin(column, np.frombuffer(_hashes(samples), "<u8"))
    count = int(theirs.sum())
    if not count:
        return body, 0
    block = _read(body)
    columns = {name: _blanked(getattr(block, name), kind, theirs) for name, kind in (*_NUMBERS, *((codes, "<u2") for codes, _ in _CODES))}
    hashes = np.where(theirs, np.uint64(0), column).astype("<u8").tobytes()
    return body[: _ROWS.size] + hashes + _encode(msgspec.structs.replace(block, **columns)), count


def _blanked(column: bytes, kind: str, rows: NDArray[np.bool_]) -> bytes:
    values = np.frombuffer(column, kind).copy()
    values[rows] = 0
    return values.tobytes()


Numbered: TypeAlias = tuple[int, int, bytes]
"""A block as a store keeps it: the number of its last row, how many it has, and the block."""


def runs(blocks: Iterable[Numbered]) -> Iterator[Sequence[Numbered]]:
    """Of blocks in order, those neighbours that are better off as one; only those of one reference version meet."""
    run, rows, version = list[Numbered](), 0, -1
    for block in blocks:
        own = _read(block[2]).version
        if own != version or rows + block[1] > LARGEST:
            if len(run) > 1:
                yield run
            run, rows, version = [], 0, own
        run.append(block)
        rows += block[1]
    if len(run) > 1:
        yield run


def joined(bodies: Sequence[bytes]) -> bytes:
    """Neighbouring blocks as one. Names are interned anew: what one block knew under a number has another in the whole."""
    blocks = [_read(body) for body in bodies]
    hashes = b"".join(map(keys, bodies))
    columns = [b"".join(getattr(block, name) for block in blocks) for name, _ in _NUMBERS]
    (predicted, classes), (origins, tags) = (_interned(blocks, codes, table) for codes, table in _CODES)
    head = _ROWS.pack(len(hashes) // _KEY_BYTES) + hashes
    return head + _encode([blocks[0].version, *columns, predicted, origins, classes, tags])


def _interned(blocks: Sequence[_Block], codes: str, table: str) -> tuple[bytes, list[object]]:
    """One column of numbers for all rows, and the values that they stand for."""
    places: dict[bytes, int] = {}
    values: list[object] = []
    parts = []
    for block in blocks:
        own = getattr(block, table)
        numbers = np.array([places.setdefault(_encode(value), len(places)) for value in own], "<u2")
        values += [value for value, number in zip(own, numbers.tolist(), strict=True) if number >= len(values)]
        parts.append(numbers[np.frombuffer(getattr(block, codes), "<u2")].tobytes())
    return b"".join(parts), values


def _read(body: bytes) -> _Block:
    try:
        return _decoder.decode(memoryview(body)[_begins(body) :])
    except msgspec.MsgspecError as error:
        raise _damaged(error) from error


def _begins(body: bytes) -> int:
    """Where what follows the keys does."""
    try:
        rows: int = _ROWS.unpack_from(body)[0]
    except struct.error as error:
        raise _damaged(error) from error
    return _ROWS.size + _KEY_BYTES * rows


def _damaged(error: Exception) -> ArtefactError:
    return ArtefactError(f"the answers that the store keeps are damaged ({error}); restore it from a backup")


def _answer(block: _Block, at: int) -> Answer:
    time, confidence, cluster = (np.frombuffer(getattr(block, name), kind)[at].item() for name, kind in _NUMBERS)
    tags, streams = block.tags[np.frombuffer(block.origins, "<u2")[at]]
    predicted = block.classes[np.frombuffer(block.predicted, "<u2")[at]]
    return Answer(predicted, confidence, tags, streams, cluster, block.version, time)
