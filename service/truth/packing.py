"""Judgements to bytes and back, the same in every store."""

from __future__ import annotations

import msgspec

from service.records import Judgement


class _Body(msgspec.Struct, array_like=True, frozen=True):
    """A judgement without its monitor, which is part of its key."""

    sample: str
    predicted: str
    truth: str
    confidence: float
    segments: dict[str, str]
    cluster: int
    reference_version: int
    time: float
    told: float
    streams: tuple[str, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode


def pack(judgement: Judgement) -> bytes:
    """All but the monitor."""
    return _encode(_Body(*(getattr(judgement, name) for name in _Body.__struct_fields__)))


def unpack(monitor: str, body: bytes) -> Judgement:
    """What `pack` packed."""
    return Judgement(monitor, *msgspec.structs.astuple(_decode(body)))


def counts_anew(before: Judgement, now: Judgement) -> bool:
    """Whether what is known of a sample now is told in its own right: before, nobody knew under which reference it was answered."""
    return not before.reference_version and bool(now.reference_version)
