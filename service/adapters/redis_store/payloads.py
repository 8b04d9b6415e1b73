"""Payloads stay out of Redis: their bytes go to the blobs, what remains is the address and what they were."""

from __future__ import annotations

import msgspec
import numpy as np

from service.ports import Blobs
from service.records import Payload


class Kept(msgspec.Struct, array_like=True, frozen=True):
    """Where a payload lies. An address of "" is that of one that found no room."""

    address: str
    size: int
    kind: str
    """`text`, `bytes` or `vector`."""
    shape: tuple[int, ...] = ()


def keep(blobs: Blobs, payload: Payload) -> Kept:
    """Puts the payload away."""
    content, kind, shape = _content(payload)
    return Kept(blobs.put(content) or "", len(content), kind, shape)


def fetch(blobs: Blobs, kept: Kept) -> Payload | None:
    """The payload, or None where it is gone."""
    content = blobs.get(kept.address) if kept.address else None
    return None if content is None else _payload(content, kept)


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
