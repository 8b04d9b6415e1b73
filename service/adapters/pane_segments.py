"""Decided panes beyond the hot store: append-only, checksummed files per monitor, from which a replay can start."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from service.artefacts import sync
from service.errors import ArtefactError
from service.ports import Stretch

_FORMAT = b"driftgate panes 1\n"
"""What a file begins with; a reader that does not know the number refuses it."""

_HEAD = struct.Struct("<QQdQQ16s")
"""Of a block: after, until, time, weight, length and digest of its body; its own crc32 follows."""

_CRC = struct.Struct("<I")

_STEPS = 8
"""A file holds about this fraction of what may be kept: each begins with a checkpoint, which costs its size."""

_unpack = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode


@dataclass(frozen=True, slots=True)
class _Block:
    """A stretch as it lies in its file; the first block of a file is empty and holds a checkpoint instead, where there was one."""

    after: int
    until: int
    time: float
    weight: int
    body_at: int
    length: int
    digest: bytes

    @property
    def ends(self) -> int:
        return self.body_at + self.length


@dataclass(frozen=True, slots=True)
class _Segment:
    """What a file holds without gaps, from its first whole block to its last."""

    path: Path
    after: int
    until: int
    began: float
    time: float
    weight: int
    starts: bool
    """Whether a replay can begin here: at the log's first pane, or with a checkpoint."""
    ends: int
    size: int

    @property
    def number(self) -> int:
        return int(self.path.stem)


class _MissingError(ArtefactError):
    """No file tells of the numbers that follow."""


