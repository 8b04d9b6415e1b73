"""Records to columns and back: numbers as numbers, arrays as little-endian blobs, the rest as msgspec documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec
import numpy as np

from detectors import Summary
from service.errors import ArtefactError
from service.records import Output, Pane, PaneKey, Partition, Payload, Pooled, Sample

Row: TypeAlias = tuple[Any, ...]

PANE_COLUMNS = "q.topic, q.topic_id, q.number, p.first_offset, p.last_offset, p.first_time, p.last_time, p.losses, p.summary"
"""What `pane` reads after monitor, segment and reference version; `p` are panes, `q` their partitions."""

_losses = msgspec.msgpack.Decoder(dict[str, int])
_facts = msgspec.msgpack.Decoder(tuple[dict[str, str], Output | None, str | None])
_pack = msgspec.msgpack.Encoder().encode


def listed(states: Iterable[str]) -> str:
    """States as the JSON list that `json_each` takes."""
    return msgspec.json.encode([str(state) for state in states]).decode()


def pack_payload(payload: Payload | None) -> tuple[str | bytes | None, bytes | None]:
    """(payload, shape): text and images as they are, a tensor as float32 with its shape."""
    if isinstance(payload, np.ndarray):
        return payload.astype("<f4", copy=False).tobytes(), np.array(payload.shape, "<u4").tobytes()
    return payload, None


def unpack_payload(payload: str | bytes | None, shape: bytes | None) -> Payload | None:
    """What `pack_payload` took."""
    if shape is None or not isinstance(payload, bytes):
        return payload
    return np.frombuffer(payload, "<f4").reshape(np.frombuffer(shape, "<u4"))


def size(payload: str | bytes | None) -> int:
    """Bytes that a packed payload takes."""
    return len(payload.encode() if isinstance(payload, str) else payload or b"")


def pack_facts(segments: Any, output: Output | None, label: str | None) -> bytes:
    """What a sample says of itself beside its payload."""
    return _pack((segments, output, label))


def unpack_facts(blob: bytes) -> tuple[dict[str, str], Output | None, str | None]:
    """(segments, output, label)."""
    return _facts.decode(blob)


def sample(monitor: str, id: str, time: float, payload: tuple[Any, Any], facts: bytes) -> Sample:
    """The sample of a waiting request."""
    value = unpack_payload(*payload)
    if value is None:
        raise ArtefactError(f"the stored sample {id!r} of monitor {monitor} has no payload; the store is damaged, restore it from a backup")
    segments, output, label = unpack_facts(facts)
    return Sample(monitor, id, time, value, segments, output, label)


def pooled(monitor: str, row: Row) -> Pooled:
    """`row`: sample, time, the partition's three, offset, payload, shape, facts, embedding, novelty, reference version."""
    sample, time, topic, topic_id, number, offset, payload, shape, facts, embedding, novelty, version = row
    segments, output, label = unpack_facts(facts)
    return Pooled(
        monitor=monitor,
        id=sample,
        time=time,
        partition=Partition(topic, topic_id, number),
        offset=offset,
        payload=unpack_payload(payload, shape),
        segments=segments,
        output=output,
        label=label,
        embedding=np.frombuffer(embedding, "<f2"),
        novelty=novelty,
        reference_version=version,
    )


def pane_values(pane: Pane) -> Row:
    """Columns from `segment` on, without the partition."""
    key = pane.key
    return (
        key.segment,
        key.reference_version,
        key.first_offset,
        pane.last_offset,
        pane.first_time,
        pane.last_time,
        _pack(pane.losses) if pane.losses else None,
        pane.summary.to_bytes(),
    )


def pane(monitor: str, segment: str, version: int, rest: Row, sequence: int = 0) -> Pane:
    """`rest` are the PANE_COLUMNS."""
    topic, topic_id, number, first_offset, last_offset, first_time, last_time, losses, summary = rest
    key = PaneKey(monitor, segment, version, Partition(topic, topic_id, number), first_offset)
    lost = _losses.decode(losses) if losses else {}
    return Pane(key, last_offset, first_time, last_time, Summary.from_bytes(summary), sequence, lost)
