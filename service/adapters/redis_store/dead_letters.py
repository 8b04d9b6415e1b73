"""Items that could not be used, the newest of them, and those that wait for their topic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from service.adapters.redis_store.codec import pack
from service.adapters.redis_store.server import Server
from service.errors import NotFoundError
from service.ports import Blobs
from service.records import KEPT_BYTES, DeadLetter, Original

_PAGE = 500


_decoder = msgspec.msgpack.Decoder(DeadLetter)


def packed(letters: Sequence[DeadLetter], blobs: Blobs) -> list[Mapping[str, Any]]:
    """As the scripts take them."""
    return [_packed(letter, blobs) for letter in letters]


def _packed(letter: DeadLetter, blobs: Blobs) -> Mapping[str, Any]:
    blob, original = "", letter.original
    if original is not None and original.value is not None and len(original.value) > KEPT_BYTES:
        blob = blobs.put(original.value) or ""
        # Where it finds no room, what the rejection holds of it is all that is kept.
        original = Original(original.key, b"", original.headers, original.time) if blob else None
    return {"id": letter.id, "sent": letter.sent, "blob": blob, "body": pack(replace(letter, original=original))}


def add(server: Server, letters: Sequence[DeadLetter], most: tuple[int, int], blobs: Blobs) -> None:
    """Idempotent by id; the oldest make room."""
    server.run("add_letters", {"letters": packed(letters, blobs), "keep": most[0], "keep_bytes": most[1]})


def read(server: Server, blobs: Blobs, monitor: str | None, limit: int) -> Sequence[DeadLetter]:
    """Newest first."""
    found, first = list[DeadLetter](), 0
    while len(found) < limit:
        page = server.run("letters", {"first": first, "limit": _PAGE if monitor else min(limit, _PAGE)})
        if not page:
            break
        first += len(page)
        found += (letter for letter in _letters(page, blobs) if monitor in (None, letter.rejected.monitor))
    return found[:limit]


def unsent(server: Server, blobs: Blobs, limit: int) -> Sequence[DeadLetter]:
    """Those that wait for their topic, oldest first."""
    return list(_letters(server.run("letters", {"first": 0, "limit": limit, "unsent": True}), blobs))


def get(server: Server, blobs: Blobs, id: str) -> DeadLetter:
    """NotFoundError when there is none."""
    found = server.run("letter", {"id": id})
    if not found:
        raise NotFoundError(f"no dead letter {id!r}; it may have made room for newer ones")
    return next(_letters([found], blobs))


def mark_sent(server: Server, ids: Sequence[str], most: tuple[int, int]) -> None:
    """They have arrived in their topic."""
    server.run("mark_sent", {"ids": list(ids), "keep": most[0], "keep_bytes": most[1]})


def addresses(server: Server) -> set[str]:
    """Where originals lie that were too large to stay."""
    return {address.decode() for address in server.ask("HVALS", server.key("letters", "blobs"))}


def _letters(page: Sequence[tuple[bytes, int, bytes]], blobs: Blobs) -> Iterator[DeadLetter]:
    for body, sent, blob in page:
        letter = _decoder.decode(body)
        original = letter.original
        if original is not None and blob:
            value = blobs.get(blob.decode())
            original = None if value is None else replace(original, value=value)
        yield replace(letter, original=original, sent=bool(sent))