class PaneSegments:
    """The panes that a store has decided and let go of, kept per monitor for so many bytes and seconds of log time.

    An append is there whole or not at all. A file with a torn tail is never written to again, nor is one that another writer holds
    or has carried on: the next append begins a file of its own. So a writer that was fenced off does no harm: what it repeats is
    read once, and where two files tell of the same numbers the younger one counts.
    """

    def __init__(self, path: Path, *, retain_bytes: int = 500_000_000, retain_seconds: float = 90 * 86_400.0) -> None:
        self._path = path
        self._bytes = retain_bytes
        self._seconds = retain_seconds
        self._seen: dict[str, dict[Path, _Segment]] = {}

    def append(self, stretch: Stretch, checkpoint: bytes) -> None:
        """Durable when it returns; ArtefactError where the disk is full, and nothing has changed. `checkpoint` is the one at `until`."""
        segments = self._segments(stretch.monitor)
        newest = segments[-1] if segments else None
        body = msgspec.msgpack.encode(stretch.panes)
        block = _block(stretch.after, stretch.until, stretch.time, stretch.weight, body)
        if newest is None or newest.until != stretch.after or not _extended(newest, block):
            first = _block(stretch.after, stretch.after, stretch.time, 0, b"")
            self._begin(stretch.monitor, segments, _FORMAT + first + block)
        segments = self._segments(stretch.monitor)
        if self._is_long(segments, stretch):
            first = _block(stretch.until, stretch.until, stretch.time, 0, checkpoint)
            self._begin(stretch.monitor, segments, _FORMAT + first)
            segments = self._segments(stretch.monitor)
        self._shorten(segments)

    def read(self, monitor: str, after: int, until: int, limit: int) -> list[tuple[int, bytes]]:
        """Panes with numbers above `after` up to `until`, in order, each once; fewer than `limit` only where none is left.

        What the retention took is passed over. ArtefactError where panes are missing or damaged.
        """
        while True:
            segments = self._segments(monitor)
            try:
                return list(islice(self._panes(monitor, segments, after, until), limit))
            except FileNotFoundError:  # shortened meanwhile: what it began with is gone too
                continue
            except _MissingError:
                if self._segments(monitor) == segments:
                    raise  # else it was shortened while the folder was looked through, and a younger file begins the log

    def start(self, monitor: str, until: int) -> tuple[int, bytes | None] | None:
        """The number before the first pane from which on all are kept up to `until`, and the checkpoint there; None while there is none.

        (0, None) while none has gone.
        """
        while True:
            segments = self._segments(monitor)
            begins = _start(segments, until)
            if begins is None:
                if self._segments(monitor) == segments:
                    return None
                continue
            try:
                with begins.path.open("rb") as file:
                    return begins.after, _body(file, next(_blocks(file)), begins.path) or None
            except FileNotFoundError:  # shortened meanwhile
                continue

    def last(self, monitor: str) -> tuple[int, float]:
        """Up to which number there are any, and its time; (0, 0.0) while there are none."""
        return max(((segment.until, segment.time) for segment in self._segments(monitor)), default=(0, 0.0))

    def _panes(self, monitor: str, segments: Sequence[_Segment], after: int, until: int) -> Iterator[tuple[int, bytes]]:
        begins = _start(segments, until)
        if begins is None and any(segment.starts and segment.after >= until for segment in segments):
            return  # the retention took all of it meanwhile
        at = max(after, begins.after) if begins else after
        while at < until:
            segment = _holding(segments, at)
            if segment is None:
                raise _MissingError(f"{self._path / monitor}: the panes after number {at} are missing; restore the folder from a backup")
            block, panes = _stretch(segment, at)
            yield from ((number, pane) for number, pane in panes if at < number <= until)
            at = block.until

    def _segments(self, monitor: str) -> list[_Segment]:
        """Oldest first; files are read again only where they have changed."""
        seen, found = self._seen.get(monitor, {}), list[_Segment]()
        for path in sorted((self._path / monitor).glob("*.panes")):
            known = seen.get(path)
            try:
                if known is None or known.size != path.stat().st_size:
                    known = _examined(path)
            except FileNotFoundError:  # shortened meanwhile
                continue
            if known is not None:
                found.append(known)
        self._seen[monitor] = {segment.path: segment for segment in found}
        return found

    def _begin(self, monitor: str, segments: Sequence[_Segment], content: bytes) -> None:
        """A new file, younger than all others."""
        folder = self._path / monitor
        number = segments[-1].number + 1 if segments else 1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            while not _created(folder / f"{number:012d}.panes", content):  # torn, or another writer's
                number += 1
            sync(folder)
        except OSError as error:
            raise _full(folder, error) from error

    def _is_long(self, segments: Sequence[_Segment], stretch: Stretch) -> bool:
        """Whether the next file is to begin: a fraction of the retention lies since the last that a replay can start from."""
        start = next((segment for segment in reversed(segments) if segment.starts), None)
        if start is None:
            return True
        return _weight_from(segments, start) * _STEPS >= self._bytes or (stretch.time - start.began) * _STEPS >= self._seconds

    def _shorten(self, segments: Sequence[_Segment]) -> None:
        """Files go from the old end, up to one that a replay can start from: half a history decides otherwise."""
        newest = max(segment.time for segment in segments)
        starts = [segment for segment in segments if segment.starts]
        cut = max((start.after for start in starts if start.began <= newest - self._seconds), default=0)
        cut = max(cut, min((start.after for start in starts if _weight_from(segments, start) <= self._bytes), default=0))
        for segment in segments[:-1]:
            if segment.after < cut and segment.until <= cut:
                segment.path.unlink(missing_ok=True)


def _block(after: int, until: int, time: float, weight: int, body: bytes) -> bytes:
    head = _HEAD.pack(after, until, time, weight, len(body), _digest(body))
    return head + _CRC.pack(zlib.crc32(head)) + body


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


