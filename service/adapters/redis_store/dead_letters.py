"""Items that could not be used, the newest of them, and those that wait for their topic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec

from service.adapters.redis_store.codec import pack
from service.adapters.redis_store.server import Server
from service.errors import NotFoundError
from service.ports import Blobs
from service.records import KEPT_BYTES, DeadLetter, Original

WHOLE_BYTES = 8_000_000
"""Of one commit's letters; those beyond it hold no more than a beginning, so that a commit is bounded whatever was rejected."""

BEGINNING = 1_000
"""Bytes of an item, and characters of a message, that are a beginning."""

_PAGE = 500

_decoder = msgspec.msgpack.Decoder(DeadLetter)
_original = msgspec.msgpack.Decoder(Original)


def packed(letters: Sequence[DeadLetter], keep: int, blobs: Blobs) -> list[Mapping[str, Any]]:
    """As the scripts take them: no more than are kept, besides those that wait for their topic."""
    passed = max(sum(letter.sent for letter in letters) - keep, 0)
    oldest = {letter.id for letter in islice((letter for letter in letters if letter.sent), passed)}
    found, left = list[Mapping[str, Any]](), WHOLE_BYTES
    for letter in letters:
        if letter.id not in oldest:
            found.append(_packed(letter if left > 0 else _cut(letter), KEPT_BYTES if left > 0 else BEGINNING, blobs))
            left -= len(found[-1]["body"])
    return found


def _cut(letter: DeadLetter) -> DeadLetter:
    rejected = letter.rejected
    return replace(letter, rejected=replace(rejected, original=rejected.original[:BEGINNING], message=rejected.message[:BEGINNING]))


def _packed(letter: DeadLetter, most: int, blobs: Blobs) -> Mapping[str, Any]:
    """An original beyond `most` bytes goes to the blobs. Where it finds no room, what the rejection holds of it is all that is kept."""
    blob, original = "", None if letter.original is None else pack(letter.original)
    if original is not None and len(original) > most:
        blob = blobs.put(original) or ""
        letter = replace(letter, original=None)
    return {"id": letter.id, "sent": letter.sent, "blob": blob, "body": pack(letter)}


def add(server: Server, letters: Sequence[DeadLetter], most: tuple[int, int], blobs: Blobs) -> None:
    """Idempotent by id; the oldest make room."""
    server.run("add_letters", {"letters": packed(letters, most[0], blobs), "keep": most[0], "keep_bytes": most[1]})


def read(server: Server, blobs: Blobs, monitor: str | None, after: str | None, limit: int) -> Sequence[DeadLetter]:
    """Newest first."""
    found, first = list[DeadLetter](), 0
    place = {} if after is None else {"after": after}
    while len(found) < limit:
        page = server.run("letters", {"first": first, "limit": _PAGE if monitor else min(limit, _PAGE), **place})
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
        kept = blobs.get(blob.decode()) if blob else None
        original = letter.original if kept is None else _original.decode(kept)
        yield replace(letter, original=original, sent=bool(sent))
