"""Decided panes beyond the hot store, as objects: one for each stretch that a checkpoint covers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

import msgspec

from service.adapters.object_storage.objects import Objects
from service.errors import ArtefactError
from service.ports import Stretch

_FORMAT = b"driftgate panes 1\n"
_DIGEST = 16


class _Content(msgspec.Struct, array_like=True):
    checkpoint: bytes
    panes: list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What an object's name says: numbers above `after` up to `until`, and whether the checkpoint there is in it."""

    key: str
    after: int
    until: int
    time: float
    weight: int
    checkpoint: bool

    @classmethod
    def of(cls, key: str) -> Self:
        after, until, time, weight, kind = key.rsplit("/", 1)[-1].split("-")
        return cls(key, int(after), int(until), int(time) / 1_000, int(weight), kind == "c")


class PaneObjects:
    """The panes that a store has decided and let go of, kept per monitor for so many bytes and seconds of log time.

    Objects never change. One that a writer puts who was fenced off tells what another tells too: the numbers are the log's.
    """

    def __init__(self, objects: Objects, state: str, *, retain_bytes: int, retain_seconds: float) -> None:
        self._objects = objects
        self._place = f"panes/{state}"
        self._bytes = retain_bytes
        self._seconds = retain_seconds

    def append(self, stretch: Stretch, checkpoint: bytes) -> None:
        """Durable when it returns; `checkpoint` is the one at `until`."""
        kind, milliseconds = "c" if checkpoint else "p", max(int(stretch.time * 1_000), 0)
        name = f"{stretch.after:015d}-{stretch.until:015d}-{milliseconds:015d}-{stretch.weight}-{kind}"
        body = msgspec.msgpack.encode(_Content(checkpoint, list(stretch.panes)))
        self._objects.put(f"{self._place}/{stretch.monitor}/{name}", _FORMAT + _digest(body) + body)
        self._shorten(self._pieces(stretch.monitor))

    def read(self, monitor: str, after: int, until: int, limit: int) -> list[tuple[int, bytes]]:
        """Panes with numbers above `after` up to `until`, in order, each once; fewer than `limit` only where none is left.

        What the retention took is passed over. ArtefactError where panes are missing or damaged.
        """
        return list(islice(self._panes(monitor, after, until), limit))

    def start(self, monitor: str, until: int) -> tuple[int, bytes | None] | None:
        """The number before the first pane from which on all are kept up to `until`, and the checkpoint there; None while there is none."""
        pieces = self._pieces(monitor)
        if _reach(pieces, 0) >= until and any(piece.after == 0 for piece in pieces):
            return 0, None
        begins = next((piece for piece in pieces if piece.checkpoint and _reach(pieces, piece.until) >= until >= piece.until), None)
        content = None if begins is None else self._content(begins.key)
        return None if begins is None or content is None else (begins.until, content.checkpoint)

    def _panes(self, monitor: str, after: int, until: int) -> Iterator[tuple[int, bytes]]:
        pieces, at = self._pieces(monitor), after
        if pieces and at < pieces[0].after:
            at = min(pieces[0].after, until)  # the retention took what was before
        while at < until:
            piece = max((piece for piece in pieces if piece.after <= at < piece.until), key=lambda piece: piece.until, default=None)
            content = None if piece is None else self._content(piece.key)
            if piece is None or content is None:
                pieces = self._taken_meanwhile(monitor, pieces, at)
                at = max(at, pieces[0].after)
                continue
            yield from ((number, pane) for number, pane in content.panes if at < number <= until)
            at = piece.until

    def _taken_meanwhile(self, monitor: str, before: Sequence[_Piece], at: int) -> list[_Piece]:
        """What there is now; ArtefactError where the retention is not what took it."""
        pieces = self._pieces(monitor)
        if not pieces or (pieces == before and pieces[0].after <= at):
            missing = f"{self._objects}: the panes of {monitor} after number {at} are missing"
            raise ArtefactError(f"{missing}; restore {self._place}/{monitor} from a backup")
        return pieces

    def _pieces(self, monitor: str) -> list[_Piece]:
        """In order."""
        return sorted((_Piece.of(found.key) for found in self._objects.list(f"{self._place}/{monitor}")), key=lambda piece: piece.until)

    def _content(self, key: str) -> _Content | None:
        found = self._objects.get(key)
        if found is None:
            return None
        head = len(_FORMAT) + _DIGEST
        if not found[0].startswith(_FORMAT) or _digest(found[0][head:]) != found[0][len(_FORMAT) : head]:
            raise ArtefactError(f"{self._objects}: {key} is damaged, or of another version of driftgate; restore it from a backup")
        return msgspec.msgpack.decode(found[0][head:], type=_Content)

    def _shorten(self, pieces: Sequence[_Piece]) -> None:
        """Objects go from the old end, up to one whose checkpoint a replay can start from, which stays."""
        starts, newest = [piece for piece in pieces if piece.checkpoint], max(piece.time for piece in pieces)
        old = max((start.until for start in starts if start.time <= newest - self._seconds), default=0)
        heavy = min((start.until for start in starts if _weight_after(pieces, start.until) <= self._bytes), default=0)
        cut = max(old, heavy if _weight_after(pieces, 0) > self._bytes else 0)
        self._objects.delete(piece.key for piece in pieces if piece.until < cut)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST).digest()


def _reach(pieces: Sequence[_Piece], at: int) -> int:
    """How far numbers follow one another from `at` on."""
    for piece in sorted(pieces, key=lambda piece: piece.after):
        if piece.after <= at:
            at = max(at, piece.until)
    return at


def _weight_after(pieces: Sequence[_Piece], at: int) -> int:
    return sum(piece.weight for piece in pieces if piece.after >= at)
