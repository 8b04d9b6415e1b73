"""Payloads stay out of Redis: their bytes go to the blobs, what remains is the address and what they were."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np

from service.ports import Blobs
from service.records import Payload

PACKED_BYTES = 16_384
"""Payloads up to this size share a blob with the others of their batch: a file for each would cost more than all else that is done
with a text, its embedding aside."""

_TOGETHER = 8


class Kept(msgspec.Struct, array_like=True, frozen=True):
    """Where a payload lies. An address of "" is that of one that found no room."""

    address: str
    size: int
    kind: str
    """`text`, `bytes` or `vector`."""
    shape: tuple[int, ...] = ()
    at: int = -1
    """Where it begins in a blob that holds several; below 0 the blob is this one alone."""


def keep_all(blobs: Blobs, payloads: Sequence[Payload | None]) -> list[Kept | None]:
    """Puts a batch's payloads away, the small ones together, and the others several at a time: a bucket's answer takes its way."""
    contents = [None if payload is None else _content(payload) for payload in payloads]
    small = [content[0] for content in contents if content is not None and len(content[0]) <= PACKED_BYTES]
    large = iter(_put(blobs, [content[0] for content in contents if content is not None and len(content[0]) > PACKED_BYTES]))
    shared, at, kept = (blobs.put(b"".join(small)) or "") if small else "", 0, list[Kept | None]()
    for found in contents:
        if found is None:
            kept.append(None)
            continue
        content, kind, shape = found
        if len(content) > PACKED_BYTES:
            kept.append(Kept(next(large), len(content), kind, shape))
        else:
            kept.append(Kept(shared, len(content), kind, shape, at))
            at += len(content)
    return kept


def _put(blobs: Blobs, contents: Sequence[bytes]) -> list[str]:
    """An address for each, "" where it found no room."""
    if len(contents) < _TOGETHER:
        return [blobs.put(content) or "" for content in contents]
    with ThreadPoolExecutor(_TOGETHER) as threads:
        return [address or "" for address in threads.map(blobs.put, contents)]


def keep(blobs: Blobs, payload: Payload) -> Kept:
    """Puts the payload away."""
    content, kind, shape = _content(payload)
    return Kept(blobs.put(content) or "", len(content), kind, shape)


class Opened:
    """Gets payloads back; those that lie beside each other with one reading."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._address = ""
        self._content: bytes | None = None

    def fetch(self, kept: Kept) -> Payload | None:
        """The payload, or None where it is gone."""
        if kept.address and kept.address != self._address:
            self._address, self._content = kept.address, self._blobs.get(kept.address)
        if not kept.address or self._content is None:
            return None
        content = self._content if kept.at < 0 else self._content[kept.at : kept.at + kept.size]
        return _payload(content, kept)


def nothing(kept: Kept) -> Payload:
    """What stands for a payload that is gone where there must be one."""
    return _payload(bytes(4 * int(np.prod(kept.shape))) if kept.kind == "vector" else b"", kept)


def _content(payload: Payload) -> tuple[bytes, str, tuple[int, ...]]:
    if isinstance(payload, str):
        return payload.encode(errors="surrogatepass"), "text", ()
    if isinstance(payload, bytes):
        return payload, "bytes", ()
    return payload.astype("<f4", copy=False).tobytes(), "vector", payload.shape


def _payload(content: bytes, kept: Kept) -> Payload:
    if kept.kind == "text":
        return content.decode(errors="surrogatepass")
    if kept.kind == "bytes":
        return content
    return np.frombuffer(content, "<f4").reshape(kept.shape)
