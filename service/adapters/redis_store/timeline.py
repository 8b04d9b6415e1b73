"""How each stream went, ever coarser with age: a bounded number of passages per level, in a sorted set by their starts."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from service.adapters.redis_store.server import Server
from service.records import LEVELS, Measured, Passage

_KEPT = dict(LEVELS)
_HEAD = struct.Struct("<ddd")
"""Start, samples and strongest evidence of a passage, as the script reads them too."""

_Strongest = tuple[float, float, float, float, int]
"""(threshold, effect's estimate and interval, reference version) at the strongest evidence."""

_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(_Strongest).decode


def packed(passage: Passage) -> Mapping[str, Any]:
    """As the script takes it."""
    effect = passage.effect
    return {
        "segment": passage.segment,
        "seconds": f"{passage.seconds:g}",
        "start": passage.start,
        "samples": passage.samples,
        "evidence": passage.evidence,
        "strongest": _encode((passage.threshold, effect.estimate, effect.low, effect.high, passage.reference_version)),
        "kept": _KEPT[passage.seconds],
    }


def read(server: Server, monitor: str, segment: str, seconds: float, limit: int) -> Sequence[Passage]:
    """The newest, oldest first."""
    found = server.ask("ZRANGE", server.key("timeline", monitor, f"{seconds:g}", segment), -limit, -1)
    return [_passage(segment, seconds, body) for body in found]


def _passage(segment: str, seconds: float, body: bytes) -> Passage:
    start, samples, evidence = _HEAD.unpack_from(body)
    threshold, estimate, low, high, version = _decode(body[_HEAD.size :])
    return Passage(segment, seconds, start, int(samples), evidence, threshold, Measured(estimate, low, high), version)