def _examined(path: Path) -> _Segment | None:
    """None for a file whose beginning was never finished; the last block's body is checked too, for a power cut may have torn it."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)  # before the blocks: what is appended meanwhile makes it another file to look at
        blocks = list(_blocks(file))
        if len(blocks) > 1 and not _is_whole(file, blocks[-1]):
            blocks.pop()
    if not blocks:
        return None
    first, last = blocks[0], blocks[-1]
    weight = sum(block.weight for block in blocks)
    starts = first.after == 0 or first.length > 0
    return _Segment(path, first.after, last.until, first.time, last.time, weight, starts, last.ends, size)


def _blocks(file: BinaryIO) -> Iterator[_Block]:
    """Those whose heads are sound and that follow one another; ArtefactError for a format that is not known."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    begins = file.read(len(_FORMAT))
    if len(begins) == len(_FORMAT) and begins != _FORMAT:
        raise ArtefactError(f"{file.name}: begins with {begins!r}, not {_FORMAT!r}: written by another version of driftgate; use that one")
    at, until = len(_FORMAT), None
    while at < size:
        file.seek(at)
        head, crc = file.read(_HEAD.size), file.read(_CRC.size)
        if len(crc) < _CRC.size or _CRC.unpack(crc)[0] != zlib.crc32(head):
            return
        after, to, time, weight, length, digest = _HEAD.unpack(head)
        block = _Block(after, to, time, weight, at + _HEAD.size + _CRC.size, length, digest)
        if block.ends > size or until not in (None, after):
            return
        yield block
        at, until = block.ends, to


def _is_whole(file: BinaryIO, block: _Block) -> bool:
    file.seek(block.body_at)
    return _digest(file.read(block.length)) == block.digest


def _body(file: BinaryIO, block: _Block, path: Path) -> bytes:
    file.seek(block.body_at)
    body = file.read(block.length)
    if _digest(body) != block.digest:
        raise ArtefactError(
            f"{path}: damaged at byte {block.body_at}; restore it from a backup, or remove it: the log then begins after it"
        )
    return body


def _stretch(segment: _Segment, at: int) -> tuple[_Block, list[tuple[int, bytes]]]:
    """The block that tells of the number after `at`."""
    with segment.path.open("rb") as file:
        block = next(block for block in _blocks(file) if block.after <= at < block.until)
        return block, _unpack(_body(file, block, segment.path))


def _holding(segments: Sequence[_Segment], at: int) -> _Segment | None:
    """The youngest file that tells of the number after `at`."""
    return next((segment for segment in reversed(segments) if segment.after <= at < segment.until), None)


def _start(segments: Sequence[_Segment], until: int) -> _Segment | None:
    """The earliest file with a checkpoint from which on nothing is missing up to `until`."""
    starts = sorted((segment for segment in segments if segment.starts), key=lambda segment: segment.after)
    return next((start for start in starts if _reach(segments, start.after) >= until >= start.after), None)


def _reach(segments: Sequence[_Segment], at: int) -> int:
    """How far numbers follow one another from `at` on."""
    for segment in sorted(segments, key=lambda segment: segment.after):
        if segment.after <= at:
            at = max(at, segment.until)
    return at


def _weight_from(segments: Sequence[_Segment], start: _Segment) -> int:
    return sum(segment.weight for segment in segments if segment.after >= start.after)


def _extended(segment: _Segment, block: bytes) -> bool:
    """Whether the file could take the block: not where its tail is torn, or another writer holds it or was quicker."""
    try:
        with segment.path.open("r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if file.seek(0, os.SEEK_END) != segment.ends:
                return False
            _write(file, block)
            return True
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError as error:
        raise _full(segment.path, error) from error


def _created(path: Path, content: bytes) -> bool:
    """False where there is such a file already."""
    try:
        with path.open("xb", buffering=0) as file:
            _write(file, content)
    except FileExistsError:
        return False
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _write(file: FileIO, content: bytes) -> None:
    """All of it, durably; or none, where the disk is full."""
    begins, left = file.tell(), memoryview(content)
    try:
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(begins)
        raise


def _full(path: Path, error: OSError) -> ArtefactError:
    return ArtefactError(f"{path}: {error.strerror or error}; panes stay in the store until they can be written: free space there")
